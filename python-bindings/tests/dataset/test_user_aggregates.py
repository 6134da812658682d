"""Aggregates that users write, in Ray's form and in Dask's: partial, merged, spilled, with nulls, and their errors."""

from __future__ import annotations

import traceback
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import sheaf as sf


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Rows of five groups and of nulls, with weights, and nulls among the values."""
    rng = np.random.default_rng(11)
    rows = 20_000
    keys = rng.integers(0, 6, rows)
    return pd.DataFrame(
        {
            "k": pd.array(np.where(keys == 5, pd.NA, keys), dtype="Int64"),
            "x": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(10, 3, rows)),
            "w": rng.random(rows),
            "s": [f"text {n % 17}" for n in range(rows)],
        }
    )


@pytest.fixture(scope="module")
def dataset(frame: pd.DataFrame) -> sf.Dataset:
    """The same rows, in several partitions."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return sf.from_arrow(pa.Table.from_batches(table.to_batches(max_chunksize=1_000)))


@pytest.fixture(scope="module")
def expected(frame: pd.DataFrame) -> pd.Series:
    """The weighted mean of each group, nulls left out."""
    known = frame.dropna(subset=["x"])
    return known.groupby("k", dropna=False)[["x", "w"]].apply(lambda group: np.average(group.x, weights=group.w))


def by_row(state: tuple[float, float], row: dict[str, Any]) -> tuple[float, float]:
    """The weighted mean's state with a row more."""
    return state if row["x"] is None else (state[0] + row["x"] * row["w"], state[1] + row["w"])


def by_block(state: tuple[float, float], block: pa.Table) -> tuple[float, float]:
    """The weighted mean's state with rows more."""
    known = block.filter(pc.is_valid(block["x"]))
    return (
        state[0] + (pc.sum(pc.multiply(known["x"], known["w"])).as_py() or 0),
        state[1] + (pc.sum(known["w"]).as_py() or 0),
    )


def weighted_mean(**accumulate: Any) -> sf.AggregateFn:
    """Ray's form."""
    return sf.AggregateFn(
        init=lambda key: (0.0, 0.0),
        merge=lambda state, other: (state[0] + other[0], state[1] + other[1]),
        finalize=lambda state: state[0] / state[1] if state[1] else None,
        name="weighted",
        **accumulate,
    )


def dask_weighted_mean(**options: Any) -> sf.Aggregation:
    """Dask's form."""

    def chunk(grouped: Any) -> tuple[pd.Series, pd.Series]:
        return grouped.apply(lambda rows: (rows.x * rows.w).sum()), grouped.apply(
            lambda rows: rows.w[rows.x.notna()].sum()
        )

    return sf.Aggregation("weighted", chunk, lambda xw, w: (xw.sum(), w.sum()), lambda xw, w: xw / w, **options)


@pytest.mark.parametrize("accumulate", [{"accumulate_row": by_row}, {"accumulate_block": by_block}])
def test_weighted_mean_as_in_ray(dataset: sf.Dataset, expected: pd.Series, accumulate: dict[str, Any]) -> None:
    told = dataset.groupby("k").agg(weighted_mean(**accumulate)).sort("k").to_pandas()
    assert list(told.columns) == ["k", "weighted"]
    np.testing.assert_allclose(told["weighted"], expected)
    typed = weighted_mean(**accumulate, columns=["x", "w"], return_type="float64")
    again = dataset.groupby("k").agg(typed, n=sf.functions.count()).sort("k").to_pandas()
    np.testing.assert_allclose(again["weighted"], expected)
    assert again["n"].sum() == 20_000


def test_weighted_mean_as_in_dask(dataset: sf.Dataset, expected: pd.Series) -> None:
    told = dataset.groupby("k").agg({("x", "w"): dask_weighted_mean()}).sort("k").to_pandas()
    assert list(told.columns) == ["k", "weighted(x, w)"]
    np.testing.assert_allclose(told["weighted(x, w)"], expected)


