"""Joins."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sheaf import _arguments, errors
from sheaf._sheaf import Expr
from sheaf.dataset.plan import Plan
from sheaf.types import Column

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
        other: Dataset | Sequence[Dataset],
        on: Column | Sequence[Column] | None = None,
        *,
        left_on: Column | Sequence[Column] | None = None,
        right_on: Column | Sequence[Column] | None = None,
        how: How = "inner",
        where: Expr | None = None,
        null_equals: bool = False,
        left_suffix: str = "",
        suffix: str | Sequence[str] = "_right",
        broadcast: Literal["left", "right"] | None = None,
    ) -> Dataset:
        """Joins with another dataset on equal keys, on a predicate over both sides, or on both.

        The result has the left side's columns, then the right side's but for key columns of the same name. Other
        columns that both sides have get the suffixes. Keys that are computed are not in the result. ``semi`` and
        ``anti`` joins have one side's columns only. It does not keep the order of rows.

        Args:
            other: The right side. With several, this is joined with the first, the result with the second, and so on.
            on: Keys that both sides call by the same names, or expressions that both sides can compute.
            left_on: Keys of the left side, when they differ.
            right_on: Keys of the right side, as many as of the left.
            how: Which rows the result has. ``outer`` and ``full`` are the same, as are ``semi`` and ``left_semi``.
            where: What else is true of two rows that match, of ``sf.left("a")`` and ``sf.right("b")``; the name alone
                will do where only one side has it. In outer joins, rows without a match stay. Without keys each row
                is compared with each of the smaller side, which is kept in memory.
            null_equals: Whether a null key equals a null key. Otherwise it equals nothing.
            left_suffix: Put after the name of a left column that the right side has too.
            suffix: Put after the name of a right column that the left side has too; one for each of several datasets.
            broadcast: The side to keep whole in memory, whatever its size, so that the other is not repartitioned. By
                default sides up to some size are. One that does not fit goes to disk.

        >>> import sheaf as sf
        >>> flights = sf.from_pydict({"carrier": ["AA", "XX"], "delay": [5, 7]})
        >>> names = sf.from_pydict({"carrier": ["AA"], "name": ["American"]})
        >>> flights.join(names, on="carrier", how="left").sort("delay").to_pydict()
        {'carrier': ['AA', 'XX'], 'delay': [5, 7], 'name': ['American', None]}
        >>> worse = flights.join(flights, where=sf.left("delay") < sf.right("delay"))
        >>> worse.to_pydict()
        {'carrier': ['AA'], 'delay': [5], 'carrier_right': ['XX'], 'delay_right': [7]}
        """
        others = _others(other)
        left, right = _keys(on, left_on, right_on)
        if how == "cross" and (left or right or where is not None):
            raise errors.InvalidInputError("a cross join has every pair of rows, and neither keys nor a predicate")
        suffixes = [suffix] * len(others) if isinstance(suffix, str) else list(suffix)
        inner = [dataset._inner for dataset in others]
        return self._next(
            self._inner.join(inner, left, right, how, where, null_equals, left_suffix, suffixes, broadcast)
        )

    def join_asof(
        self,
        other: Dataset,
        on: Column | None = None,
        *,
        left_on: Column | None = None,
        right_on: Column | None = None,
        by: Column | Sequence[Column] | None = None,
        left_by: Column | Sequence[Column] | None = None,
        right_by: Column | Sequence[Column] | None = None,
        strategy: Literal["backward", "forward", "nearest"] = "backward",
        tolerance: float | str | datetime.timedelta | None = None,
        allow_exact_matches: bool = True,
        suffix: str = "_right",
    ) -> Dataset:
        """Each row with the row of another dataset that is nearest along a column, such as the last price before.

        All rows stay; those without a match have nulls. Neither side need be sorted: both are, on disk where memory
        is short. Null keys match nothing. Of several right rows of one value, which one it is is not said. It does not
        keep the order of rows.

        Args:
            other: The right side.
            on: The column along which rows are near, when both sides call it by the same name: numbers, dates or
                timestamps.
            left_on: That column of the left side, when the names differ.
            right_on: That column of the right side.
            by: Columns that are equal in both rows. Their groups go in parallel; without them all rows go through one
                core.
            left_by: Those columns of the left side, when the names differ.
            right_by: Those columns of the right side, as many as of the left.
            strategy: ``"backward"`` takes the last row that is not after, ``"forward"`` the first that is not before,
                ``"nearest"`` the nearer of the two, and the earlier one when both are as near.
            tolerance: The farthest that matches: a number, or a span such as ``"2h"`` or a ``timedelta``.
            allow_exact_matches: Whether a row of the same value matches.
            suffix: Put after the name of a right column that the left side has too.

        >>> import sheaf as sf
        >>> trades = sf.from_pydict({"at": [3, 7, 9], "amount": [10, 20, 30]})
        >>> prices = sf.from_pydict({"at": [7, 2, 4], "price": [1.5, 1.0, 1.2]})
        >>> trades.join_asof(prices, on="at").sort("at").to_pydict()
        {'at': [3, 7, 9], 'amount': [10, 20, 30], 'price': [1.0, 1.5, 1.5]}
        """
        (right,) = _others(other if isinstance(other, Plan) else [other])
        left_near, right_near = _keys(on, left_on, right_on)
        if len(left_near) != 1 or len(right_near) != 1:
            raise errors.InvalidInputError("an as-of join goes along one column: name it with on=, or on each side")
        left_equal, right_equal = _keys(by, left_by, right_by)
        return self._next(
            self._inner.join_asof(
                right._inner,
                left_near[0],
                right_near[0],
                left_equal,
                right_equal,
                strategy,
                tolerance,
                allow_exact_matches,
                suffix,
            )
        )


def _keys(on: Any, left_on: Any, right_on: Any) -> tuple[list[Column], list[Column]]:
    """The keys of both sides."""
    both = _arguments.columns_of(on)
    if both and (left_on is not None or right_on is not None):
        raise errors.InvalidInputError("a join takes either on= or left_on= and right_on=, not both")
    return _arguments.columns_of(left_on) or both, _arguments.columns_of(right_on) or both


def _others(other: Any) -> list[Plan]:
    """The right sides."""
    others = list(other) if isinstance(other, list | tuple) else [other]
    for dataset in others:
        if not isinstance(dataset, Plan):
            raise errors.TypeMismatchError(
                f"a join is with a Dataset, and this is {type(dataset).__name__}\n"
                "  help: make it one, as with sf.from_pandas(…), sf.from_polars(…) or sf.from_arrow(…)"
            )
    return others
