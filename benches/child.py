"""One engine on one case, in a process of its own: `child.py REQUEST RESULT`.

The request is JSON: the engine's module, the case, the number of timed runs. The result is JSON too: the times, the
peak memory, or the error. The rows of the last run go beside it as an Arrow file, written after the memory was read.
"""

import importlib
import json
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from cases import Case
from memory import peak_bytes

# What a footnote of the table can hold; some engines print a whole plan.
LONGEST_ERROR = 300
# What some write for terminals.
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Request:
    """What the child is to do."""

    engine: str
    case: Case
    warm_up: bool
    runs: int
    rows: Path

    @classmethod
    def read(cls, path: Path) -> "Request":
        """The request as the parent wrote it."""
        raw = json.loads(path.read_text())
        case = Case(**{**raw["case"], "engines": tuple(raw["case"]["engines"])})
        return cls(raw["engine"], case, raw["warm_up"], raw["runs"], Path(raw["rows"]))


def perform(request: Request) -> dict[str, Any]:
    """Run the case and say what it took."""
    module = importlib.import_module(f"{request.case.folder}.{request.engine}")
    try:
        return attempted(module, request)
    finally:
        close(module)


def attempted(module: ModuleType, request: Request) -> dict[str, Any]:
    """What it took, or the error: an engine that cannot run a case is a result, and the table shows it."""
    try:
        return measure(module, request)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {' '.join(COLOURS.sub('', str(error)).split())}"[:LONGEST_ERROR]}


def close(module: ModuleType) -> None:
    """Stop what an engine has started, if it starts anything."""
    getattr(module, "close", lambda: None)()


def measure(module: ModuleType, request: Request) -> dict[str, Any]:
    """Warm once, then time each run; the output folder is fresh for each, and the engine ready."""
    run = getattr(module, request.case.work)(request.case)
    ready = getattr(module, "ready", lambda: None)
    if request.warm_up:
        fresh(request.case.output)
        ready()
        run()
    seconds = []
    rows: pa.Table | None = None
    for _ in range(request.runs):
        fresh(request.case.output)
        ready()
        start = time.perf_counter()
        rows = run()
        seconds.append(time.perf_counter() - start)
    peak = peak_bytes()
    if rows is None:
        rows = importlib.import_module(f"{request.case.folder}.duckdb").converted(request.case)
    with pa.OSFile(str(request.rows), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    return {"seconds": seconds, "peak_bytes": peak}


def fresh(folder: str) -> None:
    """Empty the folder of an output, if the case has one."""
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
        Path(folder).mkdir(parents=True)


def main() -> None:
    """Answer the request that the command line names."""
    request_path, result_path = map(Path, sys.argv[1:3])
    outcome = perform(Request.read(request_path))
    result_path.write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
