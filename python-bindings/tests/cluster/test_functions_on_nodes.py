"""Functions of Python in queries on a cluster: in worker processes of its nodes, with the rows of one process."""

import asyncio
import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runtime.processes import becomes_true

import sheaf as sf

from .nodes import Cluster, driven, eventually

pytestmark = pytest.mark.timeout(600)

ROWS = 120_000
FILES = 4
SECONDS = 60
KILLS = 4
SCHEMA = pa.schema({"a": pa.int64(), "text": pa.string(), "weight": pa.float64()})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Files that are worth a task each where functions are called."""
    folder = tmp_path_factory.mktemp("rows")
    drawn = np.random.default_rng(5)
    for number in range(FILES):
        a = np.arange(number * ROWS // FILES, (number + 1) * ROWS // FILES)
        columns = {"a": a, "text": [f"text {n}" * 3 for n in a], "weight": drawn.random(len(a))}
        pq.write_table(pa.table(columns, schema=SCHEMA), folder / f"{number}.parquet", compression="none")
    return str(folder)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head for the driver, and two nodes with two CPUs each."""
    with driven(tmp_path_factory.mktemp("nodes"), 2, 2) as started:
        yield started


@pytest.fixture
def here() -> Iterator[sf.Session]:
    with sf.Session(threads=2) as session:
        yield session


@pytest.fixture
def there(nodes: Cluster) -> Iterator[sf.Session]:
    with sf.Session(threads=2, address=nodes.address) as session:
        yield session


class Scaled:
    """A class whose instances are workers."""

    def __init__(self, by: int) -> None:
        self._by = by

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"a": batch["a"] * self._by, "pid": np.full(len(batch["a"]), os.getpid())}


def doubled(batch: dict[str, Any]) -> dict[str, Any]:
    return {"a": batch["a"] * 2}


async def tripled(batch: dict[str, Any]) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"a": batch["a"] * 3}


def in_pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, 5_000):
        yield batch.slice(start, 5_000)


@sf.func(return_dtype=pa.int64())
def lengths(text: str) -> int:
    return len(text)


VERBS: dict[str, Callable[[sf.Dataset], sf.Dataset]] = {
    "map_batches": lambda rows: rows.map_batches(doubled, batch_format="numpy"),
    "map": lambda rows: rows.map(lambda row: {"a": row["a"] + 1, "half": row["weight"] / 2}),
    "flat_map": lambda rows: rows.limit(3_000).flat_map(lambda row: [{"a": row["a"]}, {"a": -row["a"]}]),
    "filter": lambda rows: rows.filter(lambda row: row["a"] % 7 == 0).select("a"),
    "generator": lambda rows: rows.map_batches(in_pieces, batch_format="pyarrow").select("a"),
    "coroutine": lambda rows: rows.map_batches(tripled, batch_format="numpy"),
    "class": lambda rows: rows.map_batches(
        Scaled, fn_constructor_args=(5,), concurrency=2, batch_format="numpy"
    ).select("a"),
    "map_groups": lambda rows: (
        rows.with_column("g", sf.col("a") % 10)
        .groupby("g")
        .map_groups(lambda group: {"g": group["g"][:1], "a": group["a"].sum(keepdims=True)}, batch_format="numpy")
    ),
    "expression": lambda rows: rows.select("a", n=lengths(sf.col("text"))),
    "joined": lambda rows: (
        rows.map_batches(doubled, batch_format="numpy")
        .join(rows.select("a", "weight"), on="a")
        .groupby("a")
        .agg(sf.col("weight").max().alias("weight"))
    ),
}


@pytest.mark.parametrize("verb", VERBS)
def test_rows_are_those_of_one_process(verb: str, here: sf.Session, there: sf.Session, data: str) -> None:
    expected, found = [VERBS[verb](session.read_parquet(data)).sort("a").to_arrow() for session in (here, there)]
    assert expected.num_rows > 0
    assert found.to_pylist() == expected.to_pylist()


