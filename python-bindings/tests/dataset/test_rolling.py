"""Windows along a column: `rolling` against pandas, `group_by_dynamic` against Polars and by each row's windows."""

import datetime as dt
import itertools
import random
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import sheaf as sf

X = sf.col("x")
DAY = dt.timedelta(days=1)
START = dt.datetime(1969, 12, 20)


def some_rows(dice: random.Random, step: dt.timedelta = DAY, distinct: bool = False) -> pd.DataFrame:
    """Return rows in a random order, some of one time, with nulls in `x`."""
    rows = dice.choice([0, 1, 30, 200])
    steps = dice.sample(range(3 * rows + 1), rows) if distinct else [dice.randrange(2 * rows + 1) for _ in range(rows)]
    return pd.DataFrame(
        {
            "t": pd.Series([START + step * number for number in steps], dtype="datetime64[us]"),
            "n": pd.Series(steps, dtype="int64"),
            "k": pd.Series([dice.choice("ab") for _ in steps], dtype="str"),
            "x": pd.Series([None if dice.random() < 0.2 else dice.randrange(9) for _ in steps], dtype="Int64"),
            "row": pd.Series(range(rows), dtype="int64"),
        }
    )


def dataset(frame: pd.DataFrame) -> sf.Dataset:
    """Return the rows in two partitions."""
    middle = len(frame) // 2
    return sf.from_pandas(frame[:middle]).union(sf.from_pandas(frame[middle:]))


def same(got: sf.Dataset, expected: pd.Series, name: str = "y") -> None:
    """Check a column against one of pandas, in the order of the rows."""
    ours = got.sort("row").to_pandas()[name].astype("float64").to_numpy()
    np.testing.assert_allclose(ours, expected.astype("float64").to_numpy())


CLOSED: Any = ["right", "left", "both", "neither"]


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("window", ["5d", "1d", dt.timedelta(hours=36), "2d12h"])
def test_spans_of_time_against_pandas(window: Any, closed: Any) -> None:
    dice = random.Random(f"{window} {closed}")
    span = window if isinstance(window, dt.timedelta) else pd.Timedelta(window.upper().replace("H", "h"))
    for _ in range(5):
        # pandas leaves equal times after a row out of its window, so that times are different here.
        frame = some_rows(dice, dt.timedelta(hours=12), distinct=True)
        least = dice.choice([1, 2, 3])
        rolled = frame.astype({"x": "float64"}).sort_values("t").rolling(span, on="t", min_periods=least, closed=closed)
        for name, call in (("sum", X.sum()), ("mean", X.mean()), ("max", X.max())):
            got = dataset(frame).rolling("t", window, min_periods=least, closed=closed).agg(y=call)
            same(got, getattr(rolled["x"], name)().sort_index())


@pytest.mark.parametrize("window", ["4d", "5d", "1d"])
def test_centered_spans_against_pandas(window: str) -> None:
    dice = random.Random(window)
    for closed in CLOSED:
        if window == "1d" and closed == "neither":
            continue
        frame = some_rows(dice, dt.timedelta(hours=12), distinct=True)
        ordered = frame.astype({"x": "float64"}).sort_values("t")
        expected = ordered.rolling(pd.Timedelta(window.upper()), on="t", center=True, min_periods=1, closed=closed)[
            "x"
        ].sum()
        same(dataset(frame).rolling("t", window, center=True, closed=closed).agg(y=X.sum()), expected.sort_index())


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("window", [1, 2, 5])
def test_numbers_of_rows_against_pandas(window: int, center: bool, closed: Any) -> None:
    if window == 1 and closed == "neither":
        pytest.skip("holds no row")
    dice = random.Random(f"{window} {center} {closed}")
    for _ in range(4):
        frame = some_rows(dice, distinct=True)
        least = dice.choice([1, min(window, 2)])
        ordered = frame.astype({"x": "float64"}).sort_values("n")
        parts = [part for _, part in ordered.groupby("k")["x"]]
        rolled = [part.rolling(window, min_periods=least, closed=closed, center=center).sum() for part in parts]
        expected = pd.concat(rolled) if rolled else ordered["x"]
        got = dataset(frame).rolling("n", window, by="k", min_periods=least, closed=closed, center=center)
        same(got.agg(y=X.sum()), expected.sort_index())


