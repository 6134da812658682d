"""Aggregates as callers may give them: expressions, and names of aggregates for names of columns."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from sheaf import _arguments, functions
from sheaf._sheaf import Expr, col
from sheaf.aggregates import AggregateFn, Aggregation
from sheaf.dataset import states
from sheaf.errors import InvalidInputError
from sheaf.types import DataType

How: TypeAlias = "str | Aggregation"
Aggregate: TypeAlias = "Expr | AggregateFn | Aggregation | Mapping[str | tuple[str, ...], How | Sequence[How]]"
Named: TypeAlias = "Expr | AggregateFn | tuple[str | tuple[str, ...], How]"

_BY_NAME: dict[str, Callable[[Expr], Expr]] = {
    "all": Expr.all,
    "any": Expr.any,
    "count": Expr.count,
    "first": Expr.first,
    "kurt": Expr.kurtosis,
    "kurtosis": Expr.kurtosis,
    "last": Expr.last,
    "list": Expr.agg_list,
    "max": Expr.max,
    "mean": Expr.mean,
    "median": Expr.median,
    "min": Expr.min,
    "mode": Expr.mode,
    "n_unique": Expr.n_unique,
    "null_count": Expr.null_count,
    "nunique": Expr.n_unique,
    "prod": Expr.product,
    "product": Expr.product,
    "set": Expr.agg_set,
    "size": lambda _: functions.count(),
    "skew": Expr.skew,
    "std": Expr.std,
    "sum": Expr.sum,
    "unique": Expr.agg_set,
    "var": Expr.var,
}


# What makes an expression of an aggregate of the user's: of how its states start, its name, its columns and its type.
Make: TypeAlias = "Callable[[Callable[[pa.DataType | None], Any], str, Sequence[str] | None, DataType | None], Expr]"


class Bound:
    """What makes expressions of the aggregates of groups, from the columns that functions are given."""

    def __init__(self, make: Make, columns: Sequence[str], keys: Sequence[str]) -> None:
        self._make = make
        self._columns = list(columns)
        self._values = [name for name in columns if name not in keys]

    def listed(self, aggregates: Iterable[Any], named: Mapping[str, Any]) -> list[Expr]:
        """The expressions of all aggregates: ``{"x": "sum"}`` is ``sum(x)``."""
        exprs = [expr for item in _arguments.flat(tuple(aggregates)) for expr in self._exprs(item)]
        return [*exprs, *_arguments.named({name: self.one(item) for name, item in named.items()})]

    def _exprs(self, item: Any) -> list[Any]:
        match item:
            case Mapping():
                return [
                    self._of(columns, how)
                    for columns, hows in item.items()
                    for how in (hows if isinstance(hows, list | tuple) else [hows])
                ]
            case AggregateFn():
                return [self._user(item, item.columns, item.name)]
            case Aggregation():
                return [self._of(column, item) for column in self._values]
            case _:
                return [item]

    def one(self, item: Any) -> Any:
        """The expression of an aggregate that has a name beside it; what is none stays as it is."""
        match item:
            case AggregateFn():
                return self._user(item, item.columns, item.name)
            case (columns, str() | Aggregation() as how):
                return self._of(columns, how)
            case Aggregation():
                error = InvalidInputError(f"{item.name} is an aggregate of which column?")
                error.hint = f'say it: ("x", {item.name}), or {{"x": {item.name}}}'
                raise error
            case _:
                return item

    def _of(self, columns: str | tuple[str, ...], how: How) -> Expr:
        several = [columns] if isinstance(columns, str) else list(columns)
        if isinstance(how, Aggregation):
            return self._user(how, several, f"{how.name}({', '.join(several)})")
        if len(several) != 1:
            raise InvalidInputError(f"{how} is an aggregate of one column, not of {several}")
        return called(how, _by_name(how), several[0])

    def _user(self, aggregate: AggregateFn | Aggregation, columns: list[str] | None, name: str) -> Expr:
        chosen = self._columns if columns is None else columns
        start = states.start(aggregate, len(chosen))
        return self._make(start, aggregate.name, chosen, aggregate.return_type).alias(name)


def _by_name(how: str) -> Callable[[Expr], Expr]:
    found = _BY_NAME.get(how)
    if found is None:
        error = InvalidInputError(f"there is no aggregate {how!r}")
        near = difflib.get_close_matches(how, _BY_NAME, n=1)
        error.hint = f"did you mean {near[0]!r}?" if near else f"the aggregates are {', '.join(_BY_NAME)}"
        raise error
    return found


def called(how: str, aggregate: Callable[[Expr], Expr], column: str | Expr) -> Expr:
    """An aggregate of a column, named as it was asked for: ``mean(x)``, not ``avg(x)``."""
    expr = col(column) if isinstance(column, str) else column
    return aggregate(expr).alias(f"{how}({expr.name})")


def numbers(schema: pa.Schema, without: Iterable[str]) -> list[str]:
    """The columns of numbers."""
    keys = set(without)
    return [field.name for field in schema if field.name not in keys and _is_number(field.type)]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
