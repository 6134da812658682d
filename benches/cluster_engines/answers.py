"""What the engines share: the digest of the first row of many files, and a query during which a node is killed."""

import threading
import time
from collections.abc import Callable

import pyarrow as pa

from engines import Run

LIMITED = 10


def seen(rows: pa.Table | pa.RecordBatch) -> pa.Table:
    """Which row is the first is left to the engine: that there is one, and of how many columns."""
    return pa.table({"found": [rows.num_rows > 0], "columns": [rows.num_columns]})


def disturbed(run: Run, kill: Callable[[], None]) -> Run:
    """A run in the middle of which a node is killed; how long it takes otherwise is found out before."""
    run()
    start = time.perf_counter()
    run()
    halfway = (time.perf_counter() - start) / 2

    def during() -> pa.Table:
        begun = threading.Event()

        def act() -> None:
            begun.set()
            kill()

        killing = threading.Timer(halfway, act)
        killing.start()
        try:
            rows = run()
        finally:
            killing.cancel()
            killing.join()
        if not begun.is_set():
            raise RuntimeError("the query ended before a node was killed")
        return rows

    return during