def test_dasks_own_examples(frame: pd.DataFrame, dataset: sf.Dataset) -> None:
    total = sf.Aggregation("custom_sum", lambda s: s.sum(), lambda s0: s0.sum())
    mean = sf.Aggregation(
        "custom_mean",
        lambda s: (s.count(), s.sum()),
        lambda count, sum: (count.sum(), sum.sum()),
        lambda count, sum: sum / count,
    )
    nunique = sf.Aggregation(
        "nunique",
        lambda s: s.apply(lambda x: list(set(x))),
        lambda s0: s0.obj.groupby(level=list(range(s0.obj.index.nlevels))).sum(),
        lambda s1: s1.apply(lambda final: len(set(final))),
    )
    told = dataset.groupby("k").agg({"x": [total, mean], "s": nunique}, sums=("w", total)).sort("k").to_pandas()
    assert list(told.columns) == ["k", "custom_sum(x)", "custom_mean(x)", "nunique(s)", "sums"]
    grouped = frame.groupby("k", dropna=False)
    np.testing.assert_allclose(told["custom_sum(x)"], grouped.x.sum())
    np.testing.assert_allclose(told["custom_mean(x)"], grouped.x.mean())
    np.testing.assert_allclose(told["sums"], grouped.w.sum())
    assert told["nunique(s)"].tolist() == grouped.s.nunique().tolist()
    each = dataset.select("k", "x", "w").groupby("k").agg(total).sort("k").to_pandas()
    assert list(each.columns) == ["k", "custom_sum(x)", "custom_sum(w)"]


class Mean(sf.AggregateFnV2):
    """Ray's second form, as its documentation writes a mean."""

    def aggregate_block(self, block: pa.Table) -> list[float] | None:
        known = block["x"].drop_null()
        return [pc.sum(known).as_py(), len(known)] if len(known) else None

    def combine(self, current_accumulator: list[float], new: list[float]) -> list[float]:
        return [current_accumulator[0] + new[0], current_accumulator[1] + new[1]]

    def finalize(self, accumulator: list[float] | None) -> float | None:
        return accumulator[0] / accumulator[1] if accumulator else None


def test_classes_as_in_ray(frame: pd.DataFrame, dataset: sf.Dataset) -> None:
    told = dataset.groupby("k").agg(Mean("mean", lambda: None, on="x")).sort("k").to_pydict()["mean"]
    np.testing.assert_allclose(told, frame.groupby("k", dropna=False).x.mean())
    data = sf.from_pydict({"k": [1, 2, 2], "x": [None, 2.0, None]})
    nulls_are_null = Mean("mean", lambda: [0.0, 0], on="x", ignore_nulls=False, return_type="float64")
    assert data.groupby("k").agg(nulls_are_null).sort("k").to_pydict()["mean"] == [None, 2.0]
    # Else zero stands, a state like others, and the mean of no values divides by it.
    nulls_are_left_out = Mean("mean", lambda: [0.0, 0], on="x", return_type="float64")
    with pytest.raises(sf.UserFunctionError, match="ZeroDivisionError"):
        data.groupby("k").agg(nulls_are_left_out).to_pydict()


def test_init_is_given_the_key(dataset: sf.Dataset) -> None:
    keyed = sf.AggregateFn(
        init=lambda key: [key],
        accumulate_row=lambda state, row: state,
        merge=lambda state, other: state,
        name="told",
        finalize=lambda state: repr(state[0]),
    )
    one = dataset.groupby("k").agg(keyed).to_pydict()
    assert one["told"] == [repr(key) for key in one["k"]]
    two = dataset.groupby("k", "s").agg(keyed).to_pydict()
    assert two["told"] == [repr(pair) for pair in zip(two["k"], two["s"], strict=True)]
    assert dataset.aggregate(keyed).to_pydict() == {"told": ["None"]}
    by_function = dataset.groupby(lambda row: row["k"] is None).agg(keyed).sort("key").to_pydict()
    assert by_function["told"] == ["False", "True"]


def test_rows_have_the_datasets_columns_alone() -> None:
    seen: set[tuple[str, ...]] = set()

    def note(state: int, row: dict[str, Any]) -> int:
        seen.add(tuple(row))
        return state + 1

    data = sf.from_pydict({"a": [1, 2], "b": [3, 4]})
    rows = sf.AggregateFn(init=lambda key: 0, accumulate_row=note, merge=lambda a, b: a + b, name="rows")
    assert data.groupby(lambda row: row["a"]).agg(rows).to_pydict()["rows"] == [1, 1]
    assert seen == {("a", "b")}
    seen.clear()
    few = sf.AggregateFn(init=lambda key: 0, accumulate_row=note, merge=lambda a, b: a + b, name="n", columns=["b"])
    assert data.groupby("a").agg(few).to_pydict()["n"] == [1, 1]
    assert seen == {("b",)}


