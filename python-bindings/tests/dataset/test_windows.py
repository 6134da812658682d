"""Windows: the `Window` builder, the verb, the functions of ranks, and what is computed from the rows before."""

import random
from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pytest

import sheaf as sf

X = sf.col("x")


def some_rows(seed: int) -> pl.DataFrame:
    """Return rows with nulls in a random order; `t` is different on each."""
    dice = random.Random(seed)
    rows = dice.choice([0, 1, 40, 300])
    t = dice.sample(range(10 * rows + 1), rows)
    x = [None if dice.random() < 0.2 else dice.randrange(-5, 6) for _ in range(rows)]
    return pl.DataFrame(
        {"k": [dice.choice(["a", "b", None]) for _ in t], "t": t, "x": x},
        schema={"k": pl.String, "t": pl.Int64, "x": pl.Int64},
    )


def dataset(frame: pl.DataFrame) -> sf.Dataset:
    """Return the rows in two partitions."""
    middle = len(frame) // 2
    return sf.from_polars(frame[:middle]).union(sf.from_polars(frame[middle:]))


CALLS: dict[str, tuple[sf.Expr, pl.Expr]] = {
    "shift": (X.shift(2), pl.col("x").shift(2)),
    "shift back": (X.shift(-1, 0), pl.col("x").shift(-1, fill_value=0)),
    "no shift": (X.shift(0), pl.col("x")),
    "diff": (X.diff(), pl.col("x").diff()),
    "diff of three": (X.diff(3), pl.col("x").diff(3)),
    "cum_sum": (X.cum_sum(), pl.col("x").cum_sum()),
    "cum_max": (X.cum_max(), pl.col("x").cum_max()),
    "cum_min": (X.cum_min(), pl.col("x").cum_min()),
    "cum_count": (X.cum_count(), pl.col("x").cum_count()),
    "within an expression": (X - X.cum_sum() * 2, pl.col("x") - pl.col("x").cum_sum() * 2),
}


@pytest.mark.parametrize("by", [None, "k"])
@pytest.mark.parametrize("name", CALLS)
def test_rows_before_against_polars(name: str, by: str | None) -> None:
    ours, theirs = CALLS[name]
    for seed in range(8):
        frame = some_rows(seed)
        expected = frame.sort("t").with_columns(y=theirs.over(by) if by else theirs)
        got = dataset(frame).with_column("y", ours.over(by, order_by="t")).sort("t").to_polars()
        assert got["y"].to_list() == expected["y"].to_list(), seed


VERBS: dict[str, tuple[Callable[[sf.Dataset], sf.Dataset], pl.Expr]] = {
    "shift": (lambda ds: ds.shift("x", order_by="t", by="k", fill_value=7), pl.col("x").shift(1, fill_value=7)),
    "shift back": (lambda ds: ds.shift("x", order_by="t", by="k", rows=-2), pl.col("x").shift(-2)),
    "diff": (lambda ds: ds.diff(["x"], order_by="t", by=["k"]), pl.col("x").diff()),
    "cumsum": (lambda ds: ds.cumsum("x", order_by="t", by="k"), pl.col("x").cum_sum()),
    "cummax": (lambda ds: ds.cummax("x", order_by="t", by="k"), pl.col("x").cum_max()),
    "cummin": (lambda ds: ds.cummin("x", order_by="t", by="k"), pl.col("x").cum_min()),
    "cumcount": (lambda ds: ds.cumcount("x", order_by="t", by="k"), pl.col("x").cum_count()),
}


@pytest.mark.parametrize("name", VERBS)
def test_verbs_against_polars(name: str) -> None:
    ours, theirs = VERBS[name]
    for seed in range(8):
        frame = some_rows(seed)
        expected = frame.sort("t").with_columns(theirs.over("k"))
        got = ours(dataset(frame)).sort("t").to_polars()
        assert got.rows() == expected.rows(), seed


@pytest.mark.parametrize("dtype", ["Int64", "Float64"])
def test_changes_against_pandas(dtype: Any) -> None:
    for seed in range(8):
        frame = some_rows(seed).to_pandas().astype({"x": dtype})
        ordered = frame.sort_values("t", ignore_index=True)
        got = sf.from_pandas(frame).pct_change("x", order_by="t", rows=2).sort("t").to_pandas()["x"]
        wanted = ordered["x"].astype("Float64").pct_change(2, fill_method=None)
        # A value after a zero and the like: pandas masks what is no number.
        pd.testing.assert_series_equal(got.astype("float64"), wanted.astype("float64"), check_names=False)