def pids_of(rows: sf.Dataset) -> dict[int, int]:
    counted = rows.groupby("pid").count().to_pydict()
    return dict(zip(counted["pid"], counted["count()"], strict=True))


def test_functions_run_in_workers_of_several_nodes(nodes: Cluster, there: sf.Session, data: str) -> None:
    def told(batch: dict[str, Any]) -> dict[str, Any]:
        # Long enough that one node does not do all of it.
        time.sleep(0.05)
        return {"pid": np.full(len(batch["a"]), os.getpid())}

    found = pids_of(there.read_parquet(data).map_batches(told, batch_format="numpy", batch_size=5_000))
    assert sum(found.values()) == ROWS
    own = {member.pid for member in nodes.members} | {os.getpid()}
    assert len(found) >= 2
    assert not own & found.keys()
    # Of each node one: it is their zygotes that made them.
    zygotes = {psutil.Process(pid).ppid() for pid in found}
    assert {psutil.Process(zygote).ppid() for zygote in zygotes} <= own
    assert len(zygotes) >= 2


def test_a_pool_has_as_many_workers_as_it_says_for_all_tasks(there: sf.Session, data: str) -> None:
    rows = there.read_parquet(data)
    for workers in (1, 2, 3):
        scaled = rows.map_batches(
            Scaled, fn_constructor_args=(1,), concurrency=workers, batch_format="numpy", batch_size=1_000
        )
        found = pids_of(scaled)
        assert sum(found.values()) == ROWS
        assert len(found) <= workers
    plan = scaled.explain()
    assert "tasks=2" in plan, plan


def test_few_rows_in_memory_are_shared_out_and_keep_their_order(there: sf.Session) -> None:
    def told(row: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.02)
        return {"n": row["id"], "pid": os.getpid()}

    for rows in (there.range(40), there.from_items([{"id": n} for n in range(40)])):
        made = rows.map(told).to_pydict()
        assert made["n"] == list(range(40))
        assert len(set(made["pid"])) == 2
        # Two tasks of two partitions each.
        assert "tasks=2, parts=2" in rows.map(told, schema={"n": "int64", "pid": "int64"}).explain()


def test_an_exception_comes_with_its_traceback(there: sf.Session, data: str) -> None:
    class OwnError(Exception):
        pass

    def fails(batch: pa.RecordBatch) -> pa.RecordBatch:
        raise OwnError("no such luck")

    with pytest.raises(sf.errors.UserFunctionError, match=r"on 127.0.0.1:\d+: stage 0, task \d+.*no such luck") as told:
        there.read_parquet(data).map_batches(fails, schema=SCHEMA).count()
    cause = told.value.__cause__
    assert (type(cause).__name__, str(cause)) == ("OwnError", "no such luck")
    assert cause is not None
    assert "in fails" in cause.__notes__[0]


def test_a_worker_that_crashes_costs_no_rows(there: sf.Session, here: sf.Session, data: str, tmp_path: Path) -> None:
    once = tmp_path / "once"

    def crashes(batch: pa.RecordBatch, *, always: bool = False) -> pa.RecordBatch:
        if always or not once.exists():
            once.touch()
            ctypes.string_at(0)
        return batch

    rows = there.read_parquet(data)
    whole = rows.map_batches(crashes, schema=SCHEMA).sort("a").to_arrow()
    assert once.exists()
    assert whole.to_pylist() == here.read_parquet(data).sort("a").to_arrow().to_pylist()
    began = time.monotonic()
    with pytest.raises(sf.errors.UserFunctionError, match=r"on 127.0.0.1:\d+ was killed by signal 11"):
        rows.map_batches(crashes, fn_kwargs={"always": True}, schema=SCHEMA).count()
    assert time.monotonic() - began < SECONDS