@pytest.mark.parametrize("batch_format", ["pyarrow", "pandas", "polars", "numpy"])
def test_blocks_come_in_formats(frame: pd.DataFrame, dataset: sf.Dataset, batch_format: Any) -> None:
    total = sf.AggregateFn(
        init=lambda key: 0.0,
        accumulate_block=lambda state, block: state + float(np.sum(np.asarray(block["w"]))),
        merge=lambda state, other: state + other,
        name="total",
        batch_format=batch_format,
    )
    told = dataset.groupby("k").agg(total).sort("k").to_pydict()["total"]
    np.testing.assert_allclose(told, frame.groupby("k", dropna=False).w.sum())


def test_whole_datasets_filters_and_windows(frame: pd.DataFrame, dataset: sf.Dataset, expected: pd.Series) -> None:
    mean = weighted_mean(accumulate_row=by_row)
    known = frame.dropna(subset=["x"])
    whole = dataset.aggregate(mean).to_pydict()["weighted"]
    np.testing.assert_allclose(whole, [np.average(known.x, weights=known.w)])
    total = sf.Aggregation("total", lambda s: s.sum(), lambda s: s.sum())
    np.testing.assert_allclose(dataset.aggregate({"w": total}).to_pydict()["total(w)"], [frame.w.sum()])
    assert dataset.groupby(None).agg(mean).to_pydict()["weighted"] == pytest.approx(whole)


def test_no_rows_are_null() -> None:
    none = sf.from_arrow(pa.table({"x": pa.array([], pa.float64()), "w": pa.array([], pa.float64())}))
    mean = weighted_mean(accumulate_row=by_row, return_type="float64")
    assert none.aggregate(mean).to_pydict() == {"weighted": [None]}
    assert none.groupby("x").agg(mean).to_pydict() == {"x": [], "weighted": []}
    total = sf.Aggregation("total", lambda s: s.sum(), lambda s: s.sum(), return_type="float64")
    assert none.aggregate({"x": total}).to_pydict() == {"total(x)": [None]}
    with pytest.raises(sf.TypeMismatchError, match="gave no value for the first group"):
        none.aggregate(weighted_mean(accumulate_row=by_row))


def test_many_groups(frame: pd.DataFrame) -> None:
    data = sf.range(100_000).with_column("k", sf.col("id") * 7919 % 30_011)
    pairs = pd.DataFrame({"id": range(100_000)})
    expected = pairs.groupby(pairs.id * 7919 % 30_011).id.sum()
    total = sf.Aggregation("total", lambda s: s.sum(), lambda s: s.sum())
    told = data.groupby("k").agg({"id": total}).sort("k").to_pydict()
    assert told == {"k": expected.index.tolist(), "total(id)": expected.tolist()}
    rows = sf.AggregateFn(
        init=lambda key: 0, accumulate_row=lambda state, row: state + row["id"], merge=lambda a, b: a + b, name="t"
    )
    assert data.groupby("k").agg(rows).sort("k").to_pydict()["t"] == expected.tolist()


def test_keys_that_are_all_different() -> None:
    # So many groups that the engine gives partial aggregation up, and makes a state of each row.
    data = sf.range(250_000)
    rows = sf.AggregateFn(
        init=lambda key: 0, accumulate_row=lambda state, row: state + row["id"], merge=lambda a, b: a + b, name="rows"
    )
    total = sf.Aggregation("total", lambda s: s.sum(), lambda s: s.sum())
    told = data.groupby("id").agg(rows, {"id": [total, "mode", "skew", "null_count"]}).sort("id").to_pydict()
    assert told["rows"] == told["total(id)"] == told["mode(id)"] == list(range(250_000))
    assert set(told["skew(id)"]) == {None}
    assert set(told["null_count(id)"]) == {0}


def test_states_are_aggregated_before_the_exchange(dataset: sf.Dataset) -> None:
    plan = dataset.groupby("k").agg(weighted_mean(accumulate_row=by_row)).explain().split("== Physical ==")[1]
    assert (
        plan.index("mode=FinalPartitioned")
        < plan.index("RepartitionExec: partitioning=Hash")
        < plan.index("mode=Partial")
    )


def test_large_states_spill() -> None:
    with sf.Session(memory_limit="128MiB", threads=2) as session:
        data = session.range(400_000).with_column("k", sf.col("id") * 7919 % 100_003)
        lists = sf.AggregateFn(
            init=lambda key: [],
            accumulate_row=lambda state, row: [*state, f"{row['id']:>0200}"],
            merge=lambda state, other: state + other,
            finalize=len,
            name="n",
            columns=["id"],
            return_type="int64",
        )
        grouped = data.groupby("k").agg(lists)
        told = grouped.to_pydict()["n"]
        assert (len(told), sum(told)) == (100_003, 400_000)
        stats = grouped.stats()
        assert stats is not None
        spilled = [line for line in stats.splitlines() if "AggregateExec" in line and "spill_count=0" not in line]
        assert spilled, stats


