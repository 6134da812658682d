"""Queries that stand at a gate: functions of theirs wait for a file, so that tests know where each of them is."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from runtime.processes import becomes_true

import sheaf as sf

ROWS = 40_000
FILES = 4
ROWS_PER_GROUP = 1_000
GROUPS = 50
SECONDS = 60

# By group, in its order: each group and its sum.
Sums = list[list[int]]


def write_numbers(folder: Path) -> str:
    """Files of numbers that are worth a task on each of four nodes where functions are called."""
    folder.mkdir()
    padding = ["so that it is worth a task" * 10] * (ROWS // FILES)
    for number in range(FILES):
        a = np.arange(number * ROWS // FILES, (number + 1) * ROWS // FILES)
        table = pa.table({"a": a, "padding": padding})
        # Of few rows each, for every task has whole ones.
        options = {"compression": "none", "use_dictionary": False, "row_group_size": ROWS_PER_GROUP}
        pq.write_table(table, folder / f"{number}.parquet", **options)
    return str(folder)


class Gate:
    """A file that functions wait for, and the files by which they tell on which nodes they have begun."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        folder.mkdir(exist_ok=True)

    def open(self, node: str = "") -> None:
        """Let all through, or those on this node."""
        Path(self._folder, f"go {node}").touch()

    def nodes(self) -> list[str]:
        """Where functions have begun: the names of folders of members of a cluster."""
        return sorted({file.name for file in Path(self._folder).glob("node *")})

    def await_nodes(self, names: list[str]) -> None:
        """Assert that functions come to begin on these nodes, and on no other."""
        assert becomes_true(lambda: self.nodes() == names, SECONDS), self.nodes()

    def function(self) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """What waits, for batches of numbers; it gives them back."""
        folder, seconds = self._folder, SECONDS

        def wait(batch: dict[str, Any]) -> dict[str, Any]:
            node = Path(os.environ["XDG_CACHE_HOME"]).parent.name
            Path(folder, node).touch()
            deadline = time.monotonic() + seconds
            while not any(Path(folder, f"go {name}").exists() for name in ("", node)):
                if time.monotonic() > deadline:
                    raise TimeoutError("nobody opened the gate")
                time.sleep(0.02)
            return batch

        return wait


SUMS: Sums = [[group, sum(range(group, ROWS, GROUPS))] for group in range(GROUPS)]


def groups(session: sf.Session, data: str, gate: Gate, *, late: bool = False) -> Sums:
    """Sums of the numbers by group. The gate is in the first stage, or, where it is late, in the last one."""
    rows, wait = session.read_parquet(data).select("a"), gate.function()
    if not late:
        rows = rows.map_batches(wait, batch_format="numpy", schema=rows.schema)
    rows = rows.with_column("g", sf.col("a") % GROUPS).groupby("g").agg(sf.col("a").sum().alias("s"))
    if late:
        rows = rows.map_batches(wait, batch_format="numpy", schema=rows.schema)
    return sorted([row["g"], row["s"]] for row in rows.to_arrow().to_pylist())


def asked(*arguments: Any, **named: Any) -> Future[Sums]:
    """The sums of :func:`groups`, asked for beside the test."""
    answer: Future[Sums] = Future()

    def ask() -> None:
        try:
            answer.set_result(groups(*arguments, **named))
        except BaseException as error:
            answer.set_exception(error)

    # One that does not end is the test's failure, and does not keep it from ending.
    threading.Thread(target=ask, daemon=True).start()
    return answer
