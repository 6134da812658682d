"""Functions with fewer processes than there are nodes: what feeds them runs on all nodes, and while they run."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sheaf as sf

from .nodes import Cluster, driven, eventually

pytestmark = pytest.mark.timeout(600)

ROWS = 120_000
FILES = 8
SECONDS = 60
KILLS = 4
PREPARED = pa.schema({"a": pa.int64(), "by": pa.int64(), "at": pa.float64()})
OWN = {"model": pa.int64(), "seen": pa.float64(), "twice": pa.int64(), "devices": pa.string()}
MADE = pa.schema([*PREPARED, *pa.schema(OWN)])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("rows")
    for number in range(FILES):
        a = np.arange(number * ROWS // FILES, (number + 1) * ROWS // FILES)
        text = [f"{n:>0180}" for n in a]
        pq.write_table(pa.table({"a": a, "text": text}), folder / f"{number}.parquet", compression="none")
    return str(folder)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes with a CPU each, and one with a GPU alone."""
    with driven(tmp_path_factory.mktemp("nodes"), 1, 1, 1) as started:
        started.add(num_cpus=0, num_gpus=1)
        yield started


@pytest.fixture
def there(nodes: Cluster) -> Iterator[sf.Session]:
    with sf.Session(threads=2, address=nodes.address) as session:
        yield session


def prepared(batch: dict[str, Any]) -> dict[str, Any]:
    """What is done with rows before they come to a model: it takes a while, and any node can do it."""
    time.sleep(0.05)
    rows = len(batch["a"])
    return {"a": batch["a"], "by": np.full(rows, os.getpid()), "at": np.full(rows, time.time())}


class Model:
    """What there are few of."""

    def __init__(self, by: int = 1) -> None:
        self._by = by
        self._devices = os.environ.get("CUDA_VISIBLE_DEVICES", "")

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        rows = len(batch["a"])
        own = {"model": np.full(rows, os.getpid()), "seen": np.full(rows, time.time())}
        return {**batch, **own, "twice": batch["a"] * 2 * self._by, "devices": np.full(rows, self._devices)}


def fed(rows: sf.Dataset, **how: Any) -> sf.Dataset:
    made = rows.map_batches(prepared, batch_format="numpy", batch_size=2_000, schema=PREPARED)
    # A GPU is not here: what the model returns cannot be tried out.
    options = {"batch_format": "numpy", "batch_size": 2_000, "schema": MADE, "concurrency": 1, **how}
    return made.map_batches(Model, **options)


