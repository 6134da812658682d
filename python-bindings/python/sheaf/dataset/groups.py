"""Groups and aggregates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sheaf import _arguments, _sheaf
from sheaf._sheaf import Expr
from sheaf.dataset.plan import Plan
from sheaf.types import Column

if TYPE_CHECKING:
    from sheaf.dataset import Dataset


class Groups(Plan):
    """The methods of a ``Dataset`` that aggregate it."""

    def groupby(self, *keys: Column | Sequence[Column]) -> GroupedDataset:
        """Groups by these keys, for ``agg``; nulls are a group of their own.

        >>> import sheaf as sf
        >>> flights = sf.from_pydict({"carrier": ["AA", "UA", "AA"], "delay": [5, 20, 7]})
        >>> flights.groupby("carrier").agg(worst=sf.col("delay").max()).sort("carrier").to_pydict()
        {'carrier': ['AA', 'UA'], 'worst': [7, 20]}
        """
        return GroupedDataset(self._inner.groupby(_arguments.flat(keys)), self)

    def aggregate(self, *aggregates: Expr | Sequence[Expr], **named: Expr) -> Dataset:
        """One row of aggregates over all rows; named ones under their names.

        >>> import sheaf as sf
        >>> sf.range(4).aggregate(sf.col("id").sum(), most=sf.col("id").max()).to_pydict()
        {'sum(id)': [6], 'most': [3]}
        """
        return self._next(self._inner.aggregate([*_arguments.flat(aggregates), *_arguments.named(named)]))

    def describe(self, percentiles: Sequence[float] | None = None) -> Dataset:
        """One row for each statistic of every column, in the order count, null_count, mean, std, min, percentiles, max.

        Numbers are told as floats, everything else as text, with count, null_count, min and max alone. NaN is counted
        and left out of the others. Percentiles are approximate, so that they need little memory.

        Args:
            percentiles: Shares between 0 and 1; by default 0.25, 0.5 and 0.75.

        >>> import sheaf as sf
        >>> sf.range(3).describe().limit(1).to_pydict()
        {'describe': ['count'], 'id': [3.0]}
        """
        return self._next(self._inner.describe(None if percentiles is None else list(percentiles)))

    def value_counts(
        self,
        *columns: str | Sequence[str],
        sort: bool = True,
        normalize: bool = False,
        dropna: bool = False,
        name: str = "count",
    ) -> Dataset:
        """Each value of a column, or of several together, once, and how many rows have it.

        Args:
            columns: The column, or columns.
            sort: The most frequent first, equal counts in the order of their values; else in no order.
            normalize: Shares of all the rows instead of their numbers.
            dropna: Leave out rows with a null in one of the columns.
            name: The column of the counts.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": ["x", "y", "y", None]}).value_counts("a").to_pydict()
        {'a': ['y', 'x', None], 'count': [2, 1, 1]}
        """
        return self._next(self._inner.value_counts(_arguments.flat(columns), sort, normalize, dropna, name))


class GroupedDataset:
    """A dataset and the keys it is grouped by; ``agg`` makes a dataset of it.

    >>> import sheaf as sf
    >>> sf.range(3).groupby("id")
    GroupedDataset: call agg(…)
    """

    def __init__(self, inner: _sheaf.GroupedDataset, of: Plan) -> None:
        self._inner = inner
        self._of = of

    def agg(self, *aggregates: Expr | Sequence[Expr], **named: Expr) -> Dataset:
        """The keys and these aggregates, one row for each group; named ones under their names.

        >>> import sheaf as sf
        >>> grouped = sf.from_pydict({"k": ["a", "b", "a"], "x": [1, 2, 3]}).groupby("k")
        >>> grouped.agg(sf.col("x").sum(), n=sf.col("x").count()).sort("k").to_pydict()
        {'k': ['a', 'b'], 'sum(x)': [4, 2], 'n': [2, 1]}
        """
        return self._of._next(self._inner.agg([*_arguments.flat(aggregates), *_arguments.named(named)]))

    def __repr__(self) -> str:
        return "GroupedDataset: call agg(…)"