def test_ctrl_c_stops_what_sleeps_in_functions(nodes: Cluster, data: str) -> None:
    sleeps = (
        "import sys, time, sheaf as sf\n"
        "session = sf.Session(threads=1, address=sys.argv[1])\n"
        "def sleeps(batch):\n"
        "    print('asleep', flush=True)\n"
        "    time.sleep(600)\n"
        "rows = session.read_parquet(sys.argv[2])\n"
        "rows.map_batches(sleeps, schema=rows.schema).count()\n"
    )
    before = len(nodes.rows("workers"))
    line = nodes.interrupted(sleeps, data)
    # What functions print is seen here.
    assert line.startswith("(query pid=")
    assert line.endswith(" asleep\n")
    # Processes in which something sleeps do not stay.
    assert becomes_true(lambda: len(nodes.rows("workers")) <= before, SECONDS)
    eventually(nodes.objects, [])


def test_modules_of_the_program_are_found(nodes: Cluster, data: str, tmp_path: Path) -> None:
    (tmp_path / "own_module.py").write_text("def plus_one(row):\n    return {'a': row['a'] + 1}\n")
    program = (
        "import sys, sheaf as sf\n"
        "sys.path.insert(0, sys.argv[3])\n"
        "import own_module\n"
        "with sf.Session(threads=1, address=sys.argv[1]) as session:\n"
        "    print(session.read_parquet(sys.argv[2]).map(own_module.plus_one).min('a'))\n"
    )
    done = nodes.run_driver(program, data, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1\n"


def test_init_puts_datasets_on_the_cluster(nodes: Cluster, data: str) -> None:
    def pids() -> set[int]:
        rows = sf.read_parquet(data).map_batches(
            lambda batch: {"pid": np.full(len(batch["a"]), os.getpid())}, batch_format="numpy"
        )
        return set(rows.to_pydict()["pid"])

    sf.shutdown()
    assert pids() == {os.getpid()}
    try:
        with sf.init(nodes.address):
            assert os.getpid() not in pids()
            with sf.Session(threads=1) as own:
                assert own.range(3).map(lambda row: {"pid": os.getpid()}).to_pydict() == {"pid": [os.getpid()] * 3}
            # A second cluster's worth of datasets: what the runtime holds is there beside them.
            ref = sf.put(4)
            assert sf.range(3).map(lambda row: {"n": row["id"] * sf.get(ref)}).to_pydict() == {"n": [0, 4, 8]}
    finally:
        sf.shutdown()
    assert pids() == {os.getpid()}
    eventually(nodes.objects, [])


def test_large_results_of_functions_leave_memory_and_come_back(cluster: Cluster, data: str) -> None:
    cluster.add(num_cpus=0)
    for _ in range(2):
        cluster.add(num_cpus=1, object_store_memory=24 << 20)
    with sf.Session(threads=2, address=cluster.address) as there:
        rows = there.read_parquet(data).map_batches(
            lambda batch: {
                "a": batch["a"],
                "noise": np.random.default_rng(int(batch["a"][0])).random((len(batch["a"]), 64)),
            },
            batch_format="numpy",
            batch_size=2_000,
        )
        # 60 MB and more on two nodes with 24 MiB each.
        assert rows.groupby("a").agg(sf.col("noise").count().alias("n")).sum("n") == ROWS
    eventually(cluster.objects, [])


def test_killed_nodes_cost_no_rows_of_functions(cluster: Cluster, data: str) -> None:
    cluster.add(num_cpus=0)
    for _ in range(3):
        cluster.add(num_cpus=1)

    def slowly(batch: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.02)
        return {"g": batch["a"] % 11, "a": batch["a"]}

    with sf.Session(threads=2, address=cluster.address) as there:
        for kill in range(KILLS):
            rows = there.read_parquet(data).map_batches(slowly, batch_format="numpy", batch_size=2_000)
            answer = rows.groupby("g").agg(sf.col("a").sum().alias("s")).sort("g")
            victim = cluster.members[1 + kill % 3]
            killer = threading.Timer(0.3 + 0.2 * kill, victim.kill)
            killer.start()
            found = answer.to_pydict()
            killer.join(SECONDS)
            assert found["s"] == [sum(n for n in range(ROWS) if n % 11 == g) for g in range(11)]
            victim.start()
            victim.await_place()
            eventually(lambda: len(cluster.nodes()), 4)
    eventually(cluster.objects, [])
