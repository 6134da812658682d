"""Aggregates under the names of ``ray.data.aggregate``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from sheaf import expressions as sf
from sheaf import functions
from sheaf._sheaf import Expr
from sheaf.aggregates import AggregateFn, AggregateFnV2

__all__ = [
    "AbsMax",
    "Aggregate",
    "AggregateFn",
    "AggregateFnV2",
    "ApproximateQuantile",
    "AsList",
    "Count",
    "CountDistinct",
    "Max",
    "Mean",
    "Min",
    "MissingValuePercentage",
    "Quantile",
    "Std",
    "Sum",
    "Unique",
    "ValueCounter",
    "ZeroPercentage",
]


class Aggregate:
    """An aggregate of a column with the name that Ray gives its result.

    >>> import sheaf as sf
    >>> sf.data.aggregate.Sum("x").name
    'sum(x)'
    """

    def __init__(self, name: str, make: Callable[[], Expr], *, on: str | None, ignore_nulls: bool = True) -> None:
        self.name = name
        self._make = make
        self._on = on
        self._ignore_nulls = ignore_nulls

    def _expr(self, schema: pa.Schema) -> Expr:
        made = self._make()
        if self._on is not None and not self._ignore_nulls:
            # As in Ray, one null makes the result null.
            made = sf.when(sf.col(self._on).is_null().cast("int64").sum() > 0).then(None).otherwise(made)
        return made.alias(self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def expr_of(aggregate: Any, schema: pa.Schema) -> Any:
    """An aggregate as Sheaf's datasets take it.

    >>> import sheaf as sf
    >>> from sheaf.data.aggregate import Sum, expr_of
    >>> expr_of(Sum("id"), sf.range(3).schema)
    Expr(sum(id) AS sum(id))
    """
    if isinstance(aggregate, Aggregate):
        return aggregate._expr(schema)
    if isinstance(aggregate, AggregateFn):
        return aggregate
    raise TypeError(f"{type(aggregate).__name__} is no aggregate: they are in sheaf.data.aggregate")


def _named(kind: str, on: str | None, alias: str | None) -> str:
    return alias or f"{kind}({on or ''})"


class Count(Aggregate):
    """How many rows there are, or with ``ignore_nulls`` how many values a column has.

    >>> import sheaf as sf
    >>> sf.data.range(3).aggregate(sf.data.aggregate.Count())
    {'count()': 3}
    """

    def __init__(self, on: str | None = None, ignore_nulls: bool = False, alias_name: str | None = None) -> None:
        counted = sf.col(on) if on is not None and ignore_nulls else sf.lit(1)
        super().__init__(_named("count", on, alias_name), counted.count, on=on)


class Sum(Aggregate):
    """The sum of a column.

    >>> import sheaf as sf
    >>> sf.data.range(3).aggregate(sf.data.aggregate.Sum("id"))
    {'sum(id)': 3}
    """

    def __init__(self, on: str, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        super().__init__(_named("sum", on, alias_name), sf.col(on).sum, on=on, ignore_nulls=ignore_nulls)


class Min(Aggregate):
    """The least value of a column.

    >>> import sheaf as sf
    >>> sf.data.range(3).aggregate(sf.data.aggregate.Min("id"))
    {'min(id)': 0}
    """

    def __init__(self, on: str, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        super().__init__(_named("min", on, alias_name), sf.col(on).min, on=on, ignore_nulls=ignore_nulls)


class Max(Aggregate):
    """The greatest value of a column.

    >>> import sheaf as sf
    >>> sf.data.range(3).aggregate(sf.data.aggregate.Max("id", alias_name="most"))
    {'most': 2}
    """

    def __init__(self, on: str, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        super().__init__(_named("max", on, alias_name), sf.col(on).max, on=on, ignore_nulls=ignore_nulls)


class Mean(Aggregate):
    """The mean of a column.

    >>> import sheaf as sf
    >>> sf.data.range(3).aggregate(sf.data.aggregate.Mean("id"))
    {'mean(id)': 1.0}
    """

    def __init__(self, on: str, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        super().__init__(_named("mean", on, alias_name), sf.col(on).mean, on=on, ignore_nulls=ignore_nulls)


class Std(Aggregate):
    """The standard deviation of a column, of a sample or with ``ddof=0`` of all; NaN of too few values, as in Ray.

    >>> import sheaf as sf
    >>> sf.data.range(3).aggregate(sf.data.aggregate.Std("id"))
    {'std(id)': 1.0}
    """

    def __init__(self, on: str, ddof: int = 1, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        def make() -> Expr:
            column = sf.col(on)
            values = column.count()
            spread = (column.var(0) * values / (values - ddof)).sqrt()
            too_few = (values > 0) & (values <= ddof)
            return sf.when(too_few).then(float("nan")).when(values > ddof).then(spread).otherwise(None)

        super().__init__(_named("std", on, alias_name), make, on=on, ignore_nulls=ignore_nulls)


class Quantile(Aggregate):
    """A quantile of a column, between two values as far as ``q`` lies between them.

    >>> import sheaf as sf
    >>> sf.data.range(3).aggregate(sf.data.aggregate.Quantile("id"))
    {'quantile(id)': 1.0}
    """

    def __init__(self, on: str, q: float = 0.5, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        make = lambda: sf.col(on).cast("float64").quantile(q)  # noqa: E731
        super().__init__(_named("quantile", on, alias_name), make, on=on, ignore_nulls=ignore_nulls)


class ApproximateQuantile(Aggregate):
    """Quantiles of a column as a list, by a sketch (t-digest; Ray's is KLL).

    >>> import sheaf as sf
    >>> sf.data.range(5).aggregate(sf.data.aggregate.ApproximateQuantile("id", [0.5]))
    {'approx_quantile(id)': [2.0]}
    """

    def __init__(
        self, on: str, quantiles: list[float], quantile_precision: int = 800, alias_name: str | None = None
    ) -> None:
        def make() -> Expr:
            column = sf.col(on).cast("float64")
            return functions.make_array(*(functions.approx_percentile_cont(column, q) for q in quantiles))

        super().__init__(_named("approx_quantile", on, alias_name), make, on=on)


class Unique(Aggregate):
    """The different values of a column as a list.

    >>> import sheaf as sf
    >>> sf.data.from_items([{"x": 1}, {"x": 1}]).aggregate(sf.data.aggregate.Unique("x"))
    {'unique(x)': [1]}
    """

    def __init__(self, on: str, ignore_nulls: bool = False, alias_name: str | None = None) -> None:
        super().__init__(_named("unique", on, alias_name), lambda: _list(on, ignore_nulls).distinct(), on=on)


class AsList(Aggregate):
    """The values of a column as a list.

    >>> import sheaf as sf
    >>> sf.data.from_items([{"x": 1}, {"x": 1}]).aggregate(sf.data.aggregate.AsList("x"))
    {'list(x)': [1, 1]}
    """

    def __init__(self, on: str, alias_name: str | None = None, ignore_nulls: bool = False) -> None:
        super().__init__(_named("list", on, alias_name), lambda: _list(on, ignore_nulls), on=on)


def _list(on: str, ignore_nulls: bool) -> Expr:
    column = sf.col(on)
    listed = column.agg_list()
    return listed.filter(column.is_not_null()) if ignore_nulls else listed


class CountDistinct(Aggregate):
    """How many different values a column has.

    >>> import sheaf as sf
    >>> sf.data.range(3).aggregate(sf.data.aggregate.CountDistinct("id"))
    {'count_distinct(id)': 3}
    """

    def __init__(self, on: str, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        def make() -> Expr:
            column = sf.col(on)
            values = column.n_unique()
            return values if ignore_nulls else values + column.is_null().cast("int64").max()

        super().__init__(_named("count_distinct", on, alias_name), make, on=on)


class AbsMax(Aggregate):
    """The greatest absolute value of a column.

    >>> import sheaf as sf
    >>> sf.data.from_items([{"x": -2}, {"x": 1}]).aggregate(sf.data.aggregate.AbsMax("x"))
    {'abs_max(x)': 2}
    """

    def __init__(self, on: str, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        make = lambda: sf.col(on).abs().max()  # noqa: E731
        super().__init__(_named("abs_max", on, alias_name), make, on=on, ignore_nulls=ignore_nulls)


class MissingValuePercentage(Aggregate):
    """How many of a hundred values are null or NaN.

    >>> import sheaf as sf
    >>> sf.data.from_items([{"x": 1}, {"x": None}]).aggregate(sf.data.aggregate.MissingValuePercentage("x"))
    {'missing_pct(x)': 50.0}
    """

    def __init__(self, on: str, alias_name: str | None = None) -> None:
        self._column = sf.col(on)
        super().__init__(_named("missing_pct", on, alias_name), lambda: self._column, on=on)

    def _expr(self, schema: pa.Schema) -> Expr:
        missing = self._column.is_null()
        if self._on in schema.names and pa.types.is_floating(schema.field(self._on).type):
            missing = missing | self._column.is_nan().fill_null(False)
        return (missing.cast("float64").mean() * 100.0).alias(self.name)


class ZeroPercentage(Aggregate):
    """How many of a hundred values are zero.

    >>> import sheaf as sf
    >>> sf.data.range(4).aggregate(sf.data.aggregate.ZeroPercentage("id"))
    {'zero_pct(id)': 25.0}
    """

    def __init__(self, on: str, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        def make() -> Expr:
            is_zero = sf.col(on) == 0
            counted = is_zero if ignore_nulls else is_zero.fill_null(False)
            return counted.cast("float64").mean() * 100.0

        super().__init__(_named("zero_pct", on, alias_name), make, on=on)


class ValueCounter(AggregateFnV2):
    """How often each value of a column is there: a dict of ``values`` and ``counts``, in no order.

    >>> import sheaf as sf
    >>> sf.data.from_items([{"x": "a"}, {"x": "a"}]).aggregate(sf.data.aggregate.ValueCounter("x"))
    {'value_counter(x)': {'values': ['a'], 'counts': [2]}}
    """

    def __init__(self, on: str, alias_name: str | None = None) -> None:
        self._on = on
        super().__init__(_named("value_counter", on, alias_name), lambda: None, on=on)

    def aggregate_block(self, block: Any) -> Any:
        """The values of these rows and their counts.

        >>> import pyarrow as pa, sheaf as sf
        >>> sf.data.aggregate.ValueCounter("x").aggregate_block(pa.table({"x": [1, 1]}))
        {'values': [1], 'counts': [2]}
        """
        counted = block[self._on].drop_null().value_counts()
        return {"values": counted.field(0).to_pylist(), "counts": counted.field(1).to_pylist()}

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        """The counts of both.

        >>> import sheaf as sf
        >>> one = {"values": [1], "counts": [2]}
        >>> sf.data.aggregate.ValueCounter("x").combine(one, one)
        {'values': [1], 'counts': [4]}
        """
        counts = dict(zip(current_accumulator["values"], current_accumulator["counts"], strict=True))
        for value, count in zip(new["values"], new["counts"], strict=True):
            counts[value] = counts.get(value, 0) + count
        return {"values": list(counts), "counts": list(counts.values())}
