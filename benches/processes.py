"""Runs the children: one at a time, each within a time limit, and nothing of them is left behind."""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from cases import Case

HERE = Path(__file__).parent
PR_SET_CHILD_SUBREAPER = 36
# What a killed process may take to go away before the next case starts.
GRACE_SECONDS = 10


def adopt_orphans() -> None:
    """Make daemons that a child leaves (Ray starts some) our descendants, so that they can be found and ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def child_environment(threads: int, base: Mapping[str, str]) -> dict[str, str]:
    """The same threads for every engine, no telemetry, and none of the settings that slow NumPy down."""
    environment = {key: value for key, value in base.items() if not key.startswith("OPENBLAS_")}
    for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "TOKIO_WORKER_THREADS", "OPENBLAS_NUM_THREADS"):
        environment[name] = str(threads)
    environment.update(
        DAFT_ANALYTICS_ENABLED="0",
        DAFT_PROGRESS_BAR="0",
        DO_NOT_TRACK="true",
        PYTHONDONTWRITEBYTECODE="1",
        # Functions of the cases are looked for in the engines' worker processes too.
        PYTHONPATH=str(HERE),
        RAY_USAGE_STATS_ENABLED="0",
        SCARF_NO_ANALYTICS="true",
    )
    return environment


def run_child(
    engine: str, case: Case, scratch: Path, *, runs: int, warm_up: bool, timeout: float, rows: Path
) -> dict[str, Any]:
    """The child's result: `seconds` and `peak_bytes`, or `error`."""
    request = {"engine": engine, "case": asdict(case), "warm_up": warm_up, "runs": runs, "rows": str(rows)}
    environment = child_environment(case.threads, os.environ)
    return answer("child.py", request, scratch, threads=case.threads, timeout=timeout, environment=environment)


def answer(
    script: str, question: dict[str, Any], scratch: Path, *, threads: int, timeout: float, environment: dict[str, str]
) -> dict[str, Any]:
    """What a script of this folder leaves as JSON for a question in JSON, or `error`."""
    request, result, log = (scratch / name for name in ("request.json", "result.json", "child.log"))
    request.write_text(json.dumps(question))
    result.unlink(missing_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, str(HERE / script), str(request), str(result)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=scratch,
            env=environment,
        )
        try:
            limit_cores(child.pid, threads)
            status = child.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            return {"error": f"stopped after {timeout:.0f} s"}
        finally:
            end_descendants()
    if not result.exists():
        return {"error": f"ended with status {status}: {last_line(log)}"}
    outcome: dict[str, Any] = json.loads(result.read_text())
    return outcome


def limit_cores(process: int, threads: int) -> None:
    """Keep a child to as many cores as it has threads, so that an engine's hidden threads gain nothing."""
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))[:threads]
        try:
            os.sched_setaffinity(process, cores)
        except ProcessLookupError:
            # It has ended already; its result says why.
            return


def end_descendants() -> None:
    """Kill all that this process started, directly or not, and collect it."""
    end(psutil.Process().children(recursive=True))


def end(remaining: list[psutil.Process]) -> None:
    """Kill these processes, and collect them."""
    for process in remaining:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(remaining, timeout=GRACE_SECONDS)


def last_line(log: Path) -> str:
    """The last line that a child wrote before it died."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "it wrote nothing"