def test_nodes_with_cpus_feed_the_one_with_a_gpu(nodes: Cluster, there: sf.Session, data: str) -> None:
    rows = fed(there.read_parquet(data), num_gpus=1)
    found = rows.to_pydict()
    # Rows that are only mapped come in the order of their files.
    assert found["a"] == list(range(ROWS))
    assert found["twice"] == [2 * n for n in range(ROWS)]
    assert len(set(found["model"])) == 1
    assert set(found["devices"]) == {"0"}
    zygotes = {psutil.Process(pid).ppid() for pid in set(found["by"])}
    with_cpus = {member.pid for member in nodes.members[1:4]}
    assert {psutil.Process(zygote).ppid() for zygote in zygotes} == with_cpus
    # It does not wait for all that it is fed.
    assert min(found["seen"]) < sorted(found["at"])[ROWS * 3 // 4]
    eventually(nodes.objects, [])


def test_explain_shows_what_feeds_what(there: sf.Session, data: str) -> None:
    rows = there.read_parquet(data)
    plan = fed(rows).explain()
    assert "Stage 1: tasks=1, parts=2, determined" in plan, plan
    assert "ExchangeReadExec: Coalesce of stage 0" in plan, plan
    assert "one task because" not in plan, plan
    # As many as there are of each, the fewest last.
    two = rows.map_batches(Model, concurrency=2, batch_format="numpy", batch_size=2_000)
    plan = two.map_batches(Model, concurrency=1, batch_format="numpy", batch_size=2_000).explain()
    assert "Stage 2: tasks=1" in plan, plan
    assert "Stage 1: tasks=2" in plan, plan
    # As many processes as nodes are shared out among the tasks.
    assert "Stage 1" not in fed(rows, concurrency=3).explain()


def test_what_is_above_goes_on_from_there(there: sf.Session, data: str, tmp_path: Path) -> None:
    rows = there.read_parquet(data)
    summed = fed(rows).with_column("g", sf.col("a") % 7).groupby("g").agg(sf.col("twice").sum().alias("s")).sort("g")
    assert summed.to_pydict()["s"] == [sum(2 * n for n in range(g, ROWS, 7)) for g in range(7)]
    fed(rows, concurrency=2).select("a", "twice").write_parquet(tmp_path / "made")
    made = pq.read_table(tmp_path / "made").sort_by("a")
    assert made.column("twice").to_pylist() == [2 * n for n in range(ROWS)]
    two = rows.map_batches(Model, fn_constructor_args=(3,), concurrency=2, batch_format="numpy").select("a", "twice")
    both = two.map_batches(Model, concurrency=1, batch_format="numpy").sort("a").to_pydict()
    assert both["a"] == list(range(ROWS))
    assert len(set(both["model"])) == 1


def test_workers_that_hold_cpus_do_not_keep_them_from_what_feeds_them(there: sf.Session, data: str) -> None:
    rows = fed(there.read_parquet(data), num_cpus=1)
    # As many workers as there are CPUs.
    for _ in range(2):
        rows = rows.map_batches(Model, concurrency=1, num_cpus=1, batch_format="numpy", batch_size=2_000, schema=MADE)
    assert rows.count() == ROWS


def test_a_limit_does_not_wait_for_what_it_does_not_need(there: sf.Session, data: str) -> None:
    def slowly(batch: dict[str, Any]) -> dict[str, Any]:
        # All but the first rows take their time.
        time.sleep(0.05 if batch["a"][0] < ROWS // 4 else 2)
        return prepared(batch)

    rows = there.read_parquet(data).map_batches(slowly, batch_format="numpy", batch_size=2_000, schema=PREPARED)
    rows = rows.map_batches(Model, concurrency=1, batch_format="numpy", batch_size=2_000, schema=MADE)
    began = time.monotonic()
    assert there.sql("SELECT a FROM rows LIMIT 5", rows=rows).count() == 5
    assert time.monotonic() - began < 10


def test_all_tasks_have_all_rows_of_what_is_given_to_all(tmp_path: Path) -> None:
    for number in range(3):
        a = np.arange(number * 20_000, (number + 1) * 20_000)
        pq.write_table(
            pa.table({"a": a, "text": [f"{n:>0180}" for n in a]}), tmp_path / f"{number}", compression="none"
        )
    with driven(tmp_path / "nodes", 4, 4) as started, sf.Session(threads=2, address=started.address) as there:
        rows = there.read_parquet([str(tmp_path / str(number)) for number in range(3)])
        limits = there.range(40).with_column("most", sf.col("id") * 1_500)
        query = "SELECT count(*) AS n FROM fed JOIN limits ON fed.a < limits.most"
        counted = there.sql(query, fed=fed(rows), limits=limits)
        assert counted.to_pydict()["n"] == [sum(n * 1_500 for n in range(40))]


def test_a_join_above_keeps_it_in_one_task(there: sf.Session, data: str) -> None:
    rows = there.read_parquet(data)
    joined = fed(rows).select("a", "twice").join(rows, on="a")
    assert "fewer processes than there are nodes" in joined.explain()
    assert joined.count() == ROWS


def test_errors_say_which_of_the_two_failed(there: sf.Session, data: str) -> None:
    class OwnError(Exception):
        pass

    def fails(batch: dict[str, Any]) -> dict[str, Any]:
        if batch["a"][0] > ROWS // 2:
            raise OwnError("no such luck")
        return batch

    class FailingModel(Model):
        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            return super().__call__(fails(batch))

    for stage, feeds, model in ((0, fails, Model), (1, prepared, FailingModel)):
        rows = there.read_parquet(data).map_batches(feeds, batch_format="numpy", batch_size=2_000)
        rows = rows.map_batches(model, concurrency=1, batch_format="numpy", batch_size=2_000)
        began = time.monotonic()
        with pytest.raises(sf.errors.UserFunctionError, match=rf"stage {stage}, task \d+.*no such luck") as told:
            rows.count()
        assert type(told.value.__cause__).__name__ == "OwnError"
        assert time.monotonic() - began < SECONDS


def test_ctrl_c_stops_those_that_are_fed_too(nodes: Cluster, data: str) -> None:
    sleeps = (
        "import sys, time, sheaf as sf\n"
        "session = sf.Session(threads=1, address=sys.argv[1])\n"
        "def sleeps(batch):\n"
        "    print('asleep', flush=True)\n"
        "    time.sleep(600)\n"
        "class Same:\n"
        "    def __call__(self, batch):\n"
        "        return batch\n"
        "rows = session.read_parquet(sys.argv[2])\n"
        "rows = rows.map_batches(sleeps, schema=rows.schema).map_batches(Same, concurrency=1, schema=rows.schema)\n"
        "rows.count()\n"
    )
    assert nodes.interrupted(sleeps, data).endswith(" asleep\n")
    eventually(nodes.objects, [])


def test_killed_nodes_cost_no_rows_of_either(cluster: Cluster, data: str) -> None:
    cluster.add(num_cpus=0)
    for _ in range(3):
        cluster.add(num_cpus=1)
    with sf.Session(threads=2, address=cluster.address) as there:
        for kill in range(KILLS):
            answer = fed(there.read_parquet(data)).groupby(sf.col("a") % 11).agg(sf.col("twice").sum().alias("s"))
            victim = cluster.members[1 + kill % 3]
            killer = threading.Timer(0.4 + 0.4 * kill, victim.kill)
            killer.start()
            found = answer.to_pydict()
            killer.join(SECONDS)
            assert sorted(found["s"]) == sorted(sum(2 * n for n in range(g, ROWS, 11)) for g in range(11))
            victim.start()
            victim.await_place()
            eventually(lambda: len(cluster.nodes()), 4)
    eventually(cluster.objects, [])
