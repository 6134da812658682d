"""Datasets and SQL on a cluster of processes: the rows of one process, also when a node is killed meanwhile."""

import os
import random
import signal
import subprocess
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

from .nodes import SHEAF, Cluster, eventually

pytestmark = pytest.mark.timeout(1200)

ROWS = 3_000_000
FILES = 6
SECONDS = 60
KILLS = int(os.environ.get("SHEAF_TEST_KILLS", "20"))
SEED = 11
QUERIES_IN_A_LOOP = 500
MEBIBYTE = 1 << 20

QUERIES = [
    "SELECT count(*) AS n, sum(v) AS s, max(k) AS k FROM '{data}/*.parquet'",
    "SELECT k % 1000 AS g, count(*) AS n, sum(v) AS s FROM '{data}/*.parquet' GROUP BY 1 ORDER BY n DESC, g LIMIT 20",
    "SELECT a.k % 7 AS g, count(*) AS n FROM '{data}/*.parquet' a JOIN '{data}/part-0.parquet' b ON a.k = b.k"
    " GROUP BY 1 ORDER BY 1",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of numbers that are worth a task each."""
    folder = tmp_path_factory.mktemp("numbers")
    drawn = np.random.default_rng(3)
    for number in range(FILES):
        keys = drawn.integers(0, ROWS, ROWS // FILES)
        values = drawn.integers(0, 1 << 40, ROWS // FILES)
        padding = drawn.integers(0, 1 << 60, (3, ROWS // FILES))
        columns = {"k": keys, "v": values, **{f"p{n}": padding[n] for n in range(3)}}
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet", compression="none")
    return folder


def rows(session: sf.Session, query: str) -> list[Any]:
    return session.sql(query).to_arrow().to_pylist()


def stages(session: sf.Session, query: str) -> int:
    """In how many stages it runs."""
    text = "\n".join(row["plan"] for row in rows(session, f"EXPLAIN FORMAT INDENT {query}"))
    return int(text.split("exchange=durable, stages=")[1].split(",")[0])


def busy(cluster: Cluster) -> int:
    """Tasks that are not over."""
    return len(cluster.rows("tasks"))


def test_queries_and_verbs_have_the_rows_of_one_process(trio: Cluster, data: Path, tmp_path: Path) -> None:
    with sf.Session(threads=2) as here, sf.Session(threads=2, address=trio.address) as there:
        for query in QUERIES:
            query = query.format(data=data)
            assert rows(there, query) == rows(here, query), query
            assert stages(there, query) > 1, query

        def summed(session: sf.Session) -> Any:
            numbers = session.read_parquet(str(data))
            return numbers.filter(sf.col("k") % 2 == 0).groupby("k").sum("v").sort("k").limit(50).to_arrow()

        assert summed(there).to_pylist() == summed(here).to_pylist()
        there.read_parquet(str(data / "part-1.parquet")).select("k", "v").write_parquet(str(tmp_path / "copy"))
        assert here.read_parquet(str(tmp_path / "copy")).count() == ROWS // FILES
        few = there.from_items([{"a": n} for n in range(10)])
        assert few.filter(sf.col("a") > 6).to_arrow().to_pylist() == [{"a": 7}, {"a": 8}, {"a": 9}]
    eventually(trio.objects, [])


def test_killed_nodes_cost_no_rows(trio: Cluster, data: Path) -> None:
    chosen = random.Random(SEED)
    with sf.Session(threads=2) as here, sf.Session(threads=2, address=trio.address) as there:
        expected = {query: rows(here, query.format(data=data)) for query in QUERIES}
        longest = 0.0
        for kill in range(KILLS):
            # Two at once.
            asked = [QUERIES[kill % len(QUERIES)], QUERIES[(kill + 1) % len(QUERIES)]]
            answers: dict[str, Any] = {}

            def ask(query: str, answers: dict[str, Any]) -> None:
                answers[query] = rows(there, query.format(data=data))

            asking = [threading.Thread(target=ask, args=(query, answers)) for query in asked]
            for thread in asking:
                thread.start()
            assert becomes_true(lambda: busy(trio) > 0, SECONDS)
            time.sleep(chosen.uniform(0, 0.3))
            victim = trio.members[chosen.randrange(1, 4)]
            victim.kill()
            killed = time.monotonic()
            for thread in asking:
                thread.join(SECONDS)
            longest = max(longest, time.monotonic() - killed)
            assert answers == {query: expected[query] for query in asked}, f"kill {kill}, {longest} s"
            # The one that comes after it removes what it has left on the disk.
            victim.start()
            victim.await_place()
            eventually(lambda: len(trio.nodes()), 4)
        # It is known within two seconds that its process is gone; a machine that does not answer takes ten.
        assert longest < 6, longest
    eventually(trio.objects, [])


def test_a_program_that_ends_leaves_no_task(trio: Cluster, data: Path) -> None:
    endless = (
        "import sys, sheaf as sf\n"
        "session = sf.Session(threads=1, address=sys.argv[1])\n"
        "print('begun', flush=True)\n"
        "session.sql(f\"SELECT count(*) FROM '{sys.argv[2]}/*.parquet' a JOIN '{sys.argv[2]}/*.parquet' b"
        ' ON a.v < b.v + a.k").to_arrow()\n'
    )
    ends: list[Callable[[subprocess.Popen[str]], None]] = [
        lambda child: child.kill(),
        lambda child: child.send_signal(signal.SIGINT),
    ]
    for end in ends:
        with trio.started_driver(endless, data) as child:
            assert becomes_true(lambda: busy(trio) > 0, SECONDS)
            end(child)
            stopped = time.monotonic()
            assert becomes_true(lambda: busy(trio) == 0, SECONDS)
            assert time.monotonic() - stopped < 5
    eventually(trio.objects, [])


def test_what_cannot_run_there_is_told(trio: Cluster, data: Path) -> None:
    with sf.Session(threads=2, address=trio.address) as there, pytest.raises(sf.errors.MissingFileError):
        there.read_parquet(str(data / "part-9.parquet"))
    with pytest.raises(sf.errors.InvalidInputError, match="address"):
        sf.Session(address="somewhere")


@pytest.fixture
def stopped(trio: Cluster) -> Iterator[Cluster]:
    trio.members[1].send(signal.SIGSTOP)
    yield trio
    trio.members[1].send(signal.SIGCONT)


def test_a_node_that_stands_still_is_given_up(stopped: Cluster, data: Path) -> None:
    query = QUERIES[1].format(data=data)
    with sf.Session(threads=2) as here, sf.Session(threads=2, address=stopped.address) as there:
        begun = time.monotonic()
        assert rows(there, query) == rows(here, query)
        assert time.monotonic() - begun < SECONDS


def test_the_command_line_runs_sql_on_a_cluster(trio: Cluster, data: Path) -> None:
    query = QUERIES[0].format(data=data)
    command = [*SHEAF, "sql", "--address", trio.address, "--format", "csv", "-c", query]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    with sf.Session(threads=2) as here:
        [row] = rows(here, query)
    assert done.stdout.splitlines() == ["n,s,k", ",".join(map(str, row.values()))]


def test_one_command_starts_a_cluster(data: Path) -> None:
    command = [*SHEAF, "up", "--nodes", "3", "--num-cpus", "1", "--port", "0"]
    # Its Python is this one, whichever else is to be found.
    elsewhere = os.environ | {"PATH": os.defpath}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=elsewhere) as running:
        assert running.stdout is not None
        try:
            address = running.stdout.readline().rsplit(" ", 1)[1].strip()
            query = QUERIES[2].format(data=data)
            with sf.Session(threads=2) as here, sf.Session(threads=2, address=address) as there:
                assert rows(there, query) == rows(here, query)
                assert stages(there, query) > 1
        finally:
            running.terminate()
        assert running.wait(SECONDS) == 0


def test_many_queries_leave_nothing_behind(trio: Cluster, data: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": list(range(10_000))}), tmp_path / "few.parquet")
    with sf.Session(threads=2, address=trio.address) as there:

        def ask(times: int) -> None:
            for time_ in range(times):
                query = f"SELECT a % {time_ % 7 + 2} AS g, count(*) AS n FROM '{tmp_path}/few.parquet' GROUP BY 1"
                assert len(rows(there, query)) == time_ % 7 + 2

        def used() -> list[tuple[float, int]]:
            members = [psutil.Process(member.pid) for member in trio.members]
            return [(member.memory_info().rss / MEBIBYTE, member.num_fds()) for member in members]

        # The first part of a query that a node runs starts its session.
        started = [files for _, files in used()]
        for _ in range(QUERIES_IN_A_LOOP):
            assert rows(there, QUERIES[1].format(data=data))
            if all(files > then for (_, files), then in list(zip(used(), started, strict=True))[1:]):
                break
        ask(QUERIES_IN_A_LOOP // 5)
        before = used()
        ask(QUERIES_IN_A_LOOP)
        for (memory, files), (memory_before, files_before) in zip(used(), before, strict=True):
            assert memory < memory_before + 48, (before, used())
            assert files < files_before + 8, (before, used())
    eventually(trio.objects, [])
