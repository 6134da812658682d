"""How a steady state is measured: the same step again and again, in windows of time."""

import time
from collections.abc import Callable

SAMPLES = 5

# What one step did, in the unit of the figure: calls, or gigabytes.
Step = Callable[[], float]


def rates(step: Step, seconds: float) -> dict[str, list[float]]:
    """What is done in a second, in each of five windows that share these seconds, after one that warms up."""
    each = seconds / SAMPLES
    rate(step, each)
    return {"rate": [rate(step, each) for _ in range(SAMPLES)]}


def rate(step: Step, seconds: float) -> float:
    """What is done in a second, in a window of so many seconds; of one step where a step takes longer."""
    start = time.perf_counter()
    done = 0.0
    while True:
        done += step()
        elapsed = time.perf_counter() - start
        if elapsed >= seconds:
            return done / elapsed


def times(work: Callable[[], object]) -> dict[str, list[float]]:
    """How long a piece of work takes, five times after one that warms up."""
    return {"time": [duration(work) for _ in range(SAMPLES + 1)][1:]}


def duration(work: Callable[[], object]) -> float:
    """How long a piece of work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