def test_errors_are_the_aggregates_own(dataset: sf.Dataset) -> None:
    def fails(state: int, row: dict[str, Any]) -> int:
        raise ZeroDivisionError("no good")

    bad = sf.AggregateFn(init=lambda key: 0, accumulate_row=fails, merge=max, name="bad", return_type="int64")
    with pytest.raises(sf.UserFunctionError, match=r'the aggregate "bad" raised ZeroDivisionError: no good') as caught:
        dataset.groupby("k").agg(bad).to_arrow()
    cause = caught.value.__cause__
    assert isinstance(cause, ZeroDivisionError)
    assert traceback.extract_tb(cause.__traceback__)[-1].name == "fails"
    wrong = sf.Aggregation("wrong", lambda s: 1, lambda s: s.sum(), return_type="int64")
    with pytest.raises(sf.UserFunctionError, match="chunk returned int, not a Series with a value for each group"):
        dataset.groupby("k").agg({"x": wrong}).to_arrow()
    text = weighted_mean(accumulate_row=by_row, return_type="string")
    with pytest.raises(sf.UserFunctionError, match='the aggregate "weighted" raised'):
        dataset.groupby("k").agg(text).to_arrow()


def test_what_makes_no_sense_is_refused(dataset: sf.Dataset) -> None:
    with pytest.raises(sf.InvalidInputError, match="needs one of accumulate_row and accumulate_block"):
        sf.AggregateFn(init=lambda key: 0, merge=max, name="n")
    with pytest.raises(sf.InvalidInputError, match="total is an aggregate of which column"):
        dataset.groupby("k").agg(t=sf.Aggregation("total", lambda s: s.sum(), lambda s: s.sum()))
    with pytest.raises(sf.UnknownColumnError, match="nope"):
        dataset.groupby("k").agg({"nope": sf.Aggregation("total", lambda s: s.sum(), lambda s: s.sum())})
    with pytest.raises(sf.InvalidInputError, match=r"sum is an aggregate of one column, not of \['x', 'w'\]"):
        dataset.groupby("k").agg({("x", "w"): "sum"})


def listed(**more: Any) -> sf.AggregateFn:
    """The key and the sorted values of a group, as text."""
    return sf.AggregateFn(
        init=lambda key: (key, []),
        accumulate_row=lambda state, row: (state[0], [*state[1], row["x"]]),
        merge=lambda state, other: (state[0], state[1] + other[1]),
        finalize=lambda state: f"{state[0]}: {sorted(state[1], key=str)}",
        name="listed",
        columns=["x"],
        return_type="string",
        **more,
    )


ROWS = {
    "k": ["a", "b", None, "a", None, "b", "b"],
    "y": [1, 1, 1, 2, 2, None, 2],
    "t": [3, 1, 2, 5, 4, 7, 6],
    "x": [3, None, 4, 5, 6, 7, 8],
}


def in_two() -> sf.Dataset:
    """The rows in two partitions."""
    table = pa.table(ROWS)
    return sf.from_arrow(table.slice(0, 4)).union(sf.from_arrow(table.slice(4)))


def by_sets(sets: list[list[str]]) -> list[tuple[Any, ...]]:
    """What `listed` and a sum make of each set of keys, by hand."""
    rows = [dict(zip(ROWS, values, strict=True)) for values in zip(*ROWS.values(), strict=True)]
    told = []
    for keys in sets:
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for row in rows:
            groups.setdefault(tuple(row[key] if key in keys else None for key in ("k", "y")), []).append(row)
        for key, members in groups.items():
            xs = [row["x"] for row in members]
            bits = 2 * ("k" not in keys) + ("y" not in keys)
            known = [x for x in xs if x is not None]
            told.append((*key, f"{key}: {sorted(xs, key=str)}", sum(known) if known else None, bits))
    return sorted(told, key=str)


