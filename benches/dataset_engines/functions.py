"""The user functions of the cases: the same work for every engine, and what it must come to."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

# Rounds of the heavy function: about 50 ns a row, as a small model has.
ROUNDS = 50
MULTIPLIER, INCREMENT = np.uint64(6364136223846793005), np.uint64(1442695040888963407)
IMAGES_A_BATCH = 64
SEED = 7

Columns = Mapping[str, np.ndarray]


def light(values: np.ndarray) -> np.ndarray:
    """One operation a row."""
    return values + 1


def heavy(values: np.ndarray) -> np.ndarray:
    """Rounds of a linear congruence, and the low byte of the result."""
    state = values.astype(np.uint64)
    for _ in range(ROUNDS):
        state *= MULTIPLIER
        state += INCREMENT
    return (state & np.uint64(255)).astype(np.int64)


class Offset:
    """A function with a state that takes a moment to make."""

    def __init__(self, work: Callable[[np.ndarray], np.ndarray] = light) -> None:
        self.table = np.arange(1_000_000, dtype=np.int64)
        self.work = work

    def __call__(self, batch: Columns) -> dict[str, np.ndarray]:
        """The work, and a zero out of the state."""
        return {"x": self.work(batch["x"]) + self.table[0]}


class HeavyOffset(Offset):
    """The same around the heavy function."""

    def __init__(self) -> None:
        super().__init__(heavy)


def light_batch(batch: Columns) -> dict[str, np.ndarray]:
    """The light function over a batch."""
    return {"x": light(batch["x"])}


def heavy_batch(batch: Columns) -> dict[str, np.ndarray]:
    """The heavy function over a batch."""
    return {"x": heavy(batch["x"])}


def digest(rows: Any, total: Any) -> pa.Table:
    """What a case over numbers comes to."""
    return pa.table({"rows": [int(rows)], "total": [int(total)]})
