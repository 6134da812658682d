"""Columns of Python objects: values that Arrow cannot hold go through plans as they are, and no further."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sheaf as sf


class Point:
    """A class of the user's."""

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    def __hash__(self) -> int:
        return hash((self.x, self.y))


ROWS = 20_000


@pytest.fixture(scope="module", autouse=True)
def runtime() -> Iterator[None]:
    sf.init(num_cpus=2, log_to_driver=False)
    yield
    sf.shutdown()


def points(rows: int = ROWS) -> sf.Dataset:
    return sf.range(rows).map(lambda row: {"id": row["id"], "p": Point(row["id"], -row["id"])})


def is_object(kind: pa.DataType) -> bool:
    return str(kind).startswith("extension<sheaf.python_object")


@pytest.mark.parametrize(
    "values",
    [
        [Point(1, 2), None, Point(3, 4)],
        [1, "one", None],
        [{"a": 1}, {"a": "x"}],
        [{1, "x"}, frozenset("ab")],
        [1j, 2.5],
        [2**70, -(2**70)],
        [range(3), slice(1)],
        ["\ud800"],
    ],
)
def test_values_that_arrow_cannot_hold_come_back(values: list[Any]) -> None:
    for made in (
        sf.from_items([{"v": value} for value in values]),
        sf.from_pydict({"v": values}),
        sf.range(len(values)).map(lambda row: {"v": values[row["id"]]}),
        sf.range(1).flat_map(lambda row: [{"v": value} for value in values]),
        sf.range(len(values)).map_batches(lambda batch: {"v": values}),
    ):
        assert is_object(made.schema.field("v").type)
        assert made.to_pydict() == {"v": values}
        assert [row["v"] for row in made.iter_rows()] == values
        assert made.take(1) == [{"v": values[0]}]


def test_what_arrow_holds_stays_of_arrow() -> None:
    assert sf.from_items([{"v": {1, 2}}]).schema.field("v").type == pa.list_(pa.int64())
    asked = sf.from_pydict({"v": [{1, 2}], "w": [b"x"]}, schema={"v": sf.object_(), "w": object})
    assert asked.to_pydict() == {"v": [{1, 2}], "w": [b"x"]}
    declared = sf.range(2).map(lambda row: {"v": row["id"]}, schema={"v": object})
    assert is_object(declared.schema.field("v").type)
    assert declared.to_pydict() == {"v": [0, 1]}


def test_a_column_stays_of_objects_whatever_comes_later() -> None:
    late = sf.range(6).map(lambda row: {"v": {row["id"], "x"} if row["id"] < 2 else row["id"]}, batch_size=2)
    assert late.to_pydict()["v"] == [{0, "x"}, {1, "x"}, 2, 3, 4, 5]
    nulls = sf.range(4).map(lambda row: {"v": Point(1, 1) if row["id"] < 2 else None}, batch_size=2)
    assert nulls.to_pydict()["v"] == [Point(1, 1), Point(1, 1), None, None]
    with pytest.raises(sf.SheafError, match=r"Python objects in the column .v. instead of values of Arrow"):
        sf.range(4).map(lambda row: {"v": 1 if row["id"] < 2 else Point(0, 0)}, batch_size=2).collect()
    with pytest.raises(sf.SheafError, match="cannot be pickled"):
        sf.range(1).map(lambda row: {"v": io.BufferedReader(io.FileIO(0, closefd=False))})


def test_verbs_carry_objects() -> None:
    ds = points()
    assert ds.filter(sf.col("id") == 7).to_pydict()["p"] == [Point(7, -7)]
    assert ds.filter(lambda row: row["p"].x == 9).to_pydict()["p"] == [Point(9, -9)]
    assert ds.map(lambda row: {"x": row["p"].x}).to_pydict()["x"] == list(range(ROWS))
    assert ds.flat_map(lambda row: [row] * 2).limit(3).to_pydict()["p"] == [Point(0, 0), Point(0, 0), Point(1, -1)]
    ordered = ds.sort("id", descending=True).limit(2).to_pydict()["p"]
    assert ordered == [Point(ROWS - 1, 1 - ROWS), Point(ROWS - 2, 2 - ROWS)]
    renamed = ds.select(sf.col("p").alias("q"), (sf.col("id") + 1).alias("n")).rename({"q": "r"}).drop("n")
    assert renamed.sample(0.5, seed=1).columns == ["r"]
    assert is_object(renamed.schema.field("r").type)
    other = sf.range(10).with_column("twice", sf.col("id") * 2)
    joined = other.join(ds, on="id").sort("id").to_pydict()
    assert joined["p"] == [Point(n, -n) for n in range(10)]
    left = sf.range(ROWS, ROWS + 2).join(ds, on="id", how="left")
    assert left.to_pydict()["p"] == [None, None]
    assert is_object(left.schema.field("p").type)
    assert ds.union(ds).filter(sf.col("id") == 3).to_pydict()["p"] == [Point(3, -3)] * 2
    asof = sf.from_pydict({"t": [5]}).join_asof(ds.rename({"id": "t"}), on="t")
    assert asof.to_pydict()["p"] == [Point(5, -5)]
    assert ds.filter(sf.col("p").is_not_null() & (sf.col("id") < 1)).to_pydict()["p"] == [Point(0, 0)]
    assert ds.drop_null("p").count() == ROWS
    assert ds.persist().filter(sf.col("id") == 4).to_pydict()["p"] == [Point(4, -4)]
    assert ds.repartition(3).count() == ROWS
    assert sorted(row["id"] for row in ds.random_shuffle(seed=1).iter_rows() if row["p"].x != row["id"]) == []


