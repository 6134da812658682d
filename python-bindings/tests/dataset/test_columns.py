"""Verbs that choose, change and reshape columns, compared with pandas and Polars on random data."""

import datetime
import random
import re
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import sheaf as sf


def random_table(seed: int, rows: int = 60) -> pa.Table:
    rng = random.Random(seed)

    def column(make: Any) -> list[Any]:
        return [None if rng.random() < 0.2 else make() for _ in range(rows)]

    return pa.table(
        {
            "n": pa.array(range(rows), pa.int64()),
            "k": pa.array(column(lambda: rng.choice("abc")), pa.string()),
            "i": pa.array(column(lambda: rng.randrange(-5, 5)), pa.int64()),
            "f": pa.array(column(lambda: rng.choice([0.5, -1.5, float("nan"), 8.0])), pa.float64()),
        }
    )


def by(rows: list[dict[str, Any]], *keys: str) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: [(row[key] is None, row[key]) for key in keys])


def same(left: Any, right: Any) -> bool:
    """Equal, where NaN equals NaN."""
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, float) and isinstance(right, float):
        return left == pytest.approx(right, nan_ok=True)
    return bool(left == right)


TABLE = {"a": [1], "b": [0.5], "tmp_a": ["x"], "tmp_b": [True]}


def test_patterns_and_types_select_columns() -> None:
    table = sf.from_pydict(TABLE)
    assert table.select(re.compile("^tmp_")).columns == ["tmp_a", "tmp_b"]
    assert table.select("a", re.compile("a$"), float).columns == ["a", "tmp_a", "b"]
    assert table.select(pa.bool_(), twice=sf.col("a") * 2).columns == ["tmp_b", "twice"]
    assert table.exclude(str, bool, "b").columns == ["a"]
    assert table.exclude(["a", "b"]).columns == table.drop("a", "b").columns == ["tmp_a", "tmp_b"]
    with pytest.raises(sf.TypeMismatchError, match="no columns are of the class complex\n  help: the classes are bool"):
        table.select(complex)
    for verb in (table.exclude, table.drop):
        with pytest.raises(sf.UnknownColumnError, match="tmp_a"):
            verb("tmpa")


def test_rename_takes_a_function() -> None:
    assert sf.from_pydict(TABLE).rename(lambda name: name.removeprefix("tmp_") + name[0]).columns == [
        *("aa", "bb", "at", "bt"),
    ]
    with pytest.raises(sf.InvalidInputError, match="two columns"):
        sf.from_pydict(TABLE).rename(lambda name: "x")


def test_cast_of_some_columns_and_of_all() -> None:
    table = sf.from_pydict({"a": ["1", "x"], "b": ["2", "3"]})
    assert table.cast({"b": int}).schema.field("b").type == pa.int64()
    assert table.cast("float32", strict=False).to_pydict() == {"a": [1.0, None], "b": [2.0, 3.0]}
    with pytest.raises(sf.SheafError, match="x"):
        table.cast({"a": "int64"}).collect()
    with pytest.raises(sf.UnknownColumnError):
        table.cast({"c": int})


def test_pipe_hands_on_arguments_and_result() -> None:
    assert sf.range(5).pipe(lambda dataset, rows, *, plus: dataset.count() + rows + plus, 1, plus=2) == 8


