"""Joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from sheaf import _arguments, errors
from sheaf.dataset.plan import Plan

if TYPE_CHECKING:
    from sheaf.dataset import Dataset


How: TypeAlias = Literal[
    "inner", "left", "right", "outer", "full", "semi", "anti",
    "left_semi", "left_anti", "right_semi", "right_anti", "cross",
]  # fmt: skip


class Joins(Plan):
    """The methods of a ``Dataset`` that join it with others."""

    def join(
        self,
        other: Dataset,
        on: str | Sequence[str] | None = None,
        *,
        left_on: str | Sequence[str] | None = None,
        right_on: str | Sequence[str] | None = None,
        how: How = "inner",
        suffix: str = "_right",
    ) -> Dataset:
        """Joins with another dataset on equal keys; null keys match nothing.

        The result has the left side's columns, then the right side's but for keys of the same name. Other right
        columns that the left side has too get the suffix. ``semi`` and ``anti`` joins have one side's columns only.

        Args:
            other: The right side.
            on: Keys that both sides call by the same names.
            left_on: Keys of the left side, when the names differ.
            right_on: Keys of the right side, as many as of the left.
            how: Which rows the result has. ``outer`` and ``full`` are the same, as are ``semi`` and ``left_semi``.
            suffix: Put after the name of a right column that the left side has too.

        >>> import sheaf as sf
        >>> flights = sf.from_pydict({"carrier": ["AA", "XX"], "delay": [5, 7]})
        >>> names = sf.from_pydict({"carrier": ["AA"], "name": ["American"]})
        >>> flights.join(names, on="carrier", how="left").sort("delay").to_pydict()
        {'carrier': ['AA', 'XX'], 'delay': [5, 7], 'name': ['American', None]}
        """
        both = _arguments.names_of(on)
        if both and (left_on is not None or right_on is not None):
            raise errors.InvalidInputError("a join takes either on= or left_on= and right_on=, not both")
        left, right = _arguments.names_of(left_on) or both, _arguments.names_of(right_on) or both
        if how == "cross" and (left or right):
            raise errors.InvalidInputError("a cross join has every pair of rows, and no keys")
        if not isinstance(other, Plan):
            raise errors.TypeMismatchError(
                f"a join is with a Dataset, and this is {type(other).__name__}\n"
                "  help: make it one, as with sf.from_pandas(…), sf.from_polars(…) or sf.from_arrow(…)"
            )
        return self._next(self._inner.join(other._inner, left, right, how, suffix))
