"""Measures how fast batches go to worker processes and back: gigabytes a second for each worker.

Run it with the wheel of a release build: `python benches/workers.py`. It fails where a way is slower than the goal. One
function only looks at its batches, so that data goes one way; the other returns them, so that it goes both ways.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import sheaf as sf

# What the project asks of each of two workers.
GOAL = 1.5
GIGA = 1e9
# Batches of a worker that may be on their way, or there, when the first result comes and the clock starts.
BEGUN = 5


class Way(NamedTuple):
    """A function, and how often the bytes of a batch move by its call."""

    title: str
    function: Callable[[pa.RecordBatch], Any]
    moves: int


def looked_at(batch: pa.RecordBatch) -> dict[str, list[int]]:
    """One number of the batch, from its last page: nothing of it goes back."""
    return {"last": [batch.column(0)[-1].as_py()]}


def same(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, which goes back."""
    return batch


WAYS = (Way("to the workers", looked_at, 1), Way("there and back", same, 2))


def arguments(given: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument("--megabytes", type=int, default=2048, help="of data (default 2048)")
    parser.add_argument("--batch", type=int, default=32, help="megabytes of a batch (default 32)")
    parser.add_argument("--runs", type=int, default=3, help="the best counts (default 3)")
    parser.add_argument("--goal", type=float, default=GOAL, help="GB/s for each worker (default 1.5)")
    return parser.parse_args(given)


def table(megabytes: int) -> pa.Table:
    """Eight columns of numbers, which no compression could make smaller."""
    rows = megabytes * 2**20 // 64
    numbers = np.random.default_rng(1).integers(0, 2**62, rows)
    return pa.table({f"c{at}": numbers + at for at in range(8)})


def seconds(dataset: sf.Dataset, way: Way, workers: int, batch_rows: int) -> float:
    """How long the workers take, once they are there: from the first result to the last."""
    schema = dataset.schema if way.moves > 1 else {"last": int}
    mapped = dataset.map_batches(way.function, batch_rows, compute=sf.TaskPool(workers), schema=schema)
    batches = mapped.iter_batches()
    next(batches)
    start = time.perf_counter()
    for _batch in batches:
        pass
    return time.perf_counter() - start


def main() -> None:
    """The command."""
    options = arguments(sys.argv[1:])
    sf.init(num_cpus=options.workers, log_to_driver=False)
    dataset = sf.from_arrow(table(options.megabytes))
    batch_rows = options.batch * 2**20 // 64
    slow = []
    for way in WAYS:
        best = min(seconds(dataset, way, options.workers, batch_rows) for _run in range(options.runs))
        moved = max(options.megabytes - options.workers * BEGUN * options.batch, 0) * 2**20 * way.moves
        rate = moved / best / GIGA / options.workers
        print(f"{way.title}: {rate:.2f} GB/s for each of {options.workers} workers")
        slow.extend([way.title] if rate < options.goal else [])
    sf.shutdown()
    if slow:
        raise SystemExit(f"slower than {options.goal} GB/s: {', '.join(slow)}")


if __name__ == "__main__":
    main()