@pytest.mark.parametrize("seed", range(5))
def test_missing_values_as_polars_has_them(seed: int) -> None:
    table = random_table(seed)
    dataset, frame = sf.from_arrow(table), pl.DataFrame(table)
    pairs = [
        (dataset.drop_null(), frame.drop_nulls()),
        (dataset.drop_null("k", "i"), frame.drop_nulls(["k", "i"])),
        (dataset.drop_nan(), frame.filter(pl.col("f").is_not_nan() | pl.col("f").is_null())),
        (dataset.fill_nan(7), frame.fill_nan(7)),
        (dataset.fill_nan(None, "f"), frame.with_columns(pl.col("f").fill_nan(None))),
        (dataset.fill_null("z"), frame.with_columns(pl.col("k").fill_null("z"))),
        (dataset.fill_null(3), frame.with_columns(pl.col("i", "f").fill_null(3))),
        (dataset.fill_null(3, "i"), frame.with_columns(pl.col("i").fill_null(3))),
        (
            dataset.fill_null({"i": 1, "k": "y"}),
            frame.with_columns(pl.col("i").fill_null(1), pl.col("k").fill_null("y")),
        ),
        (dataset.fill_null(strategy="forward", order_by="n"), frame.fill_null(strategy="forward")),
        (dataset.fill_null(strategy="backward", order_by="n"), frame.fill_null(strategy="backward")),
        (
            dataset.fill_null(None, "i", strategy="zero"),
            frame.with_columns(pl.col("i").fill_null(0)),
        ),
        (
            dataset.fill_null(None, "i", "k", strategy="min"),
            frame.with_columns(pl.col("i", "k").fill_null(pl.col("i", "k").min())),
        ),
        (
            dataset.fill_null(None, "i", strategy="max"),
            frame.with_columns(pl.col("i").fill_null(pl.col("i").max())),
        ),
        (
            dataset.fill_null(None, "i", strategy="mean"),
            frame.with_columns(pl.col("i").cast(pl.Float64).fill_null(pl.col("i").mean())),
        ),
    ]
    for at, (ours, theirs) in enumerate(pairs):
        assert same(by(ours.to_pylist(), "n"), theirs.to_dicts()), at


def test_values_that_do_not_fit_are_told() -> None:
    table = sf.from_arrow(
        pa.table(
            {
                "small": pa.array([1, None], pa.int8()),
                "t": pa.array(["x", None]),
                "d": pa.array([None], pa.date32()).take([0, 0]),
            }
        )
    )
    with pytest.raises(sf.TypeMismatchError, match='no value of the column "small", which is Int8'):
        table.fill_null(300)
    with pytest.raises(sf.TypeMismatchError, match='"small"'):
        table.fill_null(0.5)
    with pytest.raises(sf.TypeMismatchError, match='"t", which is'):
        table.fill_null(0, "t")
    with pytest.raises(sf.TypeMismatchError, match='"t"'):
        table.fill_null({"small": 1, "t": 0})
    with pytest.raises(sf.UnknownColumnError, match="small"):
        table.fill_null({"smal": 1})
    with pytest.raises(sf.TypeMismatchError, match='fill_nan takes columns of floats, and "t"'):
        table.fill_nan(0, "t")
    with pytest.raises(sf.InvalidInputError, match="follows an order"):
        table.fill_null(strategy="forward")
    with pytest.raises(sf.InvalidInputError, match='there is no strategy "next"'):
        table.fill_null(strategy="next")  # type: ignore[arg-type]
    with pytest.raises(sf.InvalidInputError, match="either a value or a strategy"):
        table.fill_null()
    filled = table.fill_null(5).fill_null(datetime.date(2020, 1, 2))
    assert filled.schema.field("small").type == pa.int8()
    assert filled.to_pydict() == {"small": [1, 5], "t": ["x", None], "d": [datetime.date(2020, 1, 2)] * 2}


def test_fills_run_over_several_partitions() -> None:
    holes = sf.range(100_000).select("id", x=sf.when(sf.col("id") % 10 == 0).then(sf.col("id")))
    filled = holes.fill_null(strategy="forward", order_by="id")
    assert filled.filter(sf.col("x") != sf.col("id") - sf.col("id") % 10).count() == 0
    assert filled.count() == 100_000
    mean = holes.fill_null(strategy="mean")
    assert mean.filter(sf.col("x") == 49_995.0).count() == 90_000
    assert mean.to_pydict()["id"] == list(range(100_000))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dropna", [True, False])
def test_value_counts_as_pandas_has_them(seed: int, dropna: bool) -> None:
    table = random_table(seed)
    dataset, frame = sf.from_arrow(table), table.to_pandas()
    for normalize in (False, True):
        counted = dataset.value_counts("k", dropna=dropna, normalize=normalize, name="n").to_pylist()
        expected = frame["k"].value_counts(dropna=dropna, normalize=normalize)
        told = {None if pd.isna(key) else key: value for key, value in expected.items()}
        assert same({row["k"]: row["n"] for row in counted}, {row["k"]: told[row["k"]] for row in counted})
        assert len(counted) == len(told)
        assert [row["n"] for row in counted] == sorted((row["n"] for row in counted), reverse=True)
    pairs = dataset.value_counts("k", "i", dropna=True).to_pylist()
    assert {(row["k"], row["i"]): row["count"] for row in pairs} == dict(frame[["k", "i"]].value_counts())
    with pytest.raises(sf.InvalidInputError, match="two columns the name"):
        dataset.value_counts("k", name="k")
    with pytest.raises(sf.InvalidInputError, match="name one or several"):
        dataset.value_counts()


