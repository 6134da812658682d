"""Whether two engines gave the same rows.

Names and types of columns may differ: engines name an aggregate and widen a number each in its own way. Values are
compared by position. Decimals and floats are equal within one unit of the coarser side's last declared digit, because
engines divide and average decimals at scales of their own; without a declared scale, within a relative 1e-9.
"""

import math
from decimal import Decimal
from typing import Any

import pyarrow as pa

RELATIVE = 1e-9


def difference(expected: pa.Table, found: pa.Table, ordered: bool) -> str | None:
    """The first difference in words, or None when the rows are the same.

    `ordered` says that the order of rows is part of the answer: then it must be the same too.
    """
    if expected.num_columns != found.num_columns:
        return f"{found.num_columns} columns instead of {expected.num_columns}"
    if expected.num_rows != found.num_rows:
        return f"{found.num_rows} rows instead of {expected.num_rows}"
    tolerances = [
        max(last_digit(left.type), last_digit(right.type))
        for left, right in zip(expected.schema, found.schema, strict=True)
    ]
    expected_rows, found_rows = rows_of(expected), rows_of(found)
    if not ordered:
        expected_rows.sort(key=sort_key)
        found_rows.sort(key=sort_key)
    for index, (left, right) in enumerate(zip(expected_rows, found_rows, strict=True)):
        for column, (one, other, tolerance) in enumerate(zip(left, right, tolerances, strict=True)):
            if not same(one, other, tolerance):
                name = expected.column_names[column]
                return f"row {index}, column {name}: {other!r} instead of {one!r}"
    return None


def last_digit(type_: pa.DataType) -> float:
    """One unit of the last digit that a decimal type keeps behind the point; nothing for other types."""
    return 10.0**-type_.scale if pa.types.is_decimal(type_) and type_.scale > 0 else 0.0


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    """The rows as plain Python values, in which decimals are floats."""
    columns = [[plain(value) for value in column.to_pylist()] for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else []


def plain(value: Any) -> Any:
    """A value without what differs between engines only in type."""
    if isinstance(value, Decimal):
        return float(value)
    if hasattr(value, "date") and hasattr(value, "hour") and (value.hour, value.minute, value.second) == (0, 0, 0):
        return value.date()
    return value


def sort_key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Exact values first and floats last, so that rounding does not decide how rows are paired."""
    exact = [(value is None, str(value)) for value in row if not isinstance(value, float)]
    floats = [value for value in row if isinstance(value, float)]
    return (*exact, *floats)


def same(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two values are the same within the tolerance."""
    if isinstance(one, float) or isinstance(other, float):
        if one is None or other is None:
            return one is other
        if math.isnan(one) and math.isnan(other):
            return True
        # A unit of slack in float arithmetic, or an exact last digit would fail by a rounding of the subtraction.
        return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=tolerance * 1.000001)
    return bool(one == other)
