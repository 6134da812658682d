"""Datasets and expressions as bytes: in this process, in others, and as arguments and results of tasks and actors."""

import copy
import functools
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
import pytest

import sheaf as sf
from sheaf import cloudpickle

HERE = Path(__file__)


def _table() -> sf.Dataset:
    return sf.from_arrow(
        pa.table({"k": ["a", "b", "a", None], "x": pa.array([1, 2, None, 4]), "v": [0.5, float("nan"), 2.5, -0.0]})
    )


def _add_one(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.set_column(batch.schema.get_field_index("x"), "x", pc.add(batch["x"], 1))


def _double(batch: dict[str, Any], by: float = 2) -> dict[str, Any]:
    return {"x": batch["x"] * by}


class _Adds:
    def __init__(self, by: int) -> None:
        self.by = by
        self.lock = threading.Lock()

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        with self.lock:
            return batch.set_column(0, "id", pc.add(batch["id"], self.by))


async def _later(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch


def _generator(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    yield batch
    yield batch


@sf.func
def _next(x: int) -> int:
    return None if x is None else x + 1


def _longest() -> sf.AggregateFn:
    return sf.AggregateFn(
        init=lambda key: "",
        accumulate_row=lambda state, row: max(state, row["k"] or "", key=len),
        merge=lambda one, other: max(one, other, key=len),
        name="longest",
        return_type="string",
    )


def _cases(folder: Path) -> dict[str, Any]:
    table = _table()
    numbers = sf.range(1_000)
    numbers.write_parquet(f"{folder}/numbers.parquet")
    Path(folder, "a;b.csv").write_text("n;t\n1;x\n;y\n")
    sf.register("registered", table)
    by_time = sf.col("x").sum().over("k", order_by="x")
    return {
        "columns": table.select("k", (sf.col("x") / 2).alias("half"), sf.col("k") + "!"),
        "filter": table.filter(sf.col("x") > 1).sort("x").limit(2),
        "case": table.with_column("big", sf.when(sf.col("x") > 1).then("yes").otherwise("no")),
        "text": table.select(sf.col("k").str.upper(), sf.col("v").cast(str)),
        "join": table.join(table, on="k", how="left").join(sf.range(3), left_on="x", right_on="id", how="anti"),
        "group": table.groupby("k").agg(sf.col("x").sum(), n=sf.functions.count()),
        "user aggregate": table.groupby("k").agg(_longest()),
        "window": table.with_column("total", by_time).with_column(
            "before", sf.col("x").shift(1).over("k", order_by="v")
        ),
        "rolling": numbers.rolling(on="id", window="3i").agg(sf.col("id").mean().alias("m")),
        "function": table.map_batches(_add_one),
        "arguments": table.map_batches(
            _double, batch_format="numpy", batch_size=2, fn_kwargs={"by": 3}, schema={"x": "float64"}
        ),
        "lambda": table.map_batches(lambda batch: batch.slice(0, 1)),
        "generator": numbers.map_batches(_generator, batch_size=100),
        "coroutine": numbers.map_batches(_later),
        "class on threads": numbers.map_batches(_Adds, fn_constructor_args=(5,), compute="threads"),
        "rows": numbers.map(lambda row: {"id": -row["id"]}),
        "groups": table.groupby("k").map_groups(lambda rows: rows.slice(0, 1)),
        "function in an expression": table.select(_next(sf.col("x")).alias("next")),
        "shuffle": numbers.random_shuffle(seed=3).repartition(3),
        "sql": sf.sql("SELECT k, x FROM t WHERE x IN (SELECT max(x) FROM registered)", t=table),
        "registered": sf.table("registered"),
        "parquet": sf.read_parquet(f"{folder}/numbers.parquet").filter(sf.col("id") < 10),
        "csv": sf.read_csv(f"{folder}/a;b.csv", delimiter=";"),
        "filtered files": sf.read_parquet(f"{folder}/*.parquet", partition_filter=lambda path, _: "numbers" in path),
        "materialized": numbers.materialize(),
        "persisted": numbers.persist(),
        "mixed": sf.mix([sf.range(10), sf.range(20)], weights=[1, 2], seed=1),
        "ray": sf.data.range(10).map_batches(lambda batch: {"id": batch["id"] * 2}),
    }


def _rows(dataset: Any) -> list[str]:
    dataset = dataset.to_sheaf() if hasattr(dataset, "to_sheaf") else dataset
    return sorted(map(repr, dataset.to_arrow().to_pylist()))


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Datasets of all kinds of sources, verbs and functions."""
    return _cases(tmp_path_factory.mktemp("pickled"))


def test_every_kind_of_dataset_comes_back(cases: dict[str, Any]) -> None:
    for name, dataset in cases.items():
        back = pickle.loads(pickle.dumps(dataset))
        assert type(back) is type(dataset), name
        assert _rows(back) == _rows(dataset), name
        assert _rows(pickle.loads(pickle.dumps(back))) == _rows(dataset), name


def test_the_plan_travels_and_not_its_rows(tmp_path: Path) -> None:
    sf.range(100_000).write_parquet(tmp_path / "x.parquet")
    assert len(pickle.dumps(sf.read_parquet(tmp_path / "x.parquet"))) < 2_000
    assert len(pickle.dumps(sf.range(10**12).filter(sf.col("id") > 5))) < 2_000
    # Rows in memory have nowhere else to be, and a table that occurs twice is there once.
    table = sf.from_arrow(pa.table({"x": pa.array(range(10_000))}))
    once = len(pickle.dumps(table))
    assert 80_000 < once < 90_000
    assert len(pickle.dumps(table.union(table))) < once + 2_000


def test_another_process_runs_the_plan(cases: dict[str, Any], tmp_path: Path) -> None:
    chosen = [name for name in cases if name not in ("ray",)]
    path = tmp_path / "all.pickle"
    path.write_bytes(cloudpickle.dumps({name: cases[name] for name in chosen}))
    program = (
        "import pickle, sys, pathlib\n"
        "all = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "rows = lambda dataset: sorted(map(repr, dataset.to_arrow().to_pylist()))\n"
        "sys.stdout.buffer.write(pickle.dumps({name: rows(dataset) for name, dataset in all.items()}))\n"
    )
    # The functions of this module are by their names: the process finds them where this one has.
    environment = {"PYTHONPATH": ":".join([*sys.path, str(HERE.parents[2])])}
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        check=False,
        env={**os.environ, **environment},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = pickle.loads(done.stdout)
    assert found == {name: _rows(cases[name]) for name in chosen}


def _count(dataset: sf.Dataset) -> tuple[int, sf.Dataset]:
    return dataset.count(), dataset


def test_processes_of_multiprocessing_take_and_give_datasets(tmp_path: Path) -> None:
    sf.range(50).write_parquet(tmp_path / "x.parquet")
    dataset = sf.read_parquet(tmp_path / "x.parquet").filter(sf.col("id") >= 40)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        rows, back = pool.apply(_count, (dataset,))
    assert rows == 10
    assert back.sort("id").to_pydict() == {"id": list(range(40, 50))}


@pytest.fixture(scope="module")
def runtime() -> Iterator[None]:
    """A runtime of two CPUs."""
    sf.init(num_cpus=2)
    yield
    sf.shutdown()


def test_tasks_take_and_give_datasets(runtime: None, tmp_path: Path) -> None:
    sf.range(50).write_parquet(tmp_path / "x.parquet")
    dataset = sf.read_parquet(tmp_path / "x.parquet")

    @sf.remote
    def late(of, least):
        return of["numbers"].filter(sf.col("id") >= least)

    @sf.remote
    def count(of):
        return of.count()

    made = late.remote({"numbers": dataset.map_batches(lambda batch: batch)}, 45)
    assert sf.get(count.remote(made)) == 5
    assert sf.get(made).sort("id").to_pydict() == {"id": [45, 46, 47, 48, 49]}
    assert sf.get(sf.put(dataset)).count() == 50


def test_actors_keep_datasets(runtime: None) -> None:
    @sf.remote
    class Keeper:
        def __init__(self, dataset):
            self.dataset = dataset

        def add(self, expr):
            self.dataset = self.dataset.with_column("next", expr)

        def rows(self):
            return self.dataset.sort("x").to_pydict()

    keeper = Keeper.remote(sf.from_pydict({"x": [2, 1]}))
    sf.get(keeper.add.remote(sf.col("x") + 1))
    assert sf.get(keeper.rows.remote()) == {"x": [1, 2], "next": [2, 3]}


def test_worker_processes_under_a_pickled_plan(runtime: None) -> None:
    pooled = sf.range(100).map_batches(_Adds, fn_constructor_args=(1,), concurrency=1, batch_size=50)
    back = pickle.loads(pickle.dumps(pooled))
    assert sum(back.to_pydict()["id"]) == 5_050


def test_expressions_and_groups_pickle() -> None:
    exprs = [
        sf.col("a") + 1,
        sf.col("a.b").cast("int8").alias("c d"),
        sf.when(sf.col("x").is_null()).then(None).otherwise(sf.col("x") % 3),
        sf.col("x").sum().over("k", order_by="t"),
        sf.lit(float("inf")),
        _next(sf.col("x")),
        sf.col("l").list.len(),
    ]
    for expr in exprs:
        assert repr(pickle.loads(pickle.dumps(expr))) == repr(expr)
        assert copy.deepcopy(expr) is expr
    assert pickle.loads(pickle.dumps(sf.col("a") + 1)).equals(sf.col("a") + 1)

    table = _table()
    for grouped in [table.groupby("k"), table.rollup("k"), table.grouping_sets([["k"], []])]:
        back = pickle.loads(pickle.dumps(grouped))
        assert _rows(back.agg(sf.col("x").sum())) == _rows(grouped.agg(sf.col("x").sum()))


def test_copies_are_the_same_dataset() -> None:
    dataset = sf.Session(threads=1).range(3)
    assert copy.copy(dataset) is dataset
    assert copy.deepcopy({"x": [dataset]})["x"][0] is dataset


def test_a_dataset_comes_to_the_default_session() -> None:
    data = pickle.dumps(sf.Session(threads=1).range(3))
    session = sf.Session(threads=1)
    sf.set_default_session(session)
    try:
        back = pickle.loads(data)
        assert back.union(session.range(3)).count() == 6
    finally:
        sf.set_default_session(None)


def test_options_of_stores_go_along_and_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    secret = "pa55word"
    dataset = sf.read_csv(tmp_path / "x.csv", storage_options={"secret_access_key": secret})
    data = pickle.dumps(dataset)
    assert secret.encode() in data
    back = pickle.loads(data)
    for told in (repr(back), back.explain(), str(back.schema)):
        assert secret not in told
    (tmp_path / "x.csv").unlink()
    with pytest.raises(sf.errors.MissingFileError) as raised:
        back.collect()
    assert secret not in str(raised.value)


def test_what_cannot_travel_says_why(tmp_path: Path) -> None:
    lock = threading.Lock()
    with pytest.raises(sf.errors.UserFunctionError, match=r"the function .* cannot be pickled: .*lock"):
        pickle.dumps(sf.range(3).map_batches(lambda batch: (lock, batch)[1]))
    with pytest.raises(sf.errors.UnsupportedError, match=r"its table information_schema.tables"):
        pickle.dumps(sf.sql("SELECT * FROM information_schema.tables"))
    with pytest.raises(sf.errors.UnsupportedError, match="256 MiB of rows in memory") as raised:
        pickle.dumps(sf.from_arrow(pa.table({"x": pa.array(range(40_000_000), type="int64")})))
    assert "checkpoint(path)" in str(raised.value)
    data = sf.range(3)._inner.to_bytes()
    for broken in (b"", data[:-3], data[:20] + b"?" + data[21:]):
        with pytest.raises(sf.errors.ParseError, match="no dataset of Sheaf"):
            sf.default_session()._inner.dataset_from_bytes(broken)


def test_a_function_whose_module_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "module_that_goes.py"
    module.write_text("def same(batch):\n    return batch\n")
    monkeypatch.syspath_prepend(tmp_path)
    import module_that_goes

    data = pickle.dumps(sf.range(3).map_batches(module_that_goes.same))
    assert pickle.loads(data).count() == 3
    monkeypatch.delitem(sys.modules, "module_that_goes")
    module.unlink()
    for cached in (tmp_path / "__pycache__").glob("*"):
        cached.unlink()
    with pytest.raises(sf.errors.UserFunctionError, match="module_that_goes") as raised:
        pickle.loads(data)
    assert isinstance(raised.value.__cause__, ModuleNotFoundError)


def test_partial_functions_keep_their_arguments() -> None:
    tripled = sf.from_pydict({"x": [1, 2]}).map_batches(functools.partial(_double, by=3), batch_format="numpy")
    assert sorted(pickle.loads(pickle.dumps(tripled)).to_pydict()["x"]) == [3, 6]


def test_a_file_system_does_not_leave_its_session() -> None:
    pytest.importorskip("fsspec")
    files = pa.fs._MockFileSystem()
    with files.open_output_stream("x.csv") as stream:
        stream.write(b"id\n1\n2\n")
    dataset = sf.read_csv("x.csv", filesystem=files)
    with pytest.raises(sf.UnsupportedError, match="on a file system that was given to this session alone") as raised:
        pickle.dumps(dataset)
    assert "materialize()" in str(raised.value)
    assert sorted(pickle.loads(pickle.dumps(dataset.materialize())).to_pydict()["id"]) == [1, 2]