def test_products() -> None:
    numbers = sf.from_pydict({"t": [1, 2, 3, 4], "i": [3, None, -2, 5], "f": [0.5, 4.0, None, 3.0]})
    got = numbers.cumprod("i", "f", order_by="t").sort("t")
    assert got.to_pydict() == {"t": [1, 2, 3, 4], "i": [3, None, -6, -30], "f": [0.5, 2.0, None, 6.0]}
    with pytest.raises(sf.SheafError, match="product of integers is over 64 bits"):
        sf.from_pydict({"t": [1, 2, 3], "i": [2**40] * 3}).cumprod("i", order_by="t").collect()
    with pytest.raises(sf.InvalidInputError, match="product is of numbers"):
        sf.from_pydict({"t": [1], "i": ["a"]}).cumprod("i", order_by="t").collect()


def test_order_must_be_said() -> None:
    rows = sf.from_pydict({"t": [1], "x": [2]})
    for verb in ("shift", "diff", "pct_change", "cumsum"):
        with pytest.raises(sf.InvalidInputError, match=f"{verb} looks at the rows before, and no order"):
            getattr(rows, verb)("x", order_by=[])
        with pytest.raises(TypeError, match="order_by"):
            getattr(rows, verb)("x")
        with pytest.raises(sf.UnknownColumnError):
            getattr(rows, verb)("y", order_by="t")
        with pytest.raises(sf.InvalidInputError, match="at least one column"):
            getattr(rows, verb)(order_by="t")
    for expr in (X.shift(), X.diff(), X.cum_sum(), X.cum_sum().over("t")):
        with pytest.raises(sf.InvalidInputError, match="no order says which they are"):
            rows.select(expr)


# Equal values of `t` are peers.
RANKED = sf.from_pydict({"k": ["a"] * 5 + ["b"], "t": [1, 2, 2, 3, 4, 1], "x": [5, 6, 6, 7, 8, 9]})
RANKS: list[tuple[sf.Expr, list[Any]]] = [
    (sf.functions.row_number(), [1, 2, 3, 4, 5, 1]),
    (sf.functions.rank(), [1, 2, 2, 4, 5, 1]),
    (sf.functions.dense_rank(), [1, 2, 2, 3, 4, 1]),
    (sf.functions.percent_rank(), [0.0, 0.25, 0.25, 0.75, 1.0, 0.0]),
    (sf.functions.cume_dist(), [0.2, 0.6, 0.6, 0.8, 1.0, 1.0]),
    (sf.functions.ntile(2), [1, 1, 1, 2, 2, 1]),
    (sf.functions.lag(X, 1), [None, 5, 6, 6, 7, None]),
    (sf.functions.lead(X, 2, -1), [6, 7, 8, -1, -1, -1]),
    (sf.functions.first_value(X), [5, 5, 5, 5, 5, 9]),
    (sf.functions.last_value(X), [5, 6, 6, 7, 8, 9]),
    (sf.functions.nth_value(X, 2), [None, 6, 6, 6, 6, None]),
]


@pytest.mark.parametrize(("call", "expected"), RANKS, ids=lambda case: str(case) if isinstance(case, sf.Expr) else "")
def test_ranks_and_neighbours(call: sf.Expr, expected: list[Any]) -> None:
    window = sf.Window().partition_by("k").order_by("t")
    for made in (
        RANKED.window(window, y=call),
        RANKED.window("k", order_by="t", y=call),
        RANKED.with_column("y", call.over(window)),
    ):
        assert made.sort("k", "t").to_pydict()["y"] == expected


def test_frames() -> None:
    by_time = sf.Window().partition_by(["k"]).order_by(sf.col("t").asc())
    sums = RANKED.window(by_time.rows_between(-1, 0), rows=X.sum())
    sums = sums.window(by_time.range_between(-1, 0), range=X.sum())
    sums = sums.window(by_time.groups_between(0, 1), groups=X.sum())
    sums = sums.window("k", order_by="t", frame=("rows", None, None), all=X.sum())
    assert sums.sort("k", "t").select("rows", "range", "groups", "all").to_pydict() == {
        "rows": [5, 11, 12, 13, 15, 9],
        "range": [5, 17, 17, 19, 15, 9],
        "groups": [17, 19, 19, 15, 8, 9],
        "all": [32, 32, 32, 32, 32, 9],
    }


def test_windows_that_are_wrong() -> None:
    window = sf.Window().order_by("t")
    with pytest.raises(sf.InvalidInputError, match="ends before it starts"):
        window.rows_between(1, -1)
    with pytest.raises(ValueError, match="its order and its frame already"):
        X.sum().over(window, order_by="x")
    with pytest.raises(sf.InvalidInputError, match="its order and its frame already"):
        RANKED.window(window, frame=("rows", 0, 1), y=X.sum())
    with pytest.raises(sf.InvalidInputError, match="needs an aggregate or a window function"):
        RANKED.window("k", y=X + 1)
    with pytest.raises(TypeError, match="whole number"):
        window.rows_between(-1.5, 0)  # type: ignore[arg-type]
    with pytest.raises(sf.UnknownColumnError):
        RANKED.window("nowhere", y=X.sum())
