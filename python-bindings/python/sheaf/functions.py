"""Every function of the engine by its name: scalar, aggregate, window and higher-order ones.

The functions are the engine's own, so this module has what it has. Values are taken as they are: a string is text, a
column is `sf.col("x")`. A function of Python stands for a lambda where the engine takes one.

>>> import sheaf as sf
>>> sf.functions.upper(sf.col("name"))
Expr(upper(name))
>>> sf.functions.array_agg(sf.col("x"), distinct=True)
Expr(array_agg(DISTINCT x))
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from sheaf._sheaf import Expr, FunctionInfo, call_function, lambda_function, lambda_variable, list_functions
from sheaf.types import SortKeys

_FUNCTIONS: dict[str, FunctionInfo] = {info.name: info for info in list_functions()}
_NAMED: dict[str, Callable[..., Expr]] = {}


def lambda_expression(function: Callable[..., Expr]) -> Expr:
    """Return the expression of a function: it is called once, with an expression for each of its parameters.

    >>> from sheaf.functions import lambda_expression
    >>> lambda_expression(lambda x: x + 1)
    Expr((x) -> x + 1)
    """
    names = list(inspect.signature(function).parameters)
    return lambda_function(names, function(*(lambda_variable(name) for name in names)))


def _argument(value: Any) -> Any:
    return lambda_expression(value) if inspect.isfunction(value) or inspect.ismethod(value) else value


def _call(
    name: str,
    /,
    *args: Any,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    return call_function(name, [_argument(arg) for arg in args], distinct, filter, order_by, ignore_nulls)


def _call_plain(name: str, /, *args: Any) -> Expr:
    return call_function(name, [_argument(arg) for arg in args])


def _documentation(info: FunctionInfo) -> str:
    parts = [info.description or f"The {info.kind} function {info.alias_of or info.name}."]
    if info.alias_of is not None:
        parts.append(f"Another name of `{info.alias_of}`.")
    if info.syntax:
        parts.append(f"In SQL: `{info.syntax}`")
    if info.arguments:
        parts.append("\n".join(["Arguments:", *(f"    {name}: {text}" for name, text in info.arguments)]))
    if info.example:
        parts.append("Example in SQL:\n\n" + info.example.strip())
    return "\n\n".join(parts)


def __getattr__(name: str) -> Callable[..., Expr]:
    info = _FUNCTIONS.get(name)
    if info is None:
        near = next(iter(difflib.get_close_matches(name, _FUNCTIONS, n=1)), None)
        raise AttributeError(f"the engine has no function {name!r}" + (f"; did you mean {near!r}?" if near else ""))
    return _NAMED.setdefault(name, _function(info))


def _function(info: FunctionInfo) -> Callable[..., Expr]:
    call = partial(_call_plain if info.kind in ("scalar", "higher-order") else _call, info.name)

    def function(*args: Any, **options: Any) -> Expr:
        return call(*args, **options)

    function.__name__ = function.__qualname__ = info.name
    function.__module__ = __name__
    function.__doc__ = _documentation(info)
    return function


def __dir__() -> list[str]:
    return sorted(_FUNCTIONS)