def test_groups_carry_objects() -> None:
    ds = points().with_column("k", sf.col("id") % 3)
    first = ds.groupby("k").agg(sf.col("p").first(order_by="id").alias("p"), sf.col("p").count().alias("n"))
    assert first.sort("k").to_pydict() == {
        "k": [0, 1, 2],
        "p": [Point(n, -n) for n in range(3)],
        "n": [6667, 6667, 6666],
    }

    def widest(group: pa.Table) -> dict[str, Any]:
        rows = group.to_pylist()
        return {"k": [rows[0]["k"]], "p": [max((row["p"] for row in rows), key=lambda point: point.x)]}

    made = ds.groupby("k").map_groups(widest).sort("k").to_pydict()
    assert made["p"] == [Point(n, -n) for n in (19_998, 19_999, 19_997)]


def test_objects_go_to_workers_and_back() -> None:
    def moved(batch: pa.RecordBatch) -> dict[str, list[Any]]:
        return {"id": batch["id"].to_pylist(), "p": [Point(p.x + 1, p.y) for p in batch["p"].to_pylist()]}

    there = points(3_000).map_batches(moved, compute=sf.TaskPool(1), batch_size=1000)
    assert there.to_pydict()["p"] == [Point(n + 1, -n) for n in range(3_000)]
    parts = points(3_000).to_arrow_refs()
    assert sf.from_arrow_refs(parts).to_pydict()["p"] == [Point(n, -n) for n in range(3_000)]
    few = points(3).map_batches(moved, compute=sf.TaskPool(1))
    assert few.to_pydict()["p"] == [Point(n + 1, -n) for n in range(3)]


def test_formats_give_and_take_objects() -> None:
    values = [Point(1, 1), None, {1, "x"}]
    ds = sf.from_pydict({"n": [1, 2, 3], "v": values, "s": ["a", "b", "c"]})
    frame = ds.to_pandas()
    assert frame["v"].tolist() == values
    assert (frame["v"].dtype, list(frame)) == (object, ["n", "v", "s"])
    assert sf.from_pandas(frame).to_pydict() == ds.to_pydict()
    polars = ds.to_polars()
    assert polars["v"].to_list() == values
    assert (polars["v"].dtype, polars.columns) == (pl.Object, ["n", "v", "s"])
    assert sf.from_polars(polars).to_pydict() == ds.to_pydict()
    assert ds.to_numpy()["v"].tolist() == values
    assert sf.from_arrow(ds.to_arrow()).to_pydict() == ds.to_pydict()
    same: dict[str, Callable[[Any], Any]] = {
        "pandas": lambda batch: batch,
        "polars": lambda batch: batch,
        "numpy": lambda batch: batch,
        "pyarrow": lambda batch: batch,
    }
    for name, function in same.items():
        assert ds.map_batches(function, batch_format=name).to_pydict() == ds.to_pydict()


def test_functions_of_expressions_take_and_make_objects() -> None:
    @sf.func(return_dtype=sf.object_())
    def point(n: int) -> Point:
        return Point(n, n)

    @sf.func
    def x(of: Point) -> int:
        return of.x

    made = sf.range(4).select(point(sf.col("id")).alias("p")).with_column("x", x(sf.col("p")))
    assert made.filter(x(sf.col("p")) > 1).to_pydict() == {"p": [Point(2, 2), Point(3, 3)], "x": [2, 3]}


