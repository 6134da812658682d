"""`make bench-cluster`: engines stay with their clusters from case to case, give the right rows, and end."""

import ast
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_tpch import write_tables

import cluster_inputs
from cases import REFERENCE, Case
from child import Request
from cluster import arguments, results
from cluster_cases import FOLDER, cluster_cases
from cluster_engines import ENGINES, LOCAL, STREAMING, sheaf, streaming
from cluster_engines.answers import disturbed
from cluster_inputs import ClusterInputs, prepare
from cluster_table import markdown
from outcomes import Outcome
from processes import adopt_orphans
from residents import Resident
from run import chosen

BENCHES = Path(__file__).parent.parent
CASES = cluster_cases(ClusterInputs(Path("nowhere"), Path("nowhere"), 1000), killed=9)
Q1, Q2, FIRST, KILLED = CASES[0], CASES[1], CASES[22], CASES[-1]

# The child of the benchmark, but that it does as the case's name says.
ACTOR = """
import os, sys, time
sys.path.insert(0, {benches!r})
from multiprocessing.connection import Connection
with Connection(int(sys.argv[2])) as connection:
    while True:
        try:
            word = connection.recv().case.name
        except EOFError:
            break
        if word == "die":
            sys.exit("it broke")
        if word == "leave":
            if os.fork() == 0:
                os.setsid()
                time.sleep(600)
            os._exit(3)
        if word == "hang":
            time.sleep(600)
        connection.send({{"pid": os.getpid()}})
"""


def request(name: str) -> Request:
    """A request that only has a name."""
    return Request("x", Case(name, name, "sql", (), "", threads=1), warm_up=False, runs=1, rows=Path("rows"))


@pytest.fixture
def actor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Resident]:
    """An engine that does what it is told."""
    adopt_orphans()
    script = tmp_path / "script"
    script.mkdir()
    (script / "cluster_child.py").write_text(ACTOR.format(benches=str(BENCHES)))
    monkeypatch.setattr("processes.HERE", script)
    made = Resident("x", tmp_path / "actor", threads=1)
    yield made
    made.stop()
    assert psutil.Process().children(recursive=True) == []


def test_an_engine_stays_until_it_is_stopped(actor: Resident) -> None:
    """One process for all its cases."""
    first, second = (actor.ask(request("work"), 30)["pid"] for _ in range(2))
    assert first == second
    actor.stop()
    assert not psutil.pid_exists(first)


def test_an_engine_that_hangs_is_ended_and_begins_anew(actor: Resident) -> None:
    """The next case does not wait for it."""
    before = actor.ask(request("work"), 30)["pid"]
    assert actor.ask(request("hang"), 0.01) == {"error": "stopped after 0 s"}
    assert psutil.Process().children(recursive=True) == []
    assert actor.ask(request("work"), 30)["pid"] != before


def test_an_engine_that_dies_is_a_result(actor: Resident) -> None:
    """It tells its last line, and nothing that it left lives on."""
    assert actor.ask(request("die"), 30) == {"error": "ended with status 1: it broke"}
    assert actor.ask(request("leave"), 30)["error"].startswith("ended with status 3")
    assert psutil.Process().children(recursive=True) == []


def test_a_module_that_does_not_load_is_a_result(tmp_path: Path) -> None:
    """An engine that is not installed."""
    resident = Resident(f"{FOLDER}.nothing", tmp_path / "nothing", threads=1)
    assert "No module named" in resident.ask(request("work"), 30)["error"]


def test_the_cases_and_their_engines() -> None:
    """All queries on all engines; a node is killed where there are processes to kill."""
    assert [case.query for case in CASES] == [*range(1, 23), 0, 0, 0]
    assert [case.name for case in CASES[22:]] == ["first", "undisturbed", "killed"]
    everybody = {engine.module for engine in ENGINES}
    assert all(set(case.engines) == everybody for case in CASES[:23])
    assert all(set(case.engines) == {"sheaf", "spark"} for case in CASES[23:])
    assert CASES[23].sql == KILLED.sql