def test_describe_is_lazy_and_keeps_to_types() -> None:
    table = sf.from_arrow(
        pa.table(
            {
                "describe": ["b", "a", None, "c"],
                "f": [1.0, float("nan"), 3.0, None],
                "d": pa.array([datetime.date(2020, 1, 1), None, datetime.date(2021, 1, 1), None]),
                "l": [[1], None, [2], [3]],
            }
        )
    )
    calls: list[int] = []

    def note(batch: pa.RecordBatch) -> pa.RecordBatch:
        calls.append(batch.num_rows)
        return batch

    described = table.map_batches(note, schema=table.schema).describe([0.5])
    assert calls == []
    rows = {row.pop("describe_"): row for row in described.to_pylist()}
    assert sum(calls) == 4
    assert list(rows) == ["count", "null_count", "mean", "std", "min", "50%", "max"]
    assert rows["count"] == {"describe": "3", "f": 3.0, "d": "2", "l": "3"}
    assert rows["null_count"] == {"describe": "1", "f": 1.0, "d": "2", "l": "1"}
    assert rows["mean"] == {"describe": None, "f": 2.0, "d": None, "l": None}
    assert rows["min"] == {"describe": "a", "f": 1.0, "d": "2020-01-01", "l": None}
    assert rows["max"] == {"describe": "c", "f": 3.0, "d": "2021-01-01", "l": None}
    with pytest.raises(sf.InvalidInputError, match="between 0 and 1"):
        table.describe([50])


def test_describe_of_numbers_is_near_what_pandas_has() -> None:
    rng = random.Random(3)
    values = [rng.gauss(10, 3) for _ in range(20_000)]
    ours = {row["describe"]: row["x"] for row in sf.from_pydict({"x": values}).describe().to_pylist()}
    theirs = pd.Series(values).describe()
    for name in ("count", "mean", "std", "min", "max"):
        assert ours[name] == pytest.approx(theirs[name])
    for name in ("25%", "50%", "75%"):
        assert ours[name] == pytest.approx(theirs[name], rel=0.02)
    assert sf.from_pydict({"x": pa.array([], pa.int64())}).describe([]).to_pydict()["x"] == [0.0, 0.0, *[None] * 4]


@pytest.mark.parametrize("seed", range(5))
def test_unpivot_and_pivot_as_polars_has_them(seed: int) -> None:
    table = random_table(seed).drop_columns(["f"]).append_column("j", pa.array(range(60), pa.int32()))
    dataset, frame = sf.from_arrow(table), pl.DataFrame(table)
    ours = dataset.unpivot(["i", "j"], ["n", "k"], variable_name="which", value_name="it")
    theirs = frame.unpivot(["i", "j"], index=["n", "k"], variable_name="which", value_name="it")
    assert by(ours.to_pylist(), "n", "which") == by(theirs.to_dicts(), "n", "which")
    long = theirs.drop_nulls("k")
    ours = sf.from_polars(long).pivot("which", on="k", values="it", aggregate="max", names=["a", "b", "c"])
    wide = long.pivot("k", index="which", values="it", aggregate_function="max")
    assert by(ours.to_pylist(), "which") == by(wide.select("which", "a", "b", "c").to_dicts(), "which")
    found = sf.from_polars(long).pivot("which", "k", "it", "max")
    assert by(found.to_pylist(), "which") == by(ours.to_pylist(), "which")


def test_unpivot_reads_its_input_once_and_keeps_types_apart() -> None:
    table = sf.from_pydict({"a": [1], "b": [2.5], "c": ["x"]})
    assert table.unpivot(["a", "b"]).to_pydict() == {"variable": ["a", "b"], "value": [1.0, 2.5]}
    assert sf.range(100_000).select(a="id", b="id").unpivot().count() == 200_000
    with pytest.raises(sf.TypeMismatchError, match=r'"c" is Utf8.*: one column cannot hold both'):
        table.unpivot(index="b")
    with pytest.raises(sf.InvalidInputError, match='two columns the name "b"'):
        table.unpivot("a", "b", value_name="b")


