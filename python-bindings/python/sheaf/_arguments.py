"""Arguments as callers may give them, in the one form that the engine takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sheaf import _sheaf


def flat(values: tuple[Any, ...]) -> list[Any]:
    """The arguments, and what is in those that are lists."""
    return [item for value in values for item in (value if isinstance(value, list | tuple) else [value])]


def named(columns: Mapping[str, Any]) -> list[Any]:
    """Columns under the names of keyword arguments."""
    return [_sheaf.named(name, column) for name, column in columns.items()]


def names_of(names: str | Sequence[str] | None) -> list[str]:
    """One name, several or none."""
    return [names] if isinstance(names, str) else list(names or ())


def columns_of(columns: Any) -> list[Any]:
    """One column by its name or as an expression, several or none."""
    return [] if columns is None else [columns] if isinstance(columns, str | _sheaf.Expr) else list(columns)


def each(given: bool | Sequence[bool], count: int, name: str) -> list[bool]:
    """A value for each key: the one for all, or as many as there are keys."""
    listed = [given] * count if isinstance(given, bool) else list(given)
    if len(listed) != count:
        raise ValueError(f"{name} has {len(listed)} values for {count} keys")
    return listed


def of_call(given: Mapping[str, Any], *without: str) -> dict[str, Any]:
    """The arguments of a method by name: what it has as ``locals()`` at its start."""
    return {name: value for name, value in given.items() if name != "self" and name not in without}