def in_window(first: Any, last: Any, closed: str, at: Any) -> bool:
    return (first <= at if closed in ("left", "both") else first < at) and (
        at <= last if closed in ("right", "both") else at < last
    )


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize(
    ("on", "window", "length"),
    [
        ("t", "3d", 3 * DAY),
        ("t", "1mo", None),
        ("n", "3i", 3),
        ("d", "2d", 2 * DAY),
        ("d", "1mo", None),
        ("u", "2i", 2),
    ],
)
def test_equal_values_are_in_or_out_together(on: str, window: str, length: Any, closed: Any) -> None:
    dice = random.Random(f"{on} {window} {closed}")
    for _ in range(4):
        frame = some_rows(dice)
        frame["d"] = frame["t"].dt.date
        frame["u"] = frame["n"].astype("uint16")
        values, x = list(frame[on]), list(frame["x"])
        expected = []
        for at in values:
            start = at - length if length is not None else (pd.Timestamp(at) - pd.DateOffset(months=1))
            if length is None and on == "d":
                start = start.date()
            inside = [x[row] for row, other in enumerate(values) if in_window(start, at, closed, other)]
            inside = [value for value in inside if value is not pd.NA]
            expected.append(sum(inside) if inside else None)
        rows = dataset(frame.astype({"d": "object"})) if len(frame) > 1 else sf.from_pandas(frame)
        rows = rows.with_column("d", sf.col("d").cast("date32"))
        same(rows.rolling(on, window, closed=closed).agg(y=X.sum()), pd.Series(expected, dtype="Int64"))


def test_rows_without_a_value_in_the_column() -> None:
    rows = sf.from_pydict({"n": [1, None, 2, None], "x": [1, 2, 3, 4]})
    got = rows.rolling("n", "2i").agg(y=X.sum(), n_rows=sf.functions.count())
    assert got.sort("x").to_pydict() == {
        "n": [1, None, 2, None], "x": [1, 2, 3, 4], "y": [1, None, 4, None], "n_rows": [1, None, 2, None]
    }  # fmt: skip


def test_more_than_one_batch_and_partition() -> None:
    rows = 60_000
    got = sf.range(rows).rolling("id", "1000i").agg(y=sf.col("id").min(), n=sf.functions.count())
    seen = got.sort("id").to_polars()
    expected = pl.int_range(rows, eager=True)
    assert seen["y"].equals((expected - 999).clip(0))
    assert seen["n"].equals((expected + 1).clip(0, 1000))


ROLLING_BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"on": "f", "window": "3i"}, sf.TypeMismatchError, "whole numbers, dates or timestamps"),
    ({"on": "n", "window": "3d"}, sf.TypeMismatchError, "no whole number of steps"),
    ({"on": "t", "window": "3i"}, sf.TypeMismatchError, "no whole number of steps"),
    ({"on": "d", "window": "12h"}, sf.TypeMismatchError, "no whole number of steps"),
    ({"on": "t", "window": "1ns"}, sf.TypeMismatchError, "no whole number of steps"),
    ({"on": "n", "window": 0}, sf.InvalidInputError, "holds no row"),
    ({"on": "n", "window": 1, "closed": "neither"}, sf.InvalidInputError, "holds no row"),
    ({"on": "t", "window": "-1d"}, sf.InvalidInputError, "reaches some way"),
    ({"on": "t", "window": "1mo", "center": True}, sf.InvalidInputError, "no one length"),
    ({"on": "t", "window": "soon"}, sf.InvalidInputError, "no span"),
    ({"on": "t", "window": "1d", "closed": "up"}, sf.InvalidInputError, "closed at"),
    ({"on": "t", "window": "1d", "min_periods": -1}, sf.InvalidInputError, "min_periods"),
    ({"on": "t", "window": 1.5}, TypeError, "span|int"),
    ({"on": "x", "window": 1}, sf.UnknownColumnError, "x"),
]


