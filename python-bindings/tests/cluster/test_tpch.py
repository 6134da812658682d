"""The queries of TPC-H on three processes of a cluster, some of which are killed meanwhile: the rows of DuckDB."""

import os
import random
import runpy
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import duckdb
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sheaf as sf

from .nodes import Cluster, Member, driven

BENCHES = Path(__file__).parents[3] / "benches"
QUERIES = {number: (BENCHES / "tpch" / f"q{number:02}.sql").read_text() for number in range(1, 23)}
write_tables = runpy.run_path(str(BENCHES / "tests" / "tiny_tpch.py"))["write_tables"]
difference = runpy.run_path(str(BENCHES / "compare.py"))["difference"]

# The tables are taken so many times, with keys and amounts of their own, so that no two rows tie.
COPIES = 8
CENTS = "(hash(copy, t) % 10000 / 100)::DECIMAL(15, 2)"
OWN = {
    "part": "p_partkey + copy * 80 AS p_partkey",
    "partsupp": f"ps_partkey + copy * 80 AS ps_partkey, ps_supplycost + {CENTS} AS ps_supplycost",
    "orders": f"o_orderkey + copy * 1000 AS o_orderkey, o_totalprice + {CENTS} AS o_totalprice",
    "lineitem": "l_orderkey + copy * 1000 AS l_orderkey, l_partkey + copy * 80 AS l_partkey, "
    f"l_extendedprice + {CENTS} AS l_extendedprice",
}
# Each 32 MiB of files are worth a task: that many are in a column that no query reads.
MEBIBYTES = {"lineitem": 66, "orders": 33, "partsupp": 33, "customer": 33, "supplier": 33, "part": 33}
ROW_GROUPS = 24

KILLS = int(os.environ.get("SHEAF_TEST_KILLS", "6"))
SEED = 22
pytestmark = pytest.mark.timeout(120 + 20 * KILLS)
# It is known within two seconds that a node is gone.
SECONDS = 20
# A query that begins anew waits so long for the head to know.
LOOK_SECONDS = 10
# A node that has read files for a query has read more; one that only says that it lives has not.
READ_BYTES = 1_000

Answers = dict[int, pa.Table]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of the tables."""
    tiny, large = tmp_path_factory.mktemp("tiny") / "tables", tmp_path_factory.mktemp("large")
    write_tables(tiny)
    for file in tiny.iterdir():
        rows = duckdb.sql(f"SELECT t.* FROM '{file}' t")
        if own := OWN.get(file.stem):
            rows = duckdb.sql(f"SELECT t.* REPLACE ({own}) FROM '{file}' t, range({COPIES}) copies(copy)")
        write_padded(rows.to_arrow_table(), large / file.name, MEBIBYTES.get(file.stem, 0) << 20)
    return {file.stem: file for file in large.iterdir()}


def write_padded(rows: pa.Table, file: Path, size: int) -> None:
    """Write a file of many row groups, so that each task has some, and at least of that size."""
    padded = rows.append_column("padding", pa.array(["." * (size // rows.num_rows)] * rows.num_rows))
    of_group = max(1, rows.num_rows // ROW_GROUPS)
    pq.write_table(padded, file, compression="none", use_dictionary=False, row_group_size=of_group)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head for the driver, and three nodes with a CPU each."""
    with driven(tmp_path_factory.mktemp("nodes"), 1, 1, 1) as started:
        yield started


@pytest.fixture(scope="module")
def answers(tables: dict[str, Path]) -> Answers:
    """The rows of DuckDB, in their order; there are some of each query."""
    with duckdb.connect() as connection:
        for name, file in tables.items():
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM '{file}'")
        found = {number: connection.sql(query).to_arrow_table() for number, query in QUERIES.items()}
    assert [number for number, rows in found.items() if rows.num_rows == 0] == []
    return found


Exchange = Literal["durable", "streaming"]


@pytest.fixture(params=["durable"])
def there(request: pytest.FixtureRequest, nodes: Cluster, tables: dict[str, Path]) -> Iterator[sf.Session]:
    exchange: Exchange = request.param
    with sf.Session(threads=2, address=nodes.address, exchange=exchange) as session:
        for name, file in tables.items():
            session.register(name, session.read_parquet(str(file)))
        yield session


def check(there: sf.Session, answers: Answers, number: int) -> float:
    """Assert that a query has the rows of DuckDB, and say how long it took."""
    begun = time.monotonic()
    found = there.sql(QUERIES[number]).to_arrow()
    took = time.monotonic() - begun
    assert difference(answers[number], found, "order by" in QUERIES[number]) is None, f"q{number}"
    return took


def read_bytes(member: Member) -> int:
    return int(psutil.Process(member.pid).io_counters().read_chars)


@pytest.mark.parametrize("there", ["durable", "streaming"], indirect=True)
def test_queries_run_on_several_nodes(nodes: Cluster, there: sf.Session, answers: Answers) -> None:
    for number in QUERIES:
        before = [read_bytes(member) for member in nodes.members[1:]]
        check(there, answers, number)
        read = [read_bytes(member) - then for member, then in zip(nodes.members[1:], before, strict=True)]
        assert sum(count >= READ_BYTES for count in read) >= 2, f"q{number}: {read}"
    nodes.becomes_empty()


@pytest.mark.parametrize("there", ["streaming"], indirect=True)
def test_killed_nodes_are_an_answer_or_an_error(nodes: Cluster, there: sf.Session, answers: Answers) -> None:
    chosen, ended = random.Random(SEED), {True: 0, False: 0}
    for number in chosen.choices(list(QUERIES), k=KILLS):
        victim, part = nodes.members[chosen.randrange(1, 4)], chosen.uniform(0.2, 0.9)
        killer = threading.Timer(part * check(there, answers, number), victim.kill)
        killer.start()
        begun = time.monotonic()
        try:
            check(there, answers, number)
            ended[True] += 1
        except sf.errors.SheafError as error:
            # Some of its rows were out.
            if "the connection to a node of the cluster is lost" not in str(error):
                raise
            ended[False] += 1
        assert time.monotonic() - begun < SECONDS + LOOK_SECONDS
        killer.join()
        nodes.restart(victim)
    # Few rows are out before the last ones are there.
    assert ended[True] > ended[False]
    nodes.becomes_empty()


def test_killed_nodes_cost_no_rows(nodes: Cluster, there: sf.Session, answers: Answers) -> None:
    chosen = random.Random(SEED)
    for number in chosen.choices(list(QUERIES), k=KILLS):
        victim, part = nodes.members[chosen.randrange(1, 4)], chosen.uniform(0.2, 0.9)
        moment = part * check(there, answers, number)
        # It has to die while the query runs: one that was over before is asked once more.
        while victim.process.poll() is None:
            killer = threading.Timer(moment, victim.kill)
            killer.start()
            assert check(there, answers, number) < SECONDS
            killer.cancel()
            killer.join()
            moment *= 0.8
        nodes.restart(victim)
    nodes.becomes_empty()
