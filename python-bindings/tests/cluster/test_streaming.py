"""The streaming exchange on a cluster of processes: first rows at once, and nothing left, whoever dies meanwhile."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runtime.processes import becomes_true

import sheaf as sf

from .nodes import Cluster, eventually

pytestmark = pytest.mark.timeout(300)

ROWS = 3_000_000
FILES = 6
SECONDS = 60
QUERIES_IN_A_LOOP = 100
MEBIBYTE = 1 << 20
# A node that does nothing takes less of a second.
IDLE = 0.3

GROUPED = "SELECT k % 1000 AS g, count(*) AS n FROM '{data}/*.parquet' GROUP BY 1 ORDER BY n DESC, g LIMIT 20"
# Every row of one file is compared with every row of another: longer than any test.
ENDLESS = "SELECT count(*) AS n FROM '{data}/part-0.parquet' a JOIN '{data}/*.parquet' b ON a.v < b.k + a.k"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of numbers that are worth a task each."""
    folder = tmp_path_factory.mktemp("numbers")
    drawn = np.random.default_rng(3)
    for number in range(FILES):
        columns = {name: drawn.integers(0, 1 << 40, ROWS // FILES) for name in ("k", "v", "p0", "p1", "p2")}
        columns["n"] = np.arange(ROWS // FILES) + number * (ROWS // FILES)
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet", compression="none")
    return folder


def exchange(session: sf.Session, query: str) -> str:
    """The exchange by which a query would run."""
    text = "\n".join(row["plan"] for row in session.sql(f"EXPLAIN FORMAT INDENT {query}").to_arrow().to_pylist())
    return text.split("exchange=")[1].split(", stages")[0]


def cpu_seconds(cluster: Cluster) -> float:
    """What the nodes have used so far."""
    times = [psutil.Process(member.pid).cpu_times() for member in cluster.members[1:] if member.process.poll() is None]
    return sum(used.user + used.system for used in times)


def is_idle(cluster: Cluster) -> bool:
    before = cpu_seconds(cluster)
    time.sleep(1)
    return cpu_seconds(cluster) - before < IDLE


def test_the_exchange_is_chosen_by_session(trio: Cluster, data: Path) -> None:
    query = GROUPED.format(data=data)
    with sf.Session(threads=2) as here:
        expected = here.sql(query).to_arrow().to_pylist()
    for given, found in [(None, "durable"), ("auto", "durable"), ("durable", "durable"), ("streaming", "streaming")]:
        with sf.Session(threads=2, address=trio.address, exchange=given) as there:  # type: ignore[arg-type]
            assert exchange(there, query) == found
            assert there.settings["exchange"] == (given or "auto")
            assert there.sql(query).to_arrow().to_pylist() == expected
            if found == "streaming":
                table = there.read_parquet(str(data / "part-0.parquet")).map_batches(lambda batch: batch)
                there.register("mapped", table)
                assert exchange(there, "SELECT * FROM mapped") == "durable (functions run in worker processes)"
    with pytest.raises(sf.errors.InvalidInputError, match="auto, durable or streaming"):
        sf.Session(exchange="quick")  # type: ignore[arg-type]
    eventually(trio.objects, [])


def test_rows_are_iterated_over_as_they_come(trio: Cluster, data: Path) -> None:
    with sf.Session(threads=2, address=trio.address) as there:
        numbers = there.read_parquet(str(data)).filter(sf.col("k") >= 0).select("n", "k")
        batches = numbers.iter_batches(batch_format="pyarrow")
        first = next(batches)
        # While somebody reads them, others run.
        assert there.read_parquet(str(data)).filter(sf.col("k") < 0).count() == 0
        found = pa.concat_tables([pa.table(first), *map(pa.table, batches)])
        assert found["n"].to_numpy().tolist() == list(range(ROWS))
        stats = numbers.stats()
        assert stats is not None
        assert "exchange=streaming" in stats
    assert becomes_true(lambda: is_idle(trio), SECONDS)
    eventually(trio.objects, [])


def test_a_program_that_dies_leaves_no_task(trio: Cluster, data: Path) -> None:
    program = f"import sheaf as sf; sf.Session(address={trio.address!r}, exchange='streaming')"
    program += f".sql({ENDLESS.format(data=data)!r}).to_arrow()"
    for number in (signal.SIGKILL, signal.SIGINT):
        with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL, env=trio.env) as running:
            assert becomes_true(lambda: not is_idle(trio), SECONDS)
            running.send_signal(number)
            running.wait(SECONDS)
        assert becomes_true(lambda: is_idle(trio), SECONDS), number


def test_a_node_that_dies_or_stands_still_costs_a_run(trio: Cluster, data: Path) -> None:
    query = GROUPED.format(data=data)
    with (
        sf.Session(threads=2) as here,
        sf.Session(threads=2, address=trio.address, exchange="streaming") as there,
    ):
        expected = here.sql(query).to_arrow().to_pylist()
        for number in (signal.SIGKILL, signal.SIGSTOP):
            victim = trio.members[-1]
            victim.send(number)
            begun = time.monotonic()
            assert there.sql(query).to_arrow().to_pylist() == expected, number
            assert time.monotonic() - begun < SECONDS
            victim.kill()
            trio.restart(victim)
        # Rows that are out are not taken back.
        batches = there.read_parquet(str(data)).filter(sf.col("k") >= 0).iter_batches(batch_format="pyarrow")
        next(batches)
        for victim in trio.members[1:]:
            victim.kill()
        with pytest.raises(sf.errors.SheafError, match="the connection to a node of the cluster is lost"):
            list(batches)
        for victim in trio.members[1:]:
            trio.restart(victim)


def test_many_queries_leave_nothing_in_memory(trio: Cluster, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": list(range(10_000))}), tmp_path / "few.parquet")
    nodes = [psutil.Process(member.pid) for member in trio.members]
    with sf.Session(threads=2, address=trio.address, exchange="streaming") as there:

        def ask(times: int) -> None:
            for time_ in range(times):
                query = f"SELECT a % {time_ % 7 + 2} AS g, count(*) AS n FROM '{tmp_path}/few.parquet' GROUP BY 1"
                assert there.sql(query).to_arrow().num_rows == time_ % 7 + 2

        ask(QUERIES_IN_A_LOOP // 2)
        before = [(node.memory_info().rss, node.num_fds()) for node in nodes]
        ask(QUERIES_IN_A_LOOP)
        for node, (memory, files) in zip(nodes, before, strict=True):
            assert node.memory_info().rss - memory < 32 * MEBIBYTE
            assert node.num_fds() - files < 8
