"""Expressions: operators, methods, aggregates and windows, each against the values it must give."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import sheaf as sf

Decimal = decimal.Decimal
UTC = dt.UTC


def values(expr: sf.Expr, **columns: Any) -> list[Any]:
    """Return what an expression gives over these columns."""
    table = pa.table(columns)
    return sf.from_arrow(table).select(expr.alias("r")).to_arrow().column("r").to_pylist()


def same(got: list[Any], expected: list[Any]) -> bool:
    """Compare, NaN being equal to NaN and floats to their neighbours."""
    return len(got) == len(expected) and all(map(_same, got, expected))


def _same(got: Any, expected: Any) -> bool:
    if isinstance(got, float) and isinstance(expected, float):
        return (
            (math.isnan(got) and math.isnan(expected)) or math.isclose(got, expected, rel_tol=1e-12) or got == expected
        )
    return type(got) is type(expected) and got == expected


A, B = sf.col("a"), sf.col("b")
INTS = {"a": [7, -7, None], "b": [2, 2, 2]}
FLOATS = {"a": [7.5, -7.5, None], "b": [2.0, 2.0, 2.0]}
TEXTS = {"a": ["x", None], "b": ["y", "z"]}
BOOLS = {"a": [True, True, False, None], "b": [True, False, False, True]}

OPERATORS: list[tuple[str, sf.Expr, dict[str, list[Any]], list[Any]]] = [
    ("add", A + B, INTS, [9, -5, None]),
    ("add a number", A + 1, INTS, [8, -6, None]),
    ("a number added to", 1 + A, INTS, [8, -6, None]),
    ("join text", A + B, TEXTS, ["xy", None]),
    ("join a text", A + "!", TEXTS, ["x!", None]),
    ("a text joined to", "!" + A, TEXTS, ["!x", None]),
    ("subtract", A - B, INTS, [5, -9, None]),
    ("subtract from a number", 10 - A, INTS, [3, 17, None]),
    ("multiply", A * B, INTS, [14, -14, None]),
    ("a number times", 3 * A, INTS, [21, -21, None]),
    ("divide integers exactly", A / B, INTS, [3.5, -3.5, None]),
    ("divide by an integer", A / 2, INTS, [3.5, -3.5, None]),
    ("divide a number by", 7 / B, INTS, [3.5, 3.5, 3.5]),
    ("divide by zero", A / 0, INTS, [math.inf, -math.inf, None]),
    ("floor-divide integers", A // B, INTS, [3, -4, None]),
    ("floor-divide by a negative", A // -2, INTS, [-4, 3, None]),
    ("floor-divide a number by", 7 // B, INTS, [3, 3, 3]),
    ("floor-divide floats", A // B, FLOATS, [3.0, -4.0, None]),
    ("floor-divide integers by zero", A // 0, INTS, [None, None, None]),
    ("remainder", A % B, INTS, [1, 1, None]),
    ("remainder of a negative divisor", A % -2, INTS, [-1, -1, None]),
    ("remainder of a number", 7 % B, INTS, [1, 1, 1]),
    ("remainder of floats", A % B, FLOATS, [1.5, 0.5, None]),
    ("power", A**2, INTS, [49.0, 49.0, None]),
    ("power of a number", 2**B, INTS, [4.0, 4.0, 4.0]),
    ("negate", -A, INTS, [-7, 7, None]),
    ("plus", +A, INTS, [7, -7, None]),
    ("absolute", abs(A), INTS, [7, 7, None]),
    ("round", round(A), FLOATS, [8.0, -8.0, None]),
    ("floor", math.floor(A), FLOATS, [7.0, -8.0, None]),
    ("ceil", math.ceil(A), FLOATS, [8.0, -7.0, None]),
    ("truncate", math.trunc(A), FLOATS, [7.0, -7.0, None]),
    ("equal", A == 7, INTS, [True, False, None]),
    ("not equal", A != 7, INTS, [False, True, None]),
    ("less", A < B, INTS, [False, True, None]),
    ("less or equal", A <= 7, INTS, [True, True, None]),
    ("greater", A > 0, INTS, [True, False, None]),
    ("greater or equal", A >= 7, INTS, [True, False, None]),
    ("and", A & B, BOOLS, [True, False, False, None]),
    ("or", A | B, BOOLS, [True, True, False, True]),
    ("not", ~A, BOOLS, [False, False, True, None]),
    ("a constant and", True & A, BOOLS, [True, True, False, None]),
    ("a constant or", False | A, BOOLS, [True, True, False, None]),
    ("equal, nulls alike", A.eq_missing(None), INTS, [False, False, True]),
    ("not equal, nulls alike", A.ne_missing(None), INTS, [True, True, False]),
    ("bits in both", A.bitwise_and(3), INTS, [3, 1, None]),
    ("bits in either", A.bitwise_or(8), INTS, [15, -7 | 8, None]),
    ("bits in one", A.bitwise_xor(1), INTS, [6, -7 ^ 1, None]),
    ("bits up", A.shift_left(1), INTS, [14, -14, None]),
    ("bits down", A.shift_right(1), INTS, [3, -4, None]),
]


@pytest.mark.parametrize(
    ("expr", "columns", "expected"), [case[1:] for case in OPERATORS], ids=[c[0] for c in OPERATORS]
)
def test_operators(expr: sf.Expr, columns: dict[str, list[Any]], expected: list[Any]) -> None:
    assert same(values(expr, **columns), expected)


@pytest.mark.parametrize("divisor", [2, -2, 3, -3])
def test_division_is_pythons(divisor: int) -> None:
    numbers = list(range(-7, 8))
    assert values(A // divisor, a=numbers) == [n // divisor for n in numbers]
    assert values(A % divisor, a=numbers) == [n % divisor for n in numbers]
    halves = [n / 2 for n in numbers]
    assert values(A // divisor, a=halves) == [n // divisor for n in halves]
    assert values(A % divisor, a=halves) == [n % divisor for n in halves]
    assert values(A / divisor, a=numbers) == [n / divisor for n in numbers]


CONSTANTS = [
    (True, pa.bool_()),
    (1, pa.int64()),
    (2**63, pa.uint64()),
    (1.5, pa.float64()),
    ("x", pa.string()),
    (b"\x00\xff", pa.binary()),
    (Decimal("1.50"), pa.decimal128(3, 2)),
    (dt.date(2013, 1, 2), pa.date32()),
    (dt.time(1, 2, 3, 4), pa.time64("us")),
    (dt.datetime(2013, 1, 2, 3, 4, 5, 6), pa.timestamp("us")),
    (dt.datetime(2013, 1, 2, tzinfo=UTC), pa.timestamp("us", "UTC")),
    (dt.timedelta(days=1, microseconds=1), pa.duration("us")),
    ([1, None, 3], pa.list_(pa.int64())),
    ((1, 2), pa.list_(pa.int64())),
    ({"x": 1, "y": "z"}, pa.struct([("x", pa.int64()), ("y", pa.string())])),
    (np.int8(3), pa.int8()),
    (np.float32(1.5), pa.float32()),
    (np.bool_(True), pa.bool_()),
    (np.str_("x"), pa.string()),
    (np.array([1, 2], dtype="int16"), None),
    (np.datetime64("2013-01-02T03:04:05", "ns"), pa.timestamp("ns")),
    (np.timedelta64(5, "s"), pa.duration("s")),
    (pd.Timestamp("2013-01-02 03:04:05"), None),
    (pa.scalar(3, pa.int32()), pa.int32()),
    (pl.Series([1, 2]), None),
    (None, pa.null()),
]


@pytest.mark.parametrize(("constant", "dtype"), CONSTANTS, ids=[f"{type(c).__name__}-{c!r}"[:40] for c, _ in CONSTANTS])
def test_constants(constant: Any, dtype: pa.DataType | None) -> None:
    column = sf.from_pydict({"a": [1]}).select(sf.lit(constant).alias("r")).to_arrow().column("r")
    expected: Any = constant.as_py() if isinstance(constant, pa.Scalar) else constant
    if isinstance(expected, np.ndarray | pl.Series | tuple):
        expected = list(expected)
    elif isinstance(expected, np.datetime64 | np.timedelta64):
        expected = pa.array([expected]).to_pylist()[0]
    assert column.to_pylist() == [expected]
    if dtype is not None:
        assert column.type == dtype


def test_constants_that_are_none() -> None:
    with pytest.raises(TypeError, match="cannot stand in an expression"):
        sf.lit(object())
    with pytest.raises(OverflowError, match="decimal"):
        sf.lit(2**70)
    with pytest.raises(TypeError, match="cannot stand in an expression"):
        object() == A  # noqa: B015
    with pytest.raises(TypeError):
        A + object()
    # NumPy leaves its operators to the expression.
    assert (np.int64(3) + A).equals(sf.lit(np.int64(3)) + A)
    assert (np.float32(3) < A).equals(np.float32(3) < A)


METHODS: list[tuple[str, sf.Expr, dict[str, Any], list[Any]]] = [
    ("is_null", A.is_null(), INTS, [False, False, True]),
    ("is_not_null", A.is_not_null(), INTS, [True, True, False]),
    ("is_nan", A.is_nan(), {"a": [1.0, math.nan, None]}, [False, True, None]),
    ("is_not_nan", A.is_not_nan(), {"a": [1.0, math.nan, None]}, [True, False, None]),
    ("is_infinite", A.is_infinite(), {"a": [1.0, -math.inf, math.nan, None]}, [False, True, False, None]),
    ("is_finite", A.is_finite(), {"a": [1.0, -math.inf, math.nan, None]}, [True, False, False, None]),
    ("is_in", A.is_in([7, 8]), INTS, [True, False, None]),
    ("is_in of a null", A.is_in([7, None]), INTS, [True, False, None]),
    ("is_in of nothing", A.is_in([]), {"a": [1, 2]}, [False, False]),
    ("is_in of a set", A.is_in({7}), INTS, [True, False, None]),
    ("is_in of an array", A.is_in(np.array([7, 9])), INTS, [True, False, None]),
    ("is_in of a series", A.is_in(pd.Series([7, 9])), INTS, [True, False, None]),
    ("is_in of Arrow", A.is_in(pa.array([7, None])), INTS, [True, False, None]),
    ("is_in of lists", A.is_in(sf.col("xs")), {"a": [1, 2], "xs": [[1, 3], [1, 3]]}, [True, False]),
    ("between", A.between(2, 7), {"a": [1, 2, 5, 7, 8, None]}, [False, True, True, True, False, None]),
    ("between, left", A.between(2, 7, closed="left"), {"a": [2, 5, 7]}, [True, True, False]),
    ("between, right", A.between(2, 7, closed="right"), {"a": [2, 5, 7]}, [False, True, True]),
    ("between, none", A.between(2, 7, closed="none"), {"a": [2, 5, 7]}, [False, True, False]),
    ("fill_null", A.fill_null(0), INTS, [7, -7, 0]),
    ("fill_null by a column", A.fill_null(B), INTS, [7, -7, 2]),
    ("fill_nan", A.fill_nan(0.0), {"a": [1.0, math.nan, None]}, [1.0, 0.0, None]),
    ("null_if", A.null_if(7), INTS, [None, -7, None]),
    ("clip", A.clip(-1, 1), {"a": [5, 0, -5, None]}, [1, 0, -1, None]),
    ("clip below", A.clip(lower=-1), {"a": [5, 0, -5]}, [5, 0, -1]),
    ("clip above", A.clip(upper=1), {"a": [5, 0, -5]}, [1, 0, -5]),
    ("round", A.round(1), {"a": [1.25, -1.25, None]}, [1.3, -1.3, None]),
    ("sqrt", A.sqrt(), {"a": [4.0, None]}, [2.0, None]),
    ("cbrt", A.cbrt(), {"a": [27.0]}, [3.0]),
    ("exp", A.exp(), {"a": [0.0, 1.0]}, [1.0, math.e]),
    ("log", A.log(), {"a": [math.e]}, [1.0]),
    ("log of a base", A.log(2), {"a": [8.0]}, [3.0]),
    ("log2", A.log2(), {"a": [8.0]}, [3.0]),
    ("log10", A.log10(), {"a": [1000.0]}, [math.log10(1000)]),
    ("pow", A.pow(3), {"a": [2]}, [8.0]),
    ("sign", A.sign(), {"a": [-2.5, 0.0, 3.0]}, [-1.0, 0.0, 1.0]),
    ("sin", A.sin(), {"a": [1.0]}, [math.sin(1)]),
    ("cos", A.cos(), {"a": [1.0]}, [math.cos(1)]),
    ("tan", A.tan(), {"a": [1.0]}, [math.tan(1)]),
    ("asin", A.asin(), {"a": [0.5]}, [math.asin(0.5)]),
    ("acos", A.acos(), {"a": [0.5]}, [math.acos(0.5)]),
    ("atan", A.atan(), {"a": [0.5]}, [math.atan(0.5)]),
    ("sinh", A.sinh(), {"a": [0.5]}, [math.sinh(0.5)]),
    ("cosh", A.cosh(), {"a": [0.5]}, [math.cosh(0.5)]),
    ("tanh", A.tanh(), {"a": [0.5]}, [math.tanh(0.5)]),
    ("degrees", A.degrees(), {"a": [math.pi]}, [180.0]),
    ("radians", A.radians(), {"a": [180.0]}, [math.pi]),
    ("when", sf.when(A > 0).then("up"), INTS, ["up", None, None]),
    ("otherwise", sf.when(A > 0).then("up").otherwise("down"), INTS, ["up", "down", "down"]),
    (
        "when, when",
        sf.when(A > 5).then(2).when(A > 0).then(1).otherwise(0),
        {"a": [9, 3, -1, None]},
        [2, 1, 0, 0],
    ),
    ("element", sf.col("xs")[0], {"xs": [[1, 2], [], None]}, [1, None, None]),
    ("element from the end", sf.col("xs")[-1], {"xs": [[1, 2], [3]]}, [2, 3]),
    ("field", sf.col("s")["x"], {"s": [{"x": 1}, {"x": 2}, None]}, [1, 2, None]),
]


@pytest.mark.parametrize(("expr", "columns", "expected"), [case[1:] for case in METHODS], ids=[c[0] for c in METHODS])
def test_methods(expr: sf.Expr, columns: dict[str, Any], expected: list[Any]) -> None:
    assert same(values(expr, **columns), expected)


TYPES = [
    ("int8", pa.int8()),
    ("int64", pa.int64()),
    ("float", pa.float32()),
    ("double", pa.float64()),
    ("string", pa.string()),
    ("bigint", pa.int64()),
    ("decimal(12, 2)", pa.decimal128(12, 2)),
    ("timestamp[ms]", pa.timestamp("ms")),
    ("timestamp[us, tz=Europe/Madrid]", pa.timestamp("us", "Europe/Madrid")),
    ("Float64", pa.float64()),
    (pa.int16(), pa.int16()),
    (pa.decimal128(9, 3), pa.decimal128(9, 3)),
    (int, pa.int64()),
    (float, pa.float64()),
    (str, pa.string()),
    (bool, pa.bool_()),
    (dt.datetime, pa.timestamp("us")),
    (np.float32, pa.float32()),
    (np.dtype("int32"), pa.int32()),
]


@pytest.mark.parametrize(("dtype", "expected"), TYPES, ids=[str(t) for t, _ in TYPES])
def test_cast(dtype: Any, expected: pa.DataType) -> None:
    table = sf.from_pydict({"a": [1, None]}).select(A.cast(dtype).alias("r")).to_arrow()
    assert table.schema.field("r").type == expected


def test_cast_refuses_or_gives_null() -> None:
    with pytest.raises(sf.SheafError):
        values(A.cast("int64"), a=["1", "x"])
    assert values(A.cast("int64", strict=False), a=["1", "x"]) == [1, None]
    with pytest.raises(ValueError, match="unknown type"):
        A.cast("no type")
    with pytest.raises(TypeError, match="precision and scale"):
        A.cast(Decimal)
    with pytest.raises(TypeError, match="is not a type"):
        A.cast(7)  # type: ignore[arg-type]


NOON = dt.datetime(2013, 1, 31, 12)

TIMES: list[tuple[str, sf.Expr, list[Any]]] = [
    ("a span later", A + dt.timedelta(hours=1), [dt.datetime(2013, 1, 31, 13), None]),
    ("a span earlier", A - dt.timedelta(days=1), [dt.datetime(2013, 1, 30, 12), None]),
    ("a span before the column", dt.timedelta(hours=1) + A, [dt.datetime(2013, 1, 31, 13), None]),
    ("since a moment", A - dt.datetime(2013, 1, 1), [dt.timedelta(days=30, hours=12), None]),
    ("spans compared", (A - dt.datetime(2013, 1, 1)) > dt.timedelta(days=1), [True, None]),
    ("spans added", (A - dt.datetime(2013, 1, 1)) + dt.timedelta(hours=12), [dt.timedelta(days=31), None]),
    ("moments compared", dt.datetime(2013, 1, 31) <= A, [True, None]),
    ("a day compared", dt.date(2013, 1, 31) <= A, [True, None]),
]


@pytest.mark.parametrize(("expr", "expected"), [case[1:] for case in TIMES], ids=[case[0] for case in TIMES])
def test_times(expr: sf.Expr, expected: list[Any]) -> None:
    assert values(expr, a=pa.array([NOON, None], pa.timestamp("us"))) == expected


def test_days() -> None:
    days = pa.array([dt.date(2013, 1, 31)])
    assert values(A + dt.timedelta(days=1), a=days) == [dt.date(2013, 2, 1)]
    assert values(A - dt.timedelta(days=31), a=days) == [dt.date(2012, 12, 31)]
    assert values(A - dt.date(2013, 1, 1), a=days) == [dt.timedelta(days=30)]
    last = dt.date(9999, 12, 31)
    assert values((A - last).dt.total_days(), a=days) == [(dt.date(2013, 1, 31) - last).days]


GROUPED = {"k": ["p", "p", "p", "q"], "x": [1.0, 2.0, 4.0, None], "t": [3, 1, 2, 1], "f": [True, False, None, None]}
X, T, F = sf.col("x"), sf.col("t"), sf.col("f")

AGGREGATES: list[tuple[str, sf.Expr, list[Any]]] = [
    ("sum", X.sum(), [7.0, None]),
    ("mean", X.mean(), [7 / 3, None]),
    ("min", X.min(), [1.0, None]),
    ("max", X.max(), [4.0, None]),
    ("count", X.count(), [3, 0]),
    ("count rows", sf.functions.count(), [3, 1]),
    ("n_unique", F.n_unique(), [2, 0]),
    ("approx_n_unique", T.approx_n_unique(), [3, 1]),
    ("std", X.std(), [float(pd.Series([1, 2, 4]).std()), None]),
    ("std of all", X.std(ddof=0), [float(np.std([1, 2, 4])), None]),
    ("var", X.var(), [float(pd.Series([1, 2, 4]).var()), None]),
    ("var of all", X.var(ddof=0), [float(np.var([1, 2, 4])), None]),
    ("median", X.median(), [2.0, None]),
    ("quantile", X.quantile(0.25), [1.5, None]),
    ("first", X.first(order_by="t"), [2.0, None]),
    ("last", X.last(order_by="t"), [1.0, None]),
    ("last of the largest", X.last(order_by=T.desc()), [2.0, None]),
    ("any", F.any(), [True, None]),
    ("all", F.all(), [False, None]),
    ("any_value", X.any_value().filter(X > 2), [4.0, None]),
    ("agg_list", X.agg_list(order_by="t"), [[2.0, 4.0, 1.0], [None]]),
    ("list", X.list(order_by="t"), [[2.0, 4.0, 1.0], [None]]),
    ("distinct", F.count().distinct(), [2, 0]),
    ("filter", X.sum().filter(T > 1), [5.0, None]),
    ("of an expression", (X * 2).sum() + 1, [15.0, None]),
    ("corr", sf.functions.corr(X, T), [float(np.corrcoef([1, 2, 4], [3, 1, 2])[0, 1]), None]),
]


@pytest.mark.parametrize(("expr", "expected"), [case[1:] for case in AGGREGATES], ids=[case[0] for case in AGGREGATES])
def test_aggregates(expr: sf.Expr, expected: list[Any]) -> None:
    groups = sf.from_pydict(GROUPED).groupby("k").agg(expr.alias("r")).sort("k").to_pydict()
    assert same(groups["r"], expected)


ROWS = {"k": ["p", "q", "p", "p"], "t": [1, 1, 2, 3], "x": [10, 20, 30, 40]}

WINDOWS: list[tuple[str, sf.Expr, list[Any]]] = [
    ("partition", X.sum().over("k"), [80, 20, 80, 80]),
    ("all rows", X.sum().over(), [100, 100, 100, 100]),
    ("running", X.sum().over("k", order_by="t"), [10, 20, 40, 80]),
    ("the other way", X.sum().over("k", order_by=T.desc()), [80, 20, 70, 40]),
    ("rows", X.sum().over("k", order_by="t", frame=("rows", -1, 0)), [10, 20, 40, 70]),
    ("rows to come", X.sum().over("k", order_by="t", frame=("rows", 0, None)), [80, 20, 70, 40]),
    ("rows after", X.sum().over("k", order_by="t", frame=("rows", 1, 1)), [30, None, 40, None]),
    ("range", X.sum().over(order_by="t", frame=("range", -1, 0)), [30, 30, 60, 70]),
    ("range without end", X.sum().over(order_by="t", frame=("range", None, None)), [100] * 4),
    ("groups", X.sum().over(order_by="t", frame=("groups", -1, 0)), [30, 30, 60, 70]),
    ("row_number", sf.functions.row_number().over("k", order_by=T.desc()), [3, 1, 2, 1]),
    ("rank", sf.functions.rank().over(order_by="t"), [1, 1, 3, 4]),
    ("lag", sf.functions.lag(X, 1).over("k", order_by="t"), [None, None, 10, 30]),
    ("shift", X.shift(1).over("k", order_by="t"), [None, None, 10, 30]),
    ("shift with a value", X.shift(1, 0).over("k", order_by="t"), [0, 0, 10, 30]),
    ("shift back", X.shift(-1).over("k", order_by="t"), [30, None, 40, None]),
    ("first", X.first().over("k", order_by="t"), [10, 20, 10, 10]),
    ("first by its own order", X.first(order_by=T.desc()).over("k"), [40, 20, 40, 40]),
    ("last", X.last().over("k", order_by="t", frame=("rows", None, None)), [40, 20, 40, 40]),
    ("within an expression", X - X.mean().over("k"), [10 - 80 / 3, 0.0, 30 - 80 / 3, 40 - 80 / 3]),
    ("over an expression", (X.sum() / X.count()).over("k"), [80 / 3, 20.0, 80 / 3, 80 / 3]),
    ("two partitions", X.count().over(["k", "t"]), [1, 1, 1, 1]),
    ("distinct", sf.col("k").n_unique().over(), [2, 2, 2, 2]),
]


@pytest.mark.parametrize(("expr", "expected"), [case[1:] for case in WINDOWS], ids=[case[0] for case in WINDOWS])
def test_windows(expr: sf.Expr, expected: list[Any]) -> None:
    rows = sf.from_pydict({**ROWS, "i": [0, 1, 2, 3]}).with_columns(r=expr).sort("i").to_pydict()
    assert same(rows["r"], expected)


def test_windows_over_time() -> None:
    days = [dt.datetime(2013, 1, day) for day in (1, 2, 5)]
    last_day = X.sum().over(order_by="d", frame=("range", -dt.timedelta(days=1), 0))
    assert sf.from_pydict({"d": days, "x": [1, 2, 4]}).with_columns(r=last_day).sort("d").to_pydict()["r"] == [1, 3, 4]


def test_windows_that_are_none() -> None:
    with pytest.raises(ValueError, match="needs an aggregate or a window function"):
        X.over("k")
    with pytest.raises(ValueError, match="no unit of a frame"):
        X.sum().over("k", frame=("lines", -1, 0))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ends before it starts"):
        X.sum().over("k", frame=("rows", 1, -1))
    with pytest.raises(TypeError, match="unit, start, end"):
        X.sum().over("k", frame="rows")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="whole number"):
        X.sum().over("k", frame=("rows", -1.5, 0))
    with pytest.raises(ValueError, match="not to both"):
        X.first(order_by="t").over("k", order_by="t")


def test_sort_keys() -> None:
    rows = sf.from_pydict({"a": [2, None, 1]})
    assert rows.sort("a").to_pydict()["a"] == [1, 2, None]
    assert rows.sort(A.asc(nulls_first=True)).to_pydict()["a"] == [None, 1, 2]
    assert rows.sort(A.desc()).to_pydict()["a"] == [2, 1, None]
    assert rows.sort(A.desc(nulls_first=True)).to_pydict()["a"] == [None, 2, 1]
    assert repr(A.desc(nulls_first=True)) == "SortKey(a DESC NULLS FIRST)"


TEXT = [
    (A, "a"),
    (sf.col("Dep.Delay"), "Dep.Delay"),
    ((A + 1) * 2, "(a + 1) * 2"),
    (A + 1 * B, "a + 1 * b"),
    (A - (B - 1), "a - (b - 1)"),
    (A - B - 1, "a - b - 1"),
    (A / (B * 2), "a / (b * 2)"),
    (A // 2 % 3, "a // 2 % 3"),
    ((A > 1) & ((B < 2) | (B > 3)), "a > 1 AND (b < 2 OR b > 3)"),
    (~(A == 1), "NOT a = 1"),
    (-A, "-a"),
    (A == "it's", "a = 'it''s'"),
    (A.is_null(), "a IS NULL"),
    (A.is_in([1, 2]), "a IN (1, 2)"),
    (dt.date(2013, 1, 2) == A, "a = 2013-01-02"),
    (A.sum(), "sum(a)"),
    (sf.functions.count(), "count(*)"),
    (sf.when(A > 1).then(B).otherwise(0), "CASE WHEN a > 1 THEN b ELSE 0 END"),
    (A.sum().over("k", order_by=B.desc()), "sum(a) OVER (PARTITION BY k ORDER BY b DESC)"),
    (sf.col("xs")[0], "array_element(xs, 1)"),
    (sf.col("s")["x"], "s[x]"),
]


@pytest.mark.parametrize(("expr", "text"), TEXT, ids=[text for _, text in TEXT])
def test_text_and_names(expr: sf.Expr, text: str) -> None:
    assert repr(expr) == f"Expr({text})"
    assert expr.name == text


def test_names() -> None:
    table = sf.from_pydict({"a": [1], "b": [2]}).select(A + B, A.cast("int8"), (A * 2).alias("twice")).to_arrow()
    assert table.column_names == ["a + b", "a", "twice"]
    table = sf.from_pydict({"a": [1], "b": [2]}).groupby("b").agg(A.sum(), A.max()).to_arrow()
    assert table.column_names == ["b", "sum(a)", "max(a)"]
    assert repr(A.cast("int8")) == "Expr(CAST(a AS Int8))"
    assert (A + 1).alias("x").alias("y").name == "y"
    # Names are taken as they are.
    odd = sf.from_pydict({"Dep.Delay": [1], "dep.delay": [2]})
    assert odd.select(sf.col("Dep.Delay") + 1).to_pydict() == {"Dep.Delay + 1": [2]}


def test_truth_and_identity() -> None:
    with pytest.raises(TypeError, match="use & for and"):
        bool(A == 1)
    with pytest.raises(TypeError, match="use & for and"):
        _ = A > 0 and B > 0
    with pytest.raises(TypeError, match="unhashable"):
        hash(A)
    with pytest.raises(TypeError, match="is_in"):
        _ = 1 in A
    with pytest.raises(TypeError, match="no rows"):
        list(A)
    with pytest.raises(TypeError, match="list of values"):
        A.is_in("abc")
    with pytest.raises(ValueError, match="closed"):
        A.between(1, 2, closed="all")  # type: ignore[arg-type]
    assert (A + 1).equals(sf.col("a") + 1)
    assert not (A + 1).equals(A + 2)
    with pytest.raises(TypeError, match="belong to aggregates"):
        (A + 1).distinct()
