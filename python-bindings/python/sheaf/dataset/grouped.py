"""``GroupedDataset``: aggregates of groups, and functions over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from sheaf import _formats, _sheaf, functions
from sheaf._formats import BatchFormat, Schema
from sheaf._sheaf import Expr
from sheaf.dataset import aggregates as _aggregates
from sheaf.dataset.aggregates import Aggregate, Bound, Named
from sheaf.dataset.plan import Plan
from sheaf.types import Column, SortKeys

if TYPE_CHECKING:
    from sheaf.dataset import Dataset


class GroupedDataset:
    """A dataset and the keys it is grouped by; ``agg`` and functions over groups make a dataset of it.

    Results have one row for each group, or what the function returned, in no order.

    >>> import sheaf as sf
    >>> sf.range(3).groupby("id")
    GroupedDataset: call agg(…)
    """

    def __init__(
        self, inner: _sheaf.GroupedDataset, of: Plan, keys: Sequence[Column], hidden: Sequence[str] = ()
    ) -> None:
        self._inner = inner
        self._of = of
        self._keys = [key if isinstance(key, str) else key.name for key in keys]
        self._hidden = list(hidden)

    def __reduce__(self) -> Any:
        from sheaf import _pickles

        return _pickles.grouped, (type(self), self._inner.to_bytes(), self._of, self._keys, self._hidden)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: Any) -> Self:
        return self

    def agg(self, *aggregates: Aggregate | Sequence[Aggregate], **named: Named) -> Dataset:
        """The keys and these aggregates, one row for each group; named ones under their names.

        A dict has names of aggregates for columns, as in pandas: ``{"x": "sum", "y": ["min", "max"]}``. Their results
        are called ``sum(x)``, ``min(y)``, ``max(y)``; ``total=("x", "sum")`` names one.

        Aggregates that users write stand where others do: an ``AggregateFn`` by itself, an ``Aggregation`` for columns,
        ``{"x": weighted}`` or ``{("x", "weight"): weighted}``, or by itself for each column that is no key. In
        ``rollup``, ``cube`` and ``grouping_sets`` they are given null for a key that a group is not of.

        >>> import sheaf as sf
        >>> grouped = sf.from_pydict({"k": ["a", "b", "a"], "x": [1, 2, 3]}).groupby("k")
        >>> grouped.agg(sf.col("x").sum(), n=sf.col("x").count()).sort("k").to_pydict()
        {'k': ['a', 'b'], 'sum(x)': [4, 2], 'n': [2, 1]}
        >>> grouped.agg({"x": ["min", "mean"]}).sort("k").to_pydict()
        {'k': ['a', 'b'], 'min(x)': [1, 2], 'mean(x)': [2.0, 2.0]}
        """
        columns = [name for name in self._of.columns if name not in self._hidden]
        bound = Bound(self._inner.user_aggregate, columns, self._keys)
        return self._of._next(self._inner.agg(bound.listed(aggregates, named)))

    def count(self, *columns: Column) -> Dataset:
        """How many rows each group has, as ``count()``; of columns how many values, as ``count(x)``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"k": ["a", "a"], "x": [1, None]}).groupby("k").count().to_pydict()
        {'k': ['a'], 'count()': [2]}
        """
        if not columns:
            return self.agg(functions.count().alias("count()"))
        return self._each("count", Expr.count, columns)

    def size(self) -> Dataset:
        """How many rows each group has, as ``size``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"k": ["a", "a"]}).groupby("k").size().to_pydict()
        {'k': ['a'], 'size': [2]}
        """
        return self.agg(size=functions.count())

    def sum(self, *columns: Column) -> Dataset:
        """The sums of these columns, or of all columns of numbers, as ``sum(x)``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"k": ["a", "a"], "x": [1, 2]}).groupby("k").sum("x").to_pydict()
        {'k': ['a'], 'sum(x)': [3]}
        """
        return self._each("sum", Expr.sum, columns or self._numbers())

    def mean(self, *columns: Column) -> Dataset:
        """The means of these columns, or of all columns of numbers, as ``mean(x)``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"k": ["a", "a"], "x": [1, 2]}).groupby("k").mean("x").to_pydict()
        {'k': ['a'], 'mean(x)': [1.5]}
        """
        return self._each("mean", Expr.mean, columns or self._numbers())

    def min(self, *columns: Column) -> Dataset:
        """The smallest values of these columns, or of all but the keys, as ``min(x)``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"k": ["a", "a"], "x": [1, 2]}).groupby("k").min().to_pydict()
        {'k': ['a'], 'min(x)': [1]}
        """
        return self._each("min", Expr.min, columns or self._others())

    def max(self, *columns: Column) -> Dataset:
        """The largest values of these columns, or of all but the keys, as ``max(x)``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"k": ["a", "a"], "x": [1, 2]}).groupby("k").max().to_pydict()
        {'k': ['a'], 'max(x)': [2]}
        """
        return self._each("max", Expr.max, columns or self._others())

    def median(self, *columns: Column) -> Dataset:
        """The medians of these columns, or of all columns of numbers, as ``median(x)``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"k": ["a", "a"], "x": [1.0, 2.0]}).groupby("k").median("x").to_pydict()
        {'k': ['a'], 'median(x)': [1.5]}
        """
        return self._each("median", Expr.median, columns or self._numbers())

    def std(self, *columns: Column, ddof: int = 1) -> Dataset:
        """The standard deviations of these columns, or of all columns of numbers, as ``std(x)``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"k": ["a", "a"], "x": [1, 3]}).groupby("k").std("x", ddof=0).to_pydict()
        {'k': ['a'], 'std(x)': [1.0]}
        """
        return self._each("std", lambda column: column.std(ddof), columns or self._numbers())

    def var(self, *columns: Column, ddof: int = 1) -> Dataset:
        """The variances of these columns, or of all columns of numbers, as ``var(x)``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"k": ["a", "a"], "x": [1, 3]}).groupby("k").var("x").to_pydict()
        {'k': ['a'], 'var(x)': [2.0]}
        """
        return self._each("var", lambda column: column.var(ddof), columns or self._numbers())

    def quantile(self, *columns: Column, q: float | Sequence[float] = 0.5) -> Dataset:
        """The quantiles of these columns, or of all columns of numbers, as ``quantile(x)``: lists for several shares.

        >>> import sheaf as sf
        >>> sf.from_pydict({"k": ["a", "a"], "x": [0, 4]}).groupby("k").quantile("x", q=[0.25, 0.5]).to_pydict()
        {'k': ['a'], 'quantile(x)': [[1.0, 2.0]]}
        """
        return self._each("quantile", lambda column: column.quantile(q), columns or self._numbers())

    def first(self, *columns: Column, order_by: SortKeys | None = None) -> Dataset:
        """The first values of these columns, or of all but the keys, in the order of ``order_by``, as ``first(x)``.

        Without ``order_by`` it is whichever comes first.

        >>> import sheaf as sf
        >>> grouped = sf.from_pydict({"k": ["a", "a"], "t": [2, 1], "x": [1, 3]}).groupby("k")
        >>> grouped.first("x", order_by="t").to_pydict()
        {'k': ['a'], 'first(x)': [3]}
        """
        return self._each("first", lambda column: column.first(order_by), columns or self._others())

    def last(self, *columns: Column, order_by: SortKeys | None = None) -> Dataset:
        """The last values of these columns, or of all but the keys, in the order of ``order_by``, as ``last(x)``.

        >>> import sheaf as sf
        >>> grouped = sf.from_pydict({"k": ["a", "a"], "t": [2, 1], "x": [1, 3]}).groupby("k")
        >>> grouped.last("x", order_by="t").to_pydict()
        {'k': ['a'], 'last(x)': [1]}
        """
        return self._each("last", lambda column: column.last(order_by), columns or self._others())

    def n_unique(self, *columns: Column) -> Dataset:
        """How many different values these columns have, or all but the keys, as ``n_unique(x)``; null is none.

        >>> import sheaf as sf
        >>> sf.from_pydict({"k": ["a", "a"], "x": [1, 1]}).groupby("k").n_unique("x").to_pydict()
        {'k': ['a'], 'n_unique(x)': [1]}
        """
        return self._each("n_unique", Expr.n_unique, columns or self._others())

    def unique(self, *columns: Column) -> Dataset:
        """The different values of these columns, or of all but the keys, as lists in no order: ``unique(x)``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"k": ["a", "a"], "x": [1, 1]}).groupby("k").unique("x").to_pydict()
        {'k': ['a'], 'unique(x)': [[1]]}
        """
        return self._each("unique", Expr.agg_set, columns or self._others())

    def map_groups(
        self,
        fn: Callable[..., Any],
        batch_format: BatchFormat = "pyarrow",
        *,
        schema: Schema | None = None,
        fn_args: Sequence[Any] = (),
        fn_kwargs: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """What a function makes of each group, which it is given whole, in one call.

        Nulls are a group of their own, and so are NaNs. The rows of a group come in no order, and so do the results.
        Rows are brought together by a sort that spills; one group alone must fit into memory, and a clear error says
        so when it does not. See ``map_batches`` for the arguments and what the function may return.

        Args:
            fn: The function; its first argument is the group, with all columns of the dataset.
            batch_format: What the function is given.
            schema: The columns that the function returns. Without it the function is called once now, on rows of one
                group that come first, to see.
            fn_args: More arguments for the function.
            fn_kwargs: More arguments for the function, by name.

        >>> import sheaf as sf
        >>> scores = sf.from_pydict({"k": ["a", "b", "a"], "x": [1.0, 5.0, 3.0]})
        >>> centred = scores.groupby("k").map_groups(lambda g: g.assign(x=g.x - g.x.mean()), batch_format="pandas")
        >>> centred.sort("k", "x").to_pydict()
        {'k': ['a', 'a', 'b'], 'x': [-1.0, 1.0, 0.0]}
        """
        call = _formats.caller(fn, batch_format, fn_args, fn_kwargs or {})
        name = getattr(fn, "__qualname__", type(fn).__name__)
        return self._of._next(self._inner.map_groups(call, name, True, None, _formats.to_schema(schema)))

    def map_batches(
        self,
        fn: Callable[..., Any],
        batch_size: int | None = None,
        batch_format: BatchFormat = "pyarrow",
        *,
        schema: Schema | None = None,
        fn_args: Sequence[Any] = (),
        fn_kwargs: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """What a function makes of the batches of each group.

        No batch has rows of two groups; a large group has several, which follow each other. See ``map_groups``.

        Args:
            fn: The function; its first argument is the batch.
            batch_size: Rows of each call but a group's last; by default those of the session's batches.
            batch_format: What the function is given.
            schema: The columns that the function returns; without it the function is called once now, to see.
            fn_args: More arguments for the function.
            fn_kwargs: More arguments for the function, by name.

        >>> import sheaf as sf
        >>> grouped = sf.from_pydict({"k": ["a", "a", "a", "b"]}).groupby("k")
        >>> sizes = grouped.map_batches(lambda batch: {"k": batch["k"][:1], "rows": [batch.num_rows]}, batch_size=2)
        >>> sizes.sort("k", "rows").to_pydict()
        {'k': ['a', 'a', 'b'], 'rows': [1, 2, 1]}
        """
        call = _formats.caller(fn, batch_format, fn_args, fn_kwargs or {})
        name = getattr(fn, "__qualname__", type(fn).__name__)
        return self._of._next(self._inner.map_groups(call, name, False, batch_size, _formats.to_schema(schema)))

    def _each(self, how: str, aggregate: Callable[[Expr], Expr], columns: Sequence[Column]) -> Dataset:
        return self.agg([_aggregates.called(how, aggregate, column) for column in columns])

    def _numbers(self) -> list[str]:
        return _aggregates.numbers(self._of.schema, self._keys)

    def _others(self) -> list[str]:
        return [name for name in self._of.columns if name not in self._keys]

    def __repr__(self) -> str:
        return "GroupedDataset: call agg(…)"
