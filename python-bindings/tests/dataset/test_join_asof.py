"""As-of joins, against pandas: all strategies, groups, equal values, tolerances, nulls, several partitions."""

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sheaf as sf

START = dt.datetime(1969, 12, 30)


def some_rows(dice: random.Random, kind: str, ties: bool) -> pd.DataFrame:
    """Return rows in a random order; `row` tells them apart."""
    rows = dice.choice([0, 1, 20, 150])
    steps = [dice.randrange(rows) for _ in range(rows)] if ties else dice.sample(range(2 * rows), rows)
    at: Any = {
        "int": lambda: np.array(steps, dtype="int64"),
        "float": lambda: np.array(steps, dtype="float64") / 4,
        "time": lambda: np.array([START + dt.timedelta(minutes=step) for step in steps], dtype="datetime64[us]"),
    }[kind]()
    return pd.DataFrame(
        {
            "t": at,
            "k": pd.Series([dice.choice(["a", "b", "c"]) for _ in steps], dtype="str"),
            "j": pd.Series([dice.randrange(2) for _ in steps], dtype="int64"),
            "row": pd.Series(range(rows), dtype="int64"),
        }
    )


def dataset(frame: pd.DataFrame) -> sf.Dataset:
    """Return the rows in two partitions."""
    middle = len(frame) // 2
    return sf.from_pandas(frame[:middle]).union(sf.from_pandas(frame[middle:]))


def matches(joined: pd.DataFrame, column: str) -> list[Any]:
    """Return the matched values in the order of the left rows."""
    values = joined.sort_values("row")[column]
    return [None if pd.isna(value) else value for value in values]


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("strategy", ["backward", "forward", "nearest"])
@pytest.mark.parametrize("kind", ["int", "float", "time"])
def test_against_pandas(kind: str, strategy: Any, exact: bool) -> None:
    dice = random.Random(f"{kind} {strategy} {exact}")
    tolerances: dict[str, list[Any]] = {
        "int": [None, 0, 1, 5], "float": [None, 0.25, 2.0], "time": [None, dt.timedelta(minutes=3)],
    }  # fmt: skip
    for _ in range(12):
        # With equal values on the right, which row it is is not said; what value it has is.
        ties = dice.random() < 0.5
        left, right = some_rows(dice, kind, ties), some_rows(dice, kind, ties)
        by, tolerance = dice.choice([None, ["k"], ["k", "j"]]), dice.choice(tolerances[kind])
        right = right.assign(at=right["t"])
        expected = pd.merge_asof(
            left.sort_values("t"),
            right.sort_values("t").rename(columns={"row": "other"}),
            on="t",
            by=by,
            direction=strategy,
            tolerance=tolerance,
            allow_exact_matches=exact,
        )
        ours = dataset(left).join_asof(
            dataset(right).rename({"row": "other"}),
            on="t",
            by=by,
            strategy=strategy,
            tolerance=tolerance,
            allow_exact_matches=exact,
        )
        got = ours.to_pandas()
        shared = [name for name in ("k", "j") if name not in (by or [])]
        assert ours.columns == ["t", "k", "j", "row", *[f"{name}_right" for name in ("k", "j") if name in shared],
                                "other", "at"]  # fmt: skip
        assert matches(got, "at") == matches(expected, "at"), (by, tolerance)
        if not ties:
            assert matches(got, "other") == matches(expected, "other"), (by, tolerance)


def test_equal_values_match_a_row_of_that_value() -> None:
    left = sf.from_pydict({"t": [5, 5, 6], "row": [0, 1, 2]})
    right = sf.from_pydict({"at": [4, 5, 5, 7, 7], "name": ["a", "b", "c", "d", "e"]})
    for strategy, exact, allowed in [
        ("backward", True, ["bc", "bc", "bc"]),
        ("backward", False, ["a", "a", "bc"]),
        ("forward", True, ["bc", "bc", "de"]),
        ("forward", False, ["de", "de", "de"]),
        ("nearest", True, ["bc", "bc", "bc"]),
        ("nearest", False, ["a", "a", "bc"]),
    ]:
        joined = left.join_asof(
            right,
            left_on="t",
            right_on="at",
            strategy=strategy,
            allow_exact_matches=exact,  # type: ignore[arg-type]
        )
        names = joined.sort("row").to_pydict()["name"]
        assert all(name in some for name, some in zip(names, allowed, strict=True)), (strategy, exact, names)


@pytest.mark.parametrize(
    ("left", "right", "tolerance", "expected"),
    [
        ([dt.date(1970, 1, 1), dt.date(1969, 12, 1)], [dt.date(1969, 12, 31)], "1d", [0, None]),
        ([dt.date(1970, 1, 1)], [dt.datetime(1969, 12, 31, 23)], "1h", [0]),
        ([dt.date(1970, 1, 1)], [dt.datetime(1969, 12, 31, 23)], "59m", [None]),
        ([Decimal("1.50"), Decimal("9.00")], [Decimal("0.5")], 1, [0, None]),
        ([np.uint64(2**64 - 1)], [np.uint64(2**64 - 3)], 2, [0]),
        ([-5, 5], [4.5], 0.5, [None, 0]),
        ([1, None, 3], [None, 2], None, [None, None, 1]),
        ([1.0, float("nan"), 0.0], [-0.0, float("nan")], None, [0, None, 0]),
        ([np.int8(5)], [np.uint16(3)], None, [0]),
    ],
)
def test_types(left: list[Any], right: list[Any], tolerance: Any, expected: list[Any]) -> None:
    ours = sf.from_pydict({"t": left, "row": list(range(len(left)))}).join_asof(
        sf.from_pydict({"t": right, "other": list(range(len(right)))}), on="t", tolerance=tolerance
    )
    assert ours.sort("row").to_pydict()["other"] == expected