@pytest.mark.parametrize(("arguments", "error", "says"), ROLLING_BAD)
def test_windows_that_are_wrong(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    rows = sf.from_pydict({"t": [START], "d": [START.date()], "n": [1], "f": [1.0]})
    with pytest.raises(error, match=says):
        rows.rolling(**arguments).agg(y=sf.col("n").sum())


def test_rolling_needs_an_aggregate() -> None:
    with pytest.raises(sf.InvalidInputError, match="needs an aggregate"):
        sf.range(3).rolling("id", 2).agg(y=sf.col("id") + 1)


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize(
    ("every", "period", "offset"),
    [("1d", None, None), ("2d", None, "6h"), ("1w", None, None), ("2w", None, "1d"), ("1mo", None, None),
     ("3mo", None, None), ("1y", None, None), ("5d", "2d", None)],
)  # fmt: skip
def test_groups_against_polars(every: str, period: str | None, offset: str | None, closed: Any) -> None:
    dice = random.Random(f"{every} {period} {closed}")
    for _ in range(4):
        frame = some_rows(dice, dt.timedelta(hours=6 * dice.choice([1, 2, 20]))).astype({"x": "Int64"})
        label: Any = dice.choice(["left", "right", "datapoint"])
        # Polars leaves out windows that start before the first row.
        if len(frame) == 0 or closed == "both":
            continue
        theirs = (
            pl.from_pandas(frame)
            .sort("t", "row")
            .group_by_dynamic(
                "t",
                every=every,
                period=period,
                offset=offset or "0d",
                closed={"neither": "none"}.get(closed, closed),
                label=label,
                group_by="k",
            )
            .agg(y=pl.col("x").sum(), rows=pl.col("row").sort())
            .filter(pl.col("rows").list.len() > 0)
        )
        ours = dataset(frame).group_by_dynamic(
            "t", every, period=period, offset=offset, closed=closed, label=label, by="k"
        )
        got = ours.agg(y=X.sum().fill_null(0), rows=sf.col("row").agg_list(order_by="row"))
        assert got.columns == ["k", "t", "y", "rows"]
        key = [list(row.values()) for row in got.to_arrow().to_pylist()]
        wanted = [list(row) for row in theirs.rows()]
        assert sorted(key) == sorted(wanted), (every, period, closed, label)


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize(
    ("every", "period"),
    [("6h", "1d"), ("1d", "5d"), ("1d", "1d"), ("1d", "1mo"), ("1mo", "2mo"), ("1mo", "40d"), ("1w", "9d")],
)
def test_a_row_is_in_each_window_that_it_lies_in(every: str, period: str, closed: Any) -> None:
    dice = random.Random(f"{every} {period} {closed}")
    frame = some_rows(dice, dt.timedelta(hours=6 * dice.choice([1, 2, 6])))
    offsets = {"6h": "6h", "1d": "D", "1mo": "MS", "1w": "W-MON"}
    starts = pd.date_range("1969-10-01", "1972-12-31", freq=offsets[every])
    amount, unit = int(period.rstrip("dmo")), period.lstrip("0123456789")
    length = pd.DateOffset(months=amount) if unit == "mo" else pd.DateOffset(days=amount)
    expected = []
    for start in starts:
        inside = [row for row, at in zip(frame["row"], frame["t"], strict=True)
                  if in_window(start, start + length, closed, at)]  # fmt: skip
        if inside:
            expected.append((start.to_pydatetime(), inside))
    got = dataset(frame).group_by_dynamic("t", every, period=period, closed=closed)
    rows = got.agg(rows=sf.col("row").agg_list(order_by="row")).sort("t").to_arrow().to_pylist()
    assert [(row["t"], row["rows"]) for row in rows] == expected


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize(("every", "period", "offset"), [(3, None, 0), (2, 5, 1), (5, 2, -1), (1, 4, 0)])
def test_groups_of_whole_numbers(every: int, period: int | None, offset: int, closed: Any) -> None:
    dice = random.Random(f"{every} {period} {closed}")
    length = period or every
    numbers = [dice.randrange(-30, 30) for _ in range(100)]
    windows: dict[int, int] = {}
    for number, ordinal in itertools.product(numbers, range(-60, 60)):
        start = ordinal * every + offset
        if in_window(start, start + length, closed, number):
            windows[start] = windows.get(start, 0) + 1
    got = sf.from_pydict({"n": numbers}).group_by_dynamic("n", every, period=period, offset=offset, closed=closed)
    seen = got.agg(rows=sf.functions.count()).sort("n").to_pydict()
    assert dict(zip(seen["n"], seen["rows"], strict=True)) == dict(sorted(windows.items()))


def test_groups_of_dates_and_of_times_with_zones() -> None:
    days = [dt.date(1969, 12, 31), dt.date(1970, 1, 1), dt.date(2024, 2, 29), None]
    months = sf.from_pydict({"d": days}).group_by_dynamic("d", "1mo", label="right").agg(n=sf.functions.count())
    assert months.sort("d").to_pydict() == {
        "d": [dt.date(1970, 1, 1), dt.date(1970, 2, 1), dt.date(2024, 3, 1)], "n": [1, 1, 1]
    }  # fmt: skip
    zone = pd.Timestamp("2024-01-31 23:30", tz="America/New_York")
    zoned = sf.from_pandas(pd.DataFrame({"t": [zone]})).group_by_dynamic("t", "1mo").agg(n=sf.functions.count())
    # Months of UTC, where it is February already.
    assert zoned.to_pandas()["t"][0] == pd.Timestamp("2024-02-01", tz="UTC")
    assert str(zoned.schema.field("t").type) == str(sf.from_pandas(pd.DataFrame({"t": [zone]})).schema.field("t").type)


GROUPS_BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"on": "n", "every": "1d"}, sf.TypeMismatchError, "no whole number of steps"),
    ({"on": "t", "every": 5}, sf.TypeMismatchError, "no whole number of steps"),
    ({"on": "t", "every": "0d"}, sf.InvalidInputError, "every is 0ns"),
    ({"on": "t", "every": "1d", "period": "-1d"}, sf.InvalidInputError, "period is"),
    ({"on": "t", "every": "1s", "period": "1y"}, sf.InvalidInputError, "windows, over the 10000"),
    ({"on": "t", "every": "1mo", "offset": "1mo"}, sf.InvalidInputError, "months later"),
    ({"on": "t", "every": "1d", "label": "middle"}, sf.InvalidInputError, "label"),
    ({"on": "x", "every": 1}, sf.UnknownColumnError, "x"),
]


@pytest.mark.parametrize(("arguments", "error", "says"), GROUPS_BAD)
def test_groups_that_are_wrong(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    rows = sf.from_pydict({"t": [START], "n": [1]})
    with pytest.raises(error, match=says):
        rows.group_by_dynamic(**arguments).agg(y=sf.col("n").sum())
