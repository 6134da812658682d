"""Children run within their limits, and nothing of them stays."""

from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cases import Case
from processes import adopt_orphans, child_environment, last_line, run_child


@pytest.fixture
def numbers(tmp_path: Path) -> Case:
    """A case over three numbers."""
    path = tmp_path / "numbers.parquet"
    pq.write_table(pa.table({"x": [1, 2, 3]}), path)
    return Case("numpy", "numbers", "map_numpy", ("pyarrow",), str(path), threads=1, rows=3)


def outcome(case: Case, folder: Path, *, engine: str = "pyarrow", timeout: float = 60.0) -> dict[str, Any]:
    """What comes of the case."""
    return run_child(engine, case, folder, runs=2, warm_up=True, timeout=timeout, rows=folder / "rows.arrow")


def test_a_child_gives_times_memory_and_rows(numbers: Case, tmp_path: Path) -> None:
    """As many times as runs, the kernel's peak, the rows beside."""
    result = outcome(numbers, tmp_path)
    assert len(result["seconds"]) == 2
    assert result["peak_bytes"] > 10_000_000
    with pa.OSFile(str(tmp_path / "rows.arrow")) as source:
        assert pa.ipc.open_file(source).read_all().to_pylist() == [{"rows": 3, "total": 9}]


def test_an_engine_that_raises_is_a_result(numbers: Case, tmp_path: Path) -> None:
    """The error's kind and text, on one line."""
    missing = Case(**{**vars(numbers), "input": str(tmp_path / "missing.parquet")})
    error = outcome(missing, tmp_path)["error"]
    assert error.startswith("FileNotFoundError: ")
    assert "\n" not in error


def test_a_module_that_does_not_load_is_a_result(numbers: Case, tmp_path: Path) -> None:
    """A child that dies tells its last line."""
    assert "No module named" in outcome(numbers, tmp_path, engine="nothing")["error"]


def test_a_child_over_its_time_is_stopped(numbers: Case, tmp_path: Path) -> None:
    """The run goes on without it, and no process of it is left."""
    adopt_orphans()
    result = outcome(numbers, tmp_path, timeout=0.01)
    assert result == {"error": "stopped after 0 s"}
    assert psutil.Process().children(recursive=True) == []


def test_a_daemon_that_a_child_leaves_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grandchild that outlives its parent is found and killed."""
    adopt_orphans()
    engines = tmp_path / "script"
    engines.mkdir()
    (engines / "child.py").write_text(
        "import json, pathlib, subprocess, sys\n"
        "daemon = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "pathlib.Path(sys.argv[2]).write_text(json.dumps({'daemon': daemon.pid}))\n"
    )
    monkeypatch.setattr("processes.HERE", engines)
    result = outcome(Case("x", "x", "x", (), "", threads=1), tmp_path)
    assert not psutil.pid_exists(result["daemon"])


def test_the_environment_is_equal_and_quiet() -> None:
    """The machine's own settings for OpenBLAS do not reach the children."""
    base = {"PATH": "/bin", "OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_L2_SIZE": "1"}
    environment = child_environment(2, base)
    assert "OPENBLAS_CORETYPE" not in environment
    assert "OPENBLAS_L2_SIZE" not in environment
    assert environment["POLARS_MAX_THREADS"] == environment["TOKIO_WORKER_THREADS"] == "2"
    assert environment["PATH"] == "/bin"


def test_the_last_line_of_a_log(tmp_path: Path) -> None:
    """Or that there is none."""
    log = tmp_path / "log"
    log.write_text("one\ntwo\n")
    assert last_line(log) == "two"
    log.write_text("")
    assert last_line(log) == "it wrote nothing"