@pytest.mark.parametrize(
    ("sets", "grouped"),
    [
        ([["k", "y"], ["k"], []], lambda ds: ds.rollup("k", "y")),
        ([["k", "y"], ["k"], ["y"], []], lambda ds: ds.cube("k", "y")),
        ([["y"], ["k"], ["y"]], lambda ds: ds.grouping_sets([["y"], ["k"], ["y"]])),
    ],
)
def test_several_sets_of_keys(sets: list[list[str]], grouped: Any) -> None:
    columns = {"s": sf.col("x").sum(), "g": sf.functions.grouping(sf.col("k"), sf.col("y"))}
    got = grouped(in_two()).agg(listed(), **columns)
    keys = ("k", "y") if got.columns[0] == "k" else ("y", "k")
    assert got.columns == [*keys, "listed", "s", "g"]
    if keys == ("k", "y"):
        found = [tuple(row[name] for name in ("k", "y", "listed", "s", "g")) for row in got.to_pylist()]
        assert sorted(found, key=str) == by_sets(sets)
    # What the engine's own aggregates give beside it.
    alone = grouped(in_two()).agg(**columns).to_pylist()
    beside = [{name: value for name, value in row.items() if name != "listed"} for row in got.to_pylist()]
    assert sorted(beside, key=str) == sorted(alone, key=str)


def test_sets_of_keys_of_no_rows() -> None:
    empty = in_two().filter(sf.col("t") < 0)
    assert empty.rollup("k").agg(listed()).to_pylist() == []
    assert empty.window("k", listed=listed()).to_pylist() == []


def test_sets_of_keys_in_dasks_form() -> None:
    spread = sf.Aggregation("spread", lambda s: (s.min(), s.max()), lambda a, b: (a.min(), b.max()), lambda a, b: b - a)
    got = in_two().rollup("k").agg({"x": spread}).sort("k").to_pylist()
    assert [(row["k"], row["spread(x)"]) for row in got[:2]] == [("a", 2.0), ("b", 1.0)]
    assert sorted(row["spread(x)"] for row in got[2:]) == [2.0, 5.0]


def test_windows_are_those_of_each_frame() -> None:
    rows = sorted(zip(ROWS["t"], ROWS["k"], ROWS["x"], strict=True))
    frames: dict[str, tuple[Any, Any]] = {
        "whole": (("rows", None, None), lambda xs, at: xs),
        "running": (("rows", None, 0), lambda xs, at: xs[: at + 1]),
        "moving": (("rows", -1, 1), lambda xs, at: xs[max(at - 1, 0) : at + 2]),
        "rest": (("rows", 0, None), lambda xs, at: xs[at:]),
        "before": (("rows", -2, -1), lambda xs, at: xs[max(at - 2, 0) : at]),
    }
    for name, (frame, inside) in frames.items():
        got = in_two().window("k", order_by="t", frame=frame, listed=listed()).sort("t").to_pylist()
        expected = []
        for t, k, _ in rows:
            mine = [(time, x) for time, key, x in rows if key == k]
            xs = inside([x for _, x in mine], [time for time, _ in mine].index(t))
            expected.append(f"{k}: {sorted(xs, key=str)}" if xs else None)
        assert [row["listed"] for row in got] == expected, name


def test_windows_in_both_forms(dataset: sf.Dataset, expected: pd.Series) -> None:
    in_ray = sf.AggregateFn(
        init=lambda key: (0.0, 0.0),
        accumulate_block=by_block,
        merge=lambda state, other: (state[0] + other[0], state[1] + other[1]),
        finalize=lambda state: state[0] / state[1],
        name="mean",
    )
    spread = sf.Aggregation("spread", lambda s: (s.min(), s.max()), lambda a, b: (a.min(), b.max()), lambda a, b: b - a)
    got = dataset.window("k", mean=in_ray, spread=("x", spread)).to_pandas()
    assert len(got) == 20_000
    means = {"none" if pd.isna(key) else int(key): mean for key, mean in expected.items()}
    for key, group in got.groupby("k", dropna=False):
        assert group["mean"].nunique() == 1
        assert group["mean"].iloc[0] == pytest.approx(means["none" if pd.isna(key) else int(key)])
        assert group["spread"].to_list() == pytest.approx([group["x"].max() - group["x"].min()] * len(group))


def test_errors_in_windows_are_the_aggregates_own() -> None:
    def fails(state: Any, row: dict[str, Any]) -> Any:
        raise RuntimeError("no such luck")

    broken = sf.AggregateFn(
        init=lambda key: 0, accumulate_row=fails, merge=max, name="broken", columns=["x"], return_type="int64"
    )
    for frame in (None, ("rows", -1, 0)):
        with pytest.raises(RuntimeError, match="no such luck"):
            in_two().window("k", order_by="t", frame=frame, b=broken).to_arrow()
    with pytest.raises(sf.InvalidInputError, match="spread is an aggregate of which column"):
        in_two().window("k", b=sf.Aggregation("spread", lambda s: s.max(), lambda a: a.max()))