@pytest.mark.parametrize(
    ("verb", "cannot"),
    [
        (lambda ds: ds.sort("p"), "the engine has no order for"),
        (lambda ds: ds.groupby("p").agg(sf.col("id").sum()), "the engine cannot group"),
        (lambda ds: ds.groupby("p").map_groups(lambda group: group), "the engine cannot compare"),
        (lambda ds: ds.distinct(), "the engine cannot compare"),
        (lambda ds: ds.distinct("p"), "the engine cannot compare"),
        (lambda ds: ds.join(ds, on="p"), "the engine cannot compare"),
        (lambda ds: ds.filter(sf.col("p") == 1), "the engine cannot compute with"),
        (lambda ds: ds.with_column("q", sf.col("p").cast("string")), "the engine cannot compute with"),
        (lambda ds: ds.groupby("id").agg(sf.col("p").max()), "the engine cannot compute with"),
        (lambda ds: ds.repartition(2, by="p"), "the engine cannot compare"),
        (lambda ds: ds.intersect(ds), "the engine cannot"),
        (lambda ds: ds.union(sf.from_pydict({"id": [1], "p": [b"x"]})), "in one dataset alone"),
        (lambda ds: ds.streaming_split(2), "trainers are sent values of Arrow alone"),
    ],
)
def test_what_would_compare_objects_is_refused(verb: Callable[[sf.Dataset], Any], cannot: str) -> None:
    with pytest.raises(sf.TypeMismatchError, match=f"the column .p. holds Python objects.*{cannot}"):
        verb(points(10)).collect()


def test_files_and_sql_refuse_objects(tmp_path: Path) -> None:
    ds = points(10)
    for write, name in ((ds.write_parquet, "a.parquet"), (ds.write_csv, "a.csv"), (ds.write_json, "a.json")):
        with pytest.raises(sf.TypeMismatchError, match=r".p. holds Python objects, which no file can hold"):
            write(tmp_path / name)
    assert not list(tmp_path.iterdir())
    with pytest.raises(sf.TypeMismatchError, match=r".p. holds Python objects, which SQL has no values for"):
        sf.sql("SELECT id FROM points", points=ds)
    with pytest.raises(sf.TypeMismatchError, match="help: leave it out: exclude"):
        sf.sql("SELECT * FROM points", points=ds)
    sf.register("of_objects", ds)
    try:
        with pytest.raises(sf.TypeMismatchError, match="SQL has no values for"):
            sf.sql("SELECT * FROM of_objects")
        assert sf.table("of_objects").count() == 10
    finally:
        sf.deregister("of_objects")
    assert sf.sql("SELECT max(id) AS m FROM points", points=ds.exclude("p")).to_pydict() == {"m": [9]}
    ds.exclude("p").write_parquet(tmp_path / "ids.parquet")


class Trap:
    """Runs when its pickle is read."""

    sprung: ClassVar[list[int]] = []

    def __reduce__(self) -> Any:
        return Trap.sprung.append, (1,)


def test_pickles_from_elsewhere_are_bytes(tmp_path: Path) -> None:
    """Whatever a file says of its bytes, nothing in it runs."""
    import pickle

    claims = {b"ARROW:extension:name": b"sheaf.python_object", b"ARROW:extension:metadata": b""}
    schema = pa.schema([pa.field("p", pa.large_binary(), metadata=claims)])
    pickled = pickle.dumps(Trap())
    table = pa.table({"p": [pickled]}, schema=schema)
    pq.write_table(table, tmp_path / "t.parquet")
    with pa.ipc.new_file(tmp_path / "t.arrow", schema) as writer:
        writer.write_table(table)
    read = pq.read_table(tmp_path / "t.parquet")
    frame = pl.read_parquet(tmp_path / "t.parquet")
    for ds in (
        sf.read_parquet(tmp_path / "t.parquet"),
        sf.read_ipc(tmp_path / "t.arrow"),
        sf.from_arrow(read),
        sf.from_polars(frame),
        sf.from_arrow_refs([sf.put(read)]),
        sf.range(1).map_batches(lambda batch: read),
        sf.range(1).map_batches(lambda batch: frame),
        sf.range(1).map_batches(lambda batch: pa.RecordBatchReader.from_batches(read.schema, read.to_batches())),
    ):
        assert ds.take(1) == [{"p": pickled}]
        assert ds.to_pandas()["p"].tolist() == [pickled]
    assert not Trap.sprung


def test_objects_have_no_tensor_but_arrays_stay_lists() -> None:
    arrays = sf.range(3).map(lambda row: {"v": np.full(2, row["id"])})
    assert arrays.schema.field("v").type == pa.list_(pa.int64())
    mixed = sf.from_pandas(pd.DataFrame({"v": [1, "x", None]}))
    assert mixed.to_pydict() == {"v": [1, "x", None]}