@pytest.mark.parametrize("engine", [*(engine.module for engine in ENGINES), REFERENCE])
def test_an_engine_has_the_work_of_its_cases(engine: str) -> None:
    """Read from its source, because not every engine is installed where tests run."""
    tree = ast.parse((BENCHES / FOLDER / f"{engine}.py").read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assigned = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    names = {target.id for target in assigned if isinstance(target, ast.Name)}
    assert {case.work for case in CASES if engine in (*case.engines, REFERENCE)} <= functions | names


def test_each_engine_of_sheafs_has_its_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same work, on sessions that differ in nothing else."""
    asked: list[str] = []
    monkeypatch.setattr(sheaf, "session", lambda threads, folder, exchange: asked.append(exchange))
    for engine in (sheaf, streaming):
        engine.sql(Q1)
        engine.first(FIRST)
    assert asked == ["durable", "durable", "streaming", "streaming"]


def test_sheafs_cluster_gives_the_right_rows(tmp_path: Path) -> None:
    """The whole way, also with a node that is killed; afterwards nothing of it runs."""
    write_tables(tmp_path / "tpch-sf0.001")
    command = [sys.executable, str(BENCHES / "cluster.py"), f"--data={tmp_path}", "--scale=0.001", "--files=20"]
    command += ["--engines=sheaf,streaming,local", "--cases=q18,first,killed", "--runs=1", "--timeout=60"]
    marked = {**os.environ, "SHEAF_BENCH_TEST": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=marked)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "cluster.json").read_text())
    assert [case["name"] for case in found["cases"]] == ["q18", "first", "killed"]
    for case in found["cases"]:
        for engine, outcome in case["outcomes"].items():
            assert outcome["seconds"] is not None, (case["name"], engine, outcome["problem"])
    everywhere = {"sheaf", STREAMING, LOCAL}
    assert [set(case["outcomes"]) for case in found["cases"]] == [everywhere, everywhere, {"sheaf"}]
    assert found["cases"][0]["over_in_process"] > 0
    assert found["cases"][0]["streaming_over_in_process"] > 0
    assert [process.pid for process in psutil.process_iter() if is_marked(process, str(tmp_path))] == []


def is_marked(process: psutil.Process, mark: str) -> bool:
    """Whether a process is of the run with this mark."""
    try:
        return bool(process.environ().get("SHEAF_BENCH_TEST") == mark)
    except psutil.Error:
        return False


def test_a_query_that_ends_before_the_kill_has_no_time() -> None:
    """It would say nothing."""
    waits = iter([0.0, 0.2, 0.0])

    def run() -> pa.Table:
        time.sleep(next(waits))
        return pa.table({"n": [1]})

    killed: list[bool] = []
    with pytest.raises(RuntimeError, match="before a node was killed"):
        disturbed(run, lambda: killed.append(True))()
    assert killed == []


def test_tables_are_written_as_those_of_the_benchmark(tmp_path: Path) -> None:
    """Strings and decimals as every engine reads them, no schema of Arrow, row groups of one size."""
    source, path = tmp_path / "source.parquet", tmp_path / "plain.parquet"
    rows = pa.table({"s": pa.array(["a", "b"], pa.string_view()), "d": pa.array([1, 2], pa.decimal128(15, 2))})
    pq.write_table(rows, source)
    cluster_inputs.rewrite(source, path)
    written = pq.ParquetFile(path)
    assert written.schema_arrow.types == [pa.string(), pa.decimal128(15, 2)]
    assert written.schema.column(1).physical_type == "INT64"
    assert b"ARROW:schema" not in (written.metadata.metadata or {})
    assert written.read().column("s").to_pylist() == ["a", "b"]


def test_inputs_are_made_once(tmp_path: Path) -> None:
    """As many files as were asked for, with the columns of orders; without tables, how to get them is told."""
    write_tables(tmp_path / "tpch-sf0.001")
    inputs = prepare(tmp_path, 0.001, files=30)
    files = sorted(inputs.many.iterdir())
    assert len(files) == 30
    assert pq.read_table(files[0]).num_columns == 9
    assert prepare(tmp_path, 0.001, files=30) == inputs
    assert sorted(inputs.many.iterdir()) == files


def test_without_a_generator_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' environment has none."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(FileNotFoundError, match="pip install tpchgen-cli"):
        prepare(tmp_path, 0.5, files=1)


def outcomes(**seconds: float) -> dict[str, Outcome]:
    """What came of a case on these engines, with ten megabytes for each second."""
    return {module: Outcome(each, round(each * 1e7)) for module, each in seconds.items()}


def test_the_table_has_all_ratios() -> None:
    """Neither streaming nor Sheaf in process is a peer; both exchanges are compared with the latter."""
    rows = [
        outcomes(sheaf=1.0, streaming=0.75, local=0.5, spark=4.0),
        {**outcomes(sheaf=2.0, streaming=0.25, local=0.25), "spark": Outcome(problem="no | such")},
        outcomes(sheaf=0.0125, streaming=0.0075, local=0.005, spark=0.5),
        outcomes(sheaf=3.0, spark=6.0),
    ]
    ratios = "Sheaf / in process | streaming / in process | Sheaf / best peer"
    engines = "Sheaf, durable | Sheaf, streaming | Sheaf in process | Spark"
    assert markdown([Q1, Q2, FIRST, KILLED], rows, ENGINES).splitlines() == [
        f"| TPC-H, seconds | {engines} | {ratios} |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| Q1 | 1.00 | 0.750 | 0.500 | 4.00 | 2.00 | 1.50 | 0.25 |",
        "| Q2 | 2.00 | 0.250 | 0.250 | ✗ [1] | 8.00 | 1.00 | – |",
        "| **all 2** | 3.00 | 1.00 | 0.750 | ✗ [2] | 4.00 | 1.33 | – |",
        "| the 1 that every engine answered | 1.00 | 0.750 | 0.500 | 4.00 | 2.00 | 1.50 | 0.25 |",
        "| own total (queries) | 3.00 (2) | 1.00 (2) | 0.75 (2) | 4.00 (1) |  |  |  |",
        "| × Sheaf in process, geometric mean | 4.00 | 1.22 | 1.00 | 8.00 |  |  |  |",
        "| peak memory | 20 MB | 8 MB | 5 MB | 40 MB |  |  |  |",
        "",
        f"| on the cluster | unit | {engines} | {ratios} |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| first row of `SELECT * … LIMIT 10` over 1,000 files | ms | 12.5 | 7.5 | 5.0 | 500.0 | 2.50 | 1.50 | 0.03 |",
        "| Q9, a node killed halfway | s | 3.00 | – | – | 6.00 | – | – | 0.50 |",
        "",
        "1. no \\| such",
        "2. answered 1 of 2",
    ]


def test_results_have_all_of_sheaf_beside_the_peers() -> None:
    """Its other outcomes are kept, and are never those of the best peer."""
    row = outcomes(sheaf=1.0, streaming=0.75, local=0.5, spark=4.0)
    (entry,) = results({}, {}, [Q1], [row])["cases"]
    assert (entry["best_peer"], entry["ratio"]) == ("spark", 0.25)
    assert (entry["over_in_process"], entry["streaming_over_in_process"]) == (2.0, 1.5)
    assert {module: outcome["seconds"] for module, outcome in entry["outcomes"].items()} == {
        "sheaf": 1.0,
        STREAMING: 0.75,
        LOCAL: 0.5,
        "spark": 4.0,
    }


def test_engines_are_chosen_by_name() -> None:
    """A name that is not there is told."""
    assert [engine.module for engine in chosen("spark,sheaf", ENGINES)] == ["sheaf", "spark"]
    with pytest.raises(ValueError, match="no engine named dask"):
        chosen("dask", ENGINES)
    assert arguments(["--scale", "0.1"]).scale == 0.1
