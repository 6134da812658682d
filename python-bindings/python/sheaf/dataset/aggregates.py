"""Aggregates as callers may give them: expressions, and names of aggregates for names of columns."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from sheaf import _arguments, functions
from sheaf._sheaf import Expr, col
from sheaf.errors import InvalidInputError

Aggregate: TypeAlias = "Expr | Mapping[str, str | Sequence[str]]"

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


def listed(aggregates: Iterable[Any], named: Mapping[str, Any]) -> list[Expr]:
    """The expressions of all aggregates: ``{"x": "sum"}`` is ``sum(x)``."""
    exprs: list[Expr] = []
    for item in _arguments.flat(tuple(aggregates)):
        exprs.extend(_of_columns(item) if isinstance(item, Mapping) else [item])
    return [*exprs, *_arguments.named(named)]


def _of_columns(columns: Mapping[str, str | Sequence[str]]) -> list[Expr]:
    return [
        called(how, _by_name(how), column)
        for column, hows in columns.items()
        for how in ([hows] if isinstance(hows, str) else hows)
    ]


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
