"""Rows are compared by value and position, within the digits that both sides keep."""

from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from compare import difference


def table(*columns: pa.Array) -> pa.Table:
    """A table of unnamed columns."""
    return pa.table(list(columns), names=[f"c{index}" for index in range(len(columns))])


def decimals(scale: int, *values: str) -> pa.Array:
    """A column of decimals."""
    return pa.array([Decimal(value) for value in values], pa.decimal128(20, scale))


def test_rows_are_compared() -> None:
    """Equal rows pass, and one wrong value is named with its place."""
    expected = table(pa.array([1, 2]), pa.array(["a", "b"]))
    assert difference(expected, table(pa.array([1, 2]), pa.array(["a", "b"])), ordered=True) is None
    found = difference(expected, table(pa.array([1, 2]), pa.array(["a", "x"])), ordered=True)
    assert found == "row 1, column c1: 'x' instead of 'b'"


def test_order_counts_only_where_it_is_part_of_the_answer() -> None:
    """A query without a total order may give its rows in any order."""
    expected = table(pa.array([1, 2]), pa.array([0.5, 0.25]))
    turned = table(pa.array([2, 1]), pa.array([0.25, 0.5]))
    assert difference(expected, turned, ordered=False) is None
    assert difference(expected, turned, ordered=True) is not None


def test_a_row_too_many_or_few_is_a_difference() -> None:
    """Nothing is cut to the shorter side."""
    assert difference(table(pa.array([1])), table(pa.array([1, 1])), ordered=False) == "2 rows instead of 1"
    two_columns = table(pa.array([1]), pa.array([1]))
    assert difference(table(pa.array([1])), two_columns, ordered=False) == "2 columns instead of 1"


def test_repeated_rows_are_counted() -> None:
    """The same set of rows is not enough."""
    expected, found = table(pa.array([1, 1, 2])), table(pa.array([1, 2, 2]))
    assert difference(expected, found, ordered=False) is not None


@pytest.mark.parametrize(
    ("expected", "found", "equal"),
    [
        (pa.array([25.52200585]), decimals(6, "25.522006"), True),
        (pa.array([25.52200585]), decimals(6, "25.522008"), False),
        (decimals(2, "422874.68"), decimals(4, "422874.6844"), True),
        (decimals(4, "422874.6844"), decimals(2, "422874.70"), False),
        (pa.array([1e9]), pa.array([1e9 + 0.1]), True),
        (pa.array([1e9]), pa.array([1e9 + 10.0]), False),
        (pa.array([float("nan")]), pa.array([float("nan")]), True),
        (pa.array([None], pa.float64()), pa.array([0.0]), False),
        (pa.array([7], pa.int64()), pa.array([7], pa.int32()), True),
        (pa.array([date(2013, 1, 1)]), pa.array([datetime(2013, 1, 1)]), True),
        (pa.array([date(2013, 1, 1)]), pa.array([datetime(2013, 1, 1, 1)]), False),
    ],
)
def test_values_are_equal_within_what_both_types_keep(expected: pa.Array, found: pa.Array, equal: bool) -> None:
    """Types and scales may differ, values may not."""
    assert (difference(table(expected), table(found), ordered=True) is None) is equal


def test_rounding_does_not_decide_how_rows_are_paired() -> None:
    """Sums that differ in the last bit must not swap rows with different names."""
    expected = table(pa.array([1.0, 1.0 + 1e-12]), pa.array(["a", "b"]))
    found = table(pa.array([1.0 + 1e-12, 1.0]), pa.array(["a", "b"]))
    assert difference(expected, found, ordered=False) is None
