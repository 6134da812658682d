"""Verbs that part a dataset in several: each row is in one of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sheaf import _arguments
from sheaf.dataset.plan import Plan

if TYPE_CHECKING:
    from sheaf.dataset import Dataset


class Splits(Plan):
    """The methods of a ``Dataset`` that part it in several.

    The parts are lazy: each runs the plan when it is read. Where the plan gives its rows in another order each time, as
    after a join or a ``groupby``, ``sort`` or ``persist()`` first.
    """

    def split(self, n: int, *, equal: bool = False) -> list[Dataset]:
        """So many datasets of rows that follow one another, in their order.

        Their numbers of rows differ by one at the most. With ``equal`` they do not differ, and up to ``n - 1`` rows at
        the end are in none. The plan runs once now, to count.

        >>> import sheaf as sf
        >>> [part.to_pydict()["id"] for part in sf.range(5).split(2)]
        [[0, 1, 2], [3, 4]]
        """
        return [self._next(part) for part in self._inner.split(n, equal)]

    def split_at_indices(self, indices: Sequence[int]) -> list[Dataset]:
        """Datasets that begin at the first row and at these, and go as far as the next begins. Rows keep their order.

        Indices beyond the end give empty datasets. Nothing runs now.

        >>> import sheaf as sf
        >>> [part.to_pydict()["id"] for part in sf.range(5).split_at_indices([1, 3])]
        [[0], [1, 2], [3, 4]]
        """
        return [self._next(part) for part in self._inner.split_at_indices(indices)]

    def split_proportionately(self, proportions: Sequence[float]) -> list[Dataset]:
        """Datasets of rows that follow one another, each with its share of all rows, and one more with the rest.

        Borders are at the nearest row, and rows keep their order. The plan runs once now, to count.

        >>> import sheaf as sf
        >>> [part.count() for part in sf.range(10).split_proportionately([0.6, 0.3])]
        [6, 3, 1]
        """
        return [self._next(part) for part in self._inner.split_proportionately(proportions)]

    def train_test_split(
        self,
        test_size: float,
        *,
        shuffle: bool = False,
        seed: int | None = None,
        stratify: str | Sequence[str] | None = None,
        hash_column: str | None = None,
    ) -> tuple[Dataset, Dataset]:
        """Two datasets, of which the first is to train with and the second to test.

        By default the last rows are the test, and rows keep their order; the plan runs once now, to count.

        Args:
            test_size: The share of the test, between 0 and 1, to the nearest row; or how many rows it has.
            shuffle: Whether rows are put into a random order first, by ``random_shuffle(seed)``. With ``stratify`` and
                ``hash_column``, whether each part is.
            seed: What decides where chance does; without it every call does so anew. Of ``hash_column`` it is the seed
                of the hash, 0 by default.
            stratify: Columns by whose values the rows are told apart: of each kind the share is drawn at random, as
                ``sample(test_size, stratify_by=)`` does. Rows do not keep their order.
            hash_column: The rows are test whose value in this column has a ``stable_hash`` (XXH64) below ``test_size``
                times 2**64. So rows of one value are in one part, which does not depend on any other row: new data
                never moves a row from one part to the other. Null is in the training. Rows keep their order.

        >>> import sheaf as sf
        >>> train, test = sf.range(10).train_test_split(0.3)
        >>> train.count(), test.to_pydict()["id"]
        (7, [7, 8, 9])
        """
        decided = seed if seed is not None else 0 if hash_column is not None else random.getrandbits(64)
        columns = _arguments.names_of(stratify)
        train, test = self._inner.train_test_split(test_size, shuffle, decided, columns, hash_column)
        return self._next(train), self._next(test)
