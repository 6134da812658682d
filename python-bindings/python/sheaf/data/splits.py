"""Datasets cut in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from sheaf._sheaf import col
from sheaf.data.rows import Rows

if TYPE_CHECKING:
    from sheaf.data.dataset import MaterializedDataset


class Splits(Rows):
    """The methods of a ``Dataset`` that cut it. The plan runs once, and the pieces are parts of what it made."""

    def split(self, n: int, *, equal: bool = False, locality_hints: Any = None) -> list[MaterializedDataset]:
        """So many pieces of about as many rows, one after another; with ``equal`` of the same number.

        With ``equal`` the last rows, fewer than pieces, are left out. ``locality_hints`` have no effect.

        >>> import sheaf as sf
        >>> [piece.count() for piece in sf.data.range(10).split(3)]
        [4, 3, 3]
        """
        if n < 1:
            raise ValueError(f"n is {n}: there is one piece at least")
        return [self._kept(piece) for piece in self._ds.persist().split(n, equal=equal)]

    def split_at_indices(self, indices: Sequence[int]) -> list[MaterializedDataset]:
        """Pieces that begin at these rows, the first one at row 0.

        >>> import sheaf as sf
        >>> [piece.count() for piece in sf.data.range(10).split_at_indices([2, 5])]
        [2, 3, 5]
        """
        if not indices:
            raise ValueError("there is no index to split at")
        if any(index < 0 for index in indices) or list(indices) != sorted(indices):
            raise ValueError(f"indices are from 0 on, in their order: {list(indices)}")
        return [self._kept(piece) for piece in self._ds.persist().split_at_indices(indices)]

    def split_proportionately(self, proportions: Sequence[float]) -> list[MaterializedDataset]:
        """Pieces of these shares of the rows, and one of the rest.

        >>> import sheaf as sf
        >>> [piece.count() for piece in sf.data.range(10).split_proportionately([0.2, 0.5])]
        [2, 5, 3]
        """
        if not proportions or any(share <= 0 for share in proportions) or sum(proportions) >= 1:
            raise ValueError(f"proportions are shares above 0 that sum to less than 1: {list(proportions)}")
        kept = self._kept(self._ds.persist())
        rows = kept.count()
        ends = [int(rows * share) for share in accumulate(proportions)]
        # No piece is empty where there are rows enough, as in Ray.
        less = 0
        for at in range(len(ends) - 2, -1, -1):
            ends[at] -= less
            if ends[at] == ends[at + 1]:
                less += 1
                ends[at] -= 1
        if any(end <= 0 for end in ends):
            raise ValueError(f"{rows} rows are too few for pieces of {list(proportions)}")
        return kept.split_at_indices(ends)

    def train_test_split(
        self,
        test_size: float,
        *,
        shuffle: bool = False,
        seed: int | None = None,
        stratify: str | None = None,
    ) -> tuple[MaterializedDataset, MaterializedDataset]:
        """Rows to train with and rows to test with: the last ones, or of each value of ``stratify`` the same share.

        Args:
            test_size: How many rows to test with, or as a float which share.
            shuffle: Whether rows are shuffled before.
            seed: For the same shuffle again.
            stratify: A column, whose values are as often among both.

        >>> import sheaf as sf
        >>> train, test = sf.data.range(8).train_test_split(0.25)
        >>> train.count(), test.take_all()
        (6, [{'id': 6}, {'id': 7}])
        """
        is_share = isinstance(test_size, float)
        if is_share and not 0 < test_size < 1:
            raise ValueError(f"test_size is {test_size}: a float is a share between 0 and 1")
        if shuffle and stratify is not None:
            raise ValueError("train_test_split takes shuffle=True or stratify=, not both")
        if stratify is not None:
            return self._stratified(test_size, stratify)
        of = self.random_shuffle(seed=seed) if shuffle else self._next(self._ds)
        if is_share:
            train, test = of.split_proportionately([1 - test_size])
            return train, test
        kept = of.materialize()
        rows = kept.count()
        if not 0 < test_size < rows:
            raise ValueError(f"test_size is {test_size}, of {rows} rows")
        train, test = kept.split_at_indices([rows - int(test_size)])
        return train, test

    def _stratified(self, test_size: float, column: str) -> tuple[MaterializedDataset, MaterializedDataset]:
        share = test_size if isinstance(test_size, float) else test_size / self._ds.count()
        if not 0 < share < 1:
            raise ValueError(f"test_size is {test_size}, and has to leave rows to train with")
        mark = "_is_test"
        while mark in self._ds.columns:
            mark += "_"

        def marked(group: Any) -> Any:
            rows = len(group)
            return group.assign(**{mark: [row >= rows - int(rows * share) for row in range(rows)]})

        kept = self._ds.groupby(column).map_groups(marked, "pandas").persist()
        return (
            self._kept(kept.filter(~col(mark)).exclude(mark)),
            self._kept(kept.filter(col(mark)).exclude(mark)),
        )