def test_pivot_names_nulls_and_several_values() -> None:
    table = sf.from_pydict({"g": [1, 1, 2], "on": ["x", None, "x"], "v": [1, 2, 3], "w": [4, 5, 6]})
    wide = table.pivot("g", "on", ["v", "w"], "sum").sort("g")
    assert wide.columns == ["g", "v_x", "v_null", "w_x", "w_null"]
    assert wide.to_pydict() == {"g": [1, 2], "v_x": [1, 3], "v_null": [2, None], "w_x": [4, 6], "w_null": [5, None]}
    first = table.pivot("g", "on", "v", lambda column: column.first(order_by="w"), names=["x"]).sort("g")
    assert first.to_pydict() == {"g": [1, 2], "x": [1, 3]}
    with pytest.raises(sf.InvalidInputError, match="no aggregate"):
        table.pivot("g", "on", "v", lambda column: column + 1, names=["x"])
    with pytest.raises(sf.InvalidInputError, match="there is no aggregate 'biggest'"):
        table.pivot("g", "on", "v", "biggest")  # type: ignore[arg-type]
    with pytest.raises(sf.TypeMismatchError, match='no value of the column "on"'):
        table.pivot("g", "on", "v", "sum", names=[1])
    with pytest.raises(sf.InvalidInputError, match='more than 10000 columns of the values of "id"'):
        sf.range(20_000).pivot("id", "id", "id", "sum")


LISTS = {"n": [1, 2, 3, 4], "a": [["x", "y"], [], None, ["z"]], "b": [[1], [2, 3], None, [None]]}


def test_explode_of_several_lists_with_positions() -> None:
    lists = sf.from_pydict(LISTS)
    assert by(lists.explode("a", "b", index="at").to_pylist(), "n", "at") == [
        {"n": 1, "a": "x", "b": 1, "at": 0},
        {"n": 1, "a": "y", "b": None, "at": 1},
        {"n": 2, "a": None, "b": 2, "at": 0},
        {"n": 2, "a": None, "b": 3, "at": 1},
        {"n": 3, "a": None, "b": None, "at": None},
        {"n": 4, "a": "z", "b": None, "at": 0},
    ]
    assert by(lists.explode("a", outer=False).select("n", "a").to_pylist(), "n", "a") == [
        {"n": 1, "a": "x"},
        {"n": 1, "a": "y"},
        {"n": 4, "a": "z"},
    ]
    assert lists.explode("b", outer=False).count() == 4
    nothing = sf.from_arrow(pa.table({"n": [1], "a": pa.nulls(1)}))
    assert nothing.explode("a", index="at").to_pydict() == {"n": [1], "a": [None], "at": [None]}
    with pytest.raises(sf.InvalidInputError, match='there is a column "n" already'):
        lists.explode("a", index="n")
    with pytest.raises(sf.TypeMismatchError, match="explode takes lists"):
        lists.explode("n")


def test_maps_explode_and_structs_unnest() -> None:
    maps = pa.array([[("k", 1), ("l", 2)], [], None], pa.map_(pa.string(), pa.int64()))
    table = sf.from_arrow(pa.table({"n": [1, 2, 3], "m": maps}))
    assert table.explode("m").to_pydict() == {
        "n": [1, 1, 2, 3],
        "m_key": ["k", "l", None, None],
        "m_value": [1, 2, None, None],
    }
    assert table.explode("m", outer=False, index="at").to_pydict()["at"] == [0, 1]
    kind = pa.struct([("x", pa.int64()), ("y", pa.string())])
    structs = pa.StructArray.from_arrays(
        [pa.array([1, 2]), pa.array(["a", "b"])], fields=list(kind), mask=pa.array([False, True])
    )
    table = sf.from_arrow(pa.table({"s": structs, "z": [1, 2]}))
    assert table.unnest("s").to_pydict() == {"x": [1, None], "y": ["a", None], "z": [1, 2]}
    with pytest.raises(sf.InvalidInputError, match='two columns of the name "x"'):
        table.rename({"z": "x"}).unnest("s")
    with pytest.raises(sf.TypeMismatchError, match="unnest takes structs"):
        table.unnest("z")
