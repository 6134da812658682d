"""A program that has joined a cluster: its datasets run there, and what cannot leave the process runs in it."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sheaf as sf

from .nodes import Cluster, driven

pytestmark = pytest.mark.timeout(300)

SECONDS = 60


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head for the driver, and two nodes with two CPUs each."""
    with driven(tmp_path_factory.mktemp("nodes"), 2, 2) as started:
        yield started


@pytest.fixture
def joined(nodes: Cluster) -> Iterator[Cluster]:
    sf.shutdown()
    yield nodes
    sf.shutdown()


@pytest.fixture
def data(tmp_path: Path) -> str:
    pq.write_table(pa.table({"id": list(range(100)), "k": [n % 3 for n in range(100)]}), tmp_path / "rows.parquet")
    return str(tmp_path / "rows.parquet")


def is_there(rows: sf.Dataset) -> bool:
    return "ClusterExec" in rows.explain()


def test_tables_and_datasets_from_before_are_still_there(joined: Cluster, data: str) -> None:
    before = sf.read_parquet(data)
    sf.register("before_it", before)
    try:
        with sf.init(joined.address):
            after = sf.read_parquet(data)
            assert is_there(after)
            assert after.join(before, on="id").count() == 100
            assert before.join(after, on="id").count() == 100
            asked = sf.sql("SELECT k, count(*) AS n FROM before_it GROUP BY k ORDER BY k")
            assert is_there(asked)
            assert asked.to_pydict() == {"k": [0, 1, 2], "n": [34, 33, 33]}
        assert not is_there(sf.read_parquet(data))
    finally:
        sf.deregister("before_it")


def test_datasets_outlive_the_stay(joined: Cluster, data: str) -> None:
    with sf.init(joined.address):
        rows = sf.read_parquet(data).filter(sf.col("k") == 0)
        assert rows.count() == 34
    assert rows.count() == 34
    assert not is_there(rows)


def test_partitions_that_the_user_chose_come_out(joined: Cluster, data: str) -> None:
    with sf.init(joined.address):
        rows = sf.read_parquet(data).repartition(4)
        assert is_there(rows)
        assert rows.num_partitions() == 4
        assert len(rows.to_arrow_refs()) == 4
        assert sorted(rows.to_pydict()["id"]) == list(range(100))


def test_what_cannot_leave_the_process_runs_in_it(joined: Cluster, data: str, caplog: pytest.LogCaptureFixture) -> None:
    files = fsspec.filesystem("memory")
    files.put(data, "/own/rows.parquet")
    with sf.init(joined.address), caplog.at_level(logging.WARNING, "sheaf"):
        rows = sf.read_parquet("/own/rows.parquet", filesystem=files)
        assert rows.count() == 100
        deadline = time.monotonic() + SECONDS
        while "runs in this process" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "given to this session alone" in caplog.text
    # Who asks for the cluster by name is told.
    with sf.Session(threads=1, address=joined.address) as there:
        rows = there.read_parquet("/own/rows.parquet", filesystem=files)
        with pytest.raises(sf.errors.UnsupportedError):
            rows.count()


class Holder:
    """Holds what it asks for."""

    def ready(self) -> str:
        return sf.get_runtime_context().get_node_id()


def test_actors_leave_room_for_queries(joined: Cluster, data: str, caplog: pytest.LogCaptureFixture) -> None:
    with sf.init(joined.address), caplog.at_level(logging.WARNING, "sheaf"):
        one_each = sf.remote(Holder).options(num_cpus=1, scheduling_strategy="SPREAD")
        holders = [one_each.remote() for _ in range(2)]
        sf.get([holder.ready.remote() for holder in holders], timeout=SECONDS)
        assert sf.read_parquet(data).count() == 100
        # With all CPUs held a query waits, and says so.
        more = [one_each.remote() for _ in range(2)]
        sf.get([holder.ready.remote() for holder in more], timeout=SECONDS)
        ended = sf.remote(lambda: time.sleep(12)).options(num_cpus=0).remote()
        frees = sf.remote(lambda waits, held: [sf.kill(holder) for holder in held]).options(num_cpus=0)
        freed = frees.remote(ended, more)
        assert sf.read_parquet(data).count() == 100
        assert "a query waits, for none of its first 1 tasks can begin" in caplog.text
        sf.get(freed, timeout=SECONDS)
