"""Verbs over several datasets of the same columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sheaf.dataset.plan import Plan
from sheaf.errors import InvalidInputError, TypeMismatchError

if TYPE_CHECKING:
    from sheaf import _sheaf
    from sheaf.dataset import Dataset


class Sets(Plan):
    """The methods of a ``Dataset`` that put datasets together row by row."""

    def union(self, *others: Dataset, by_name: bool = False, distinct: bool = False) -> Dataset:
        """The rows of this dataset, then those of the others. Columns are matched by position.

        Columns must be of one kind: numbers widen, and nothing becomes text.

        Args:
            others: The other datasets.
            by_name: Match columns by name; those that a dataset has not are null there.
            distinct: Each row once, in no order.

        >>> import sheaf as sf
        >>> sf.range(2).union(sf.range(1), sf.range(1)).to_pydict()
        {'id': [0, 1, 0, 0]}
        """
        inners = [_inner_of(other, "a union") for other in others]
        return self._next(self._inner.union(inners, by_name, distinct))

    def zip(self, other: Dataset, suffix: str = "_right") -> Dataset:
        """The rows of both side by side, the first with the first. Keeps the order of rows.

        A column of the other whose name is taken gets the suffix. Both sides stream and have as many rows; that one
        has more is an error at the end of the shorter one.

        >>> import sheaf as sf
        >>> sf.range(2).zip(sf.from_pydict({"id": ["x", "y"]})).to_pydict()
        {'id': [0, 1], 'id_right': ['x', 'y']}
        """
        return self._next(self._inner.zip(_inner_of(other, "zip"), suffix))

    def intersect(self, other: Dataset, *, distinct: bool = True) -> Dataset:
        """The rows that both have, in no order. Null equals null, and columns are matched by position.

        With ``distinct=False`` a row is there as often as on the side that has fewer of it.

        >>> import sheaf as sf
        >>> a, b = sf.from_pydict({"x": [1, 1, 1, 2]}), sf.from_pydict({"x": [1, 1, 3]})
        >>> a.intersect(b).to_pydict(), a.intersect(b, distinct=False).to_pydict()
        ({'x': [1]}, {'x': [1, 1]})
        """
        return self._next(self._inner.intersect(_inner_of(other, "intersect"), distinct))

    def except_(self, other: Dataset, *, distinct: bool = True) -> Dataset:
        """The rows that the other has not, in no order. Null equals null, and columns are matched by position.

        With ``distinct=False`` each row of the other takes away one row.

        >>> import sheaf as sf
        >>> a, b = sf.from_pydict({"x": [1, 1, 1]}), sf.from_pydict({"x": [1]})
        >>> a.except_(b).to_pydict(), a.except_(b, distinct=False).to_pydict()
        ({'x': []}, {'x': [1, 1]})
        """
        return self._next(self._inner.except_(_inner_of(other, "except_"), distinct))


def concat(datasets: Iterable[Dataset], *, by_name: bool = False, distinct: bool = False) -> Dataset:
    """The rows of all, in the order of the datasets; the arguments are those of ``Dataset.union``.

    Persisted or materialized datasets with an index (``set_index``), each of which ends before the next begins, make
    one with that index: a ``groupby``, a window or a ``sort`` by it moves and sorts nothing.

    >>> import sheaf as sf
    >>> sf.concat([sf.range(2), sf.range(1)]).to_pydict()
    {'id': [0, 1, 0]}
    """
    listed = list(datasets)
    if not listed:
        raise InvalidInputError("there is no dataset to concat\n  help: give at least one")
    _inner_of(listed[0], "concat")
    return listed[0].union(*listed[1:], by_name=by_name, distinct=distinct)


def _inner_of(other: Dataset, verb: str) -> _sheaf.Dataset:
    if not isinstance(other, Plan):
        raise TypeMismatchError(
            f"{verb} is of datasets, and this is {type(other).__name__}\n"
            "  help: make it one, as with sf.from_pandas(…), sf.from_polars(…) or sf.from_arrow(…)"
        )
    return other._inner
