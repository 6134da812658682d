"""``GroupedData`` under Ray's names."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sheaf._formats import Schema
from sheaf.aggregates import AggregateFn
from sheaf.data import aggregate as aggregates
from sheaf.data.aggregate import Aggregate
from sheaf.data.plan import Plan, format_of

if TYPE_CHECKING:
    from sheaf.data.dataset import Dataset


class GroupedData:
    """A dataset and the columns that it is grouped by.

    >>> import sheaf as sf
    >>> rows = sf.data.from_items([{"k": "a", "x": 1}, {"k": "a", "x": 2}])
    >>> rows.groupby("k").sum("x").take_all()
    [{'k': 'a', 'sum(x)': 3}]
    """

    def __init__(self, of: Plan, keys: Sequence[str]) -> None:
        self._of = of
        self._keys = list(keys)
        self._grouped = of._ds.groupby(*self._keys)

    def aggregate(self, *aggs: Aggregate | AggregateFn) -> Dataset:
        """One row for each group: its keys and the aggregates.

        >>> import sheaf as sf
        >>> from sheaf.data.aggregate import Count, Max
        >>> sf.data.from_items([{"k": "a", "x": 1}]).groupby("k").aggregate(Count(), Max("x")).take_all()
        [{'k': 'a', 'count()': 1, 'max(x)': 1}]
        """
        if not aggs:
            raise ValueError("aggregate needs an aggregate at least")
        schema = self._of._ds.schema
        return self._of._next(self._grouped.agg(*(aggregates.expr_of(each, schema) for each in aggs)))

    def count(self) -> Dataset:
        """How many rows each group has.

        >>> import sheaf as sf
        >>> sf.data.from_items([{"k": "a"}, {"k": "a"}]).groupby("k").count().take_all()
        [{'k': 'a', 'count()': 2}]
        """
        return self.aggregate(aggregates.Count())

    def sum(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Dataset:
        """The sums of columns, by default of all but the keys.

        >>> import sheaf as sf
        >>> sf.data.from_items([{"k": "a", "x": 1}]).groupby("k").sum().take_all()
        [{'k': 'a', 'sum(x)': 1}]
        """
        return self._each(aggregates.Sum, on, ignore_nulls=ignore_nulls)

    def min(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Dataset:
        """The least values of columns, by default of all but the keys.

        >>> import sheaf as sf
        >>> sf.data.from_items([{"k": "a", "x": 1}]).groupby("k").min("x").take_all()
        [{'k': 'a', 'min(x)': 1}]
        """
        return self._each(aggregates.Min, on, ignore_nulls=ignore_nulls)

    def max(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Dataset:
        """The greatest values of columns, by default of all but the keys.

        >>> import sheaf as sf
        >>> sf.data.from_items([{"k": "a", "x": 1}]).groupby("k").max("x").take_all()
        [{'k': 'a', 'max(x)': 1}]
        """
        return self._each(aggregates.Max, on, ignore_nulls=ignore_nulls)

    def mean(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Dataset:
        """The means of columns, by default of all but the keys.

        >>> import sheaf as sf
        >>> sf.data.from_items([{"k": "a", "x": 1}]).groupby("k").mean("x").take_all()
        [{'k': 'a', 'mean(x)': 1.0}]
        """
        return self._each(aggregates.Mean, on, ignore_nulls=ignore_nulls)

    def std(self, on: str | list[str] | None = None, ddof: int = 1, ignore_nulls: bool = True) -> Dataset:
        """The standard deviations of columns; NaN where a group has too few values.

        >>> import sheaf as sf
        >>> sf.data.from_items([{"k": "a", "x": 1}, {"k": "a", "x": 3}]).groupby("k").std("x", ddof=0).take_all()
        [{'k': 'a', 'std(x)': 1.0}]
        """
        return self._each(aggregates.Std, on, ddof=ddof, ignore_nulls=ignore_nulls)

    def map_groups(
        self,
        fn: Callable[..., Any],
        *,
        batch_format: str | None = "default",
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: Mapping[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: Mapping[str, Any] | None = None,
        schema: Schema | None = None,
        **ray_options: Any,
    ) -> Dataset:
        """What a function makes of each group, which it is given whole, as a dict of NumPy arrays by default.

        It runs on the engine's threads; of a class each thread makes an instance. Arguments that say where Ray runs
        tasks (``compute``, ``concurrency``, ``num_cpus`` and the like) are taken and have no effect. Without
        ``schema``, the columns that it returns, it is called once now, to see.

        >>> import sheaf as sf
        >>> rows = sf.data.from_items([{"k": "a", "x": 1}, {"k": "a", "x": 2}])
        >>> rows.groupby("k").map_groups(lambda group: {"n": [len(group["x"])]}).take_all()
        [{'n': 2}]
        """
        called = fn
        if isinstance(fn, type):
            called = _OfThread(fn, list(fn_constructor_args or ()), dict(fn_constructor_kwargs or {}))
        made = self._grouped.map_groups(
            called, format_of(batch_format), schema=schema, fn_args=list(fn_args or ()), fn_kwargs=fn_kwargs
        )
        return self._of._next(made)

    def _each(self, aggregate: Callable[..., Aggregate], on: str | list[str] | None, **given: Any) -> Dataset:
        columns = self._of._columns_of(on, without=self._keys)
        return self.aggregate(*(aggregate(column, **given) for column in columns))

    def __repr__(self) -> str:
        return f"GroupedData(keys={self._keys})"


class _OfThread:
    """A class as a function: each thread that calls it makes an instance first."""

    def __init__(self, fn: type, args: list[Any], kwargs: dict[str, Any]) -> None:
        self.__qualname__ = fn.__qualname__
        self._make = partial(fn, *args, **kwargs)
        self._made = threading.local()

    def __call__(self, group: Any, *args: Any, **kwargs: Any) -> Any:
        if not hasattr(self._made, "instance"):
            self._made.instance = self._make()
        return self._made.instance(group, *args, **kwargs)