def test_null_groups_match_nothing() -> None:
    rows = sf.from_pydict({"t": [1, 2], "k": ["a", None]})
    assert rows.join_asof(rows, on="t", by="k", suffix="_r").columns == ["t", "k"]
    joined = rows.join_asof(rows.with_column("other", sf.col("t")), on="t", by="k")
    assert joined.sort("t").to_pydict() == {"t": [1, 2], "k": ["a", None], "other": [1, None]}


def test_keys_that_are_computed() -> None:
    left = sf.from_pydict({"t": [10, 20]})
    joined = left.join_asof(left, left_on=sf.col("t") + 5, right_on="t", strategy="nearest")
    assert joined.sort("t").to_pydict() == {"t": [10, 20], "t_right": [10, 20]}


def test_many_batches_and_partitions() -> None:
    rows = 120_000
    left = sf.range(rows).select(t=sf.col("id") * 10, k=sf.col("id") % 7)
    # One right row in a thousand left ones, and the other way round.
    sparse = sf.range(rows // 1000).select(at=sf.col("id") * 10_000 - 1)
    got = left.join_asof(sparse, left_on="t", right_on="at").aggregate(
        n=sf.functions.count(), bad=(sf.col("at") != (sf.col("t") + 1) // 10_000 * 10_000 - 1).cast("int64").sum()
    )
    assert got.to_pydict() == {"n": [rows], "bad": [0]}
    dense = sf.range(10 * rows).select(at=sf.col("id"), k=sf.col("id") % 7)
    few = left.filter(sf.col("t") % 10_000 == 0)
    by = few.join_asof(dense, left_on="t", right_on="at", by="k").to_pandas()
    assert len(by) == rows // 1000
    assert ((by["at"] % 7 == by["k"]) & (by["at"] <= by["t"]) & (by["t"] - by["at"] < 7)).all()


def test_the_sorts_spill() -> None:
    session = sf.Session(threads=2, memory_limit="128MB")
    rows = 1_500_000
    ids = session.range(rows)
    shuffled = ids.select(t=sf.col("id") * 7_919 % rows, text=sf.functions.repeat("x", 100) + sf.col("id").cast("str"))
    joined = shuffled.join_asof(shuffled, on="t", allow_exact_matches=False)
    done = joined.aggregate(n=sf.functions.count(), matched=sf.col("text_right").count())
    assert done.to_pydict() == {"n": [rows], "matched": [rows - 1]}
    spilled = [line for line in (done.stats() or "").splitlines() if "SortExec" in line]
    assert any("spill_count=" in line and "spill_count=0" not in line for line in spilled)


def test_the_plan() -> None:
    left, right = sf.range(10).rename({"id": "t"}), sf.range(10).select(t=sf.col("id"), k=sf.col("id"), x=sf.lit(1))
    plan = right.join_asof(right, on="t", by="k", tolerance=2).select("t", "x_right").explain()
    assert "AsofJoinExec: on=[(left_key_0@" in plan
    assert "strategy=Backward, tolerance=2" in plan
    assert "Hash([left_key_0@" in plan
    whole = left.join_asof(right, on="t").explain().split("== Physical ==")[1]
    assert "Hash(" not in whole


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({}, sf.InvalidInputError, "along one column"),
    ({"on": ["t", "n"]}, sf.InvalidInputError, "along one column"),
    ({"on": "s"}, sf.TypeMismatchError, "numbers, dates or timestamps"),
    ({"on": "t", "tolerance": "1mo"}, sf.TypeMismatchError, "months have no one length"),
    ({"on": "t", "tolerance": 1.5}, sf.TypeMismatchError, "does not suit"),
    ({"on": "n", "tolerance": "1d"}, sf.TypeMismatchError, "no whole number of steps"),
    ({"on": "n", "tolerance": -1}, sf.InvalidInputError, "is a distance"),
    ({"on": "n", "strategy": "up"}, sf.InvalidInputError, "looked for"),
    ({"on": "n", "by": "f"}, sf.TypeMismatchError, "compared for equality"),
    ({"on": "n", "left_by": ["s", "t"], "right_by": "s"}, sf.InvalidInputError, "as many by"),
    ({"left_on": "n", "right_on": "t"}, sf.TypeMismatchError, "cannot compare"),
    ({"on": "x"}, sf.UnknownColumnError, "x"),
    ({"on": "n", "suffix": ""}, sf.InvalidInputError, "two columns"),
]


@pytest.mark.parametrize(("arguments", "error", "says"), BAD)
def test_what_cannot_be_joined(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    rows = sf.from_pydict({"t": [START], "n": [1], "s": ["a"], "f": [0.5]})
    with pytest.raises(error, match=says):
        rows.join_asof(rows, **arguments)
