"""Many tasks and calls of actors while workers are killed at random: none is lost, and nothing is left of them."""

import contextlib
import gc
import os
import random
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import sheaf as ray
from sheaf._runtime import process

from . import processes

ACTORS = 4
# Of so many tasks one is of each rarer kind.
RARE = 20
ROUND_TASKS = 500
ROUND_CALLS = 50
ROUND_SECONDS = 60
# Enough to be in shared memory.
LARGE = 200_000
# Between two kills; a worker lives for a few hundred tasks.
KILL_SECONDS = (0.05, 0.35)
SETTLED_SECONDS = 10
# What the driver may grow by for so many tasks.
GROWTH_BYTES, GROWTH_TASKS = 1_000_000, 10_000
# Allocators take memory in steps, for each thread: less than some of these says nothing about a few tasks.
STEP_BYTES = 4_000_000
SEED = 3


@ray.remote(max_retries=-1)
def double(number: int) -> int:
    return number * 2


@ray.remote(max_retries=-1)
def nested(number: int) -> int:
    return int(ray.get(double.remote(number))) // 2 * 2


@ray.remote(max_retries=-1)
def filled(number: int) -> Any:
    return np.full(LARGE, number)


@ray.remote(max_retries=-1)
def least(array: Any) -> int:
    return int(array.min()) * 2


@ray.remote(max_restarts=-1, max_task_retries=-1)
class Doubler:
    def double(self, number: int) -> int:
        return number * 2

    def least(self, array: Any) -> int:
        return int(array.min()) * 2


@dataclass
class Killer:
    """A thread that kills one worker after the other, until it is told to end."""

    random: random.Random
    kills: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.ended.wait(self.random.uniform(*KILL_SECONDS)):
            if workers := worker_pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.random.choice(workers), signal.SIGKILL)
                    self.kills += 1

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run, name="killer")
        thread.start()
        try:
            yield
        finally:
            self.ended.set()
            thread.join()


def worker_pids() -> list[int]:
    """The workers: what the runtime's only child has forked."""
    (zygote,) = (child for child in psutil.Process().children() if not processes.is_tracker(child))
    return [int(pid) for pid in Path(f"/proc/{zygote.pid}/task/{zygote.pid}/children").read_text().split()]


def task(number: int) -> Any:
    """A task that doubles the number, in one of several ways."""
    kind = number % RARE
    if kind == 0:
        return nested.remote(number)
    if kind == 1:
        return least.remote(filled.remote(number))
    if kind == 2:
        return least.remote(ray.put(np.full(LARGE, number)))
    if kind == 3:
        return double.remote(ray.put(number))
    return double.remote(number)


def call(actors: list[Any], number: int) -> Any:
    """The same by an actor."""
    actor = actors[number % len(actors)]
    return actor.least.remote(filled.remote(number)) if number % RARE == 0 else actor.double.remote(number)


def rounds(actors: list[Any], start: int, tasks: int) -> None:
    """So many tasks, and a tenth as many calls; each result is what it has to be."""
    for first in range(start, start + tasks, ROUND_TASKS):
        numbers = range(first, first + ROUND_TASKS)
        called = range(first, first + ROUND_CALLS)
        refs = [*map(task, numbers), *(call(actors, number) for number in called)]
        assert ray.get(refs, timeout=ROUND_SECONDS) == [2 * number for number in (*numbers, *called)]


def resident_bytes() -> int:
    """What the driver holds when it is at rest."""
    gc.collect()
    processes.becomes_true(lambda: not process.client().objects(), SETTLED_SECONDS)
    assert process.client().objects() == []
    return int(psutil.Process().memory_info().rss)


def at_rest() -> bool:
    """Whether all that tasks and actors held is given back, their memory too, and no dead worker is left."""
    return (
        ray.available_resources() == ray.cluster_resources()
        and open_files() == open_files(memory=True)
        and all(processes.state(worker) != psutil.STATUS_ZOMBIE for worker in processes.descendants())
    )


def open_files(*, memory: bool = False) -> int:
    """How many this process has, without objects of the store and memory that is kept for the next ones, or with."""
    return sum(memory or "memfd:" not in target for _, target in processes.open_files())


def soak(tasks: int) -> None:
    """So many tasks: half of them, and what the other half adds to the driver."""
    ray.init(num_cpus=2, log_to_driver=False)
    actors = [Doubler.remote() for _ in range(ACTORS)]
    killer = Killer(random.Random(SEED))
    with killer.running():
        rounds(actors, 0, tasks // 2)
        half = resident_bytes()
        files = open_files()
        rounds(actors, tasks // 2, tasks // 2)
        grown = resident_bytes() - half
    files = open_files() - files
    del actors
    assert processes.becomes_true(at_rest, SETTLED_SECONDS)
    print(f"{tasks} tasks, {killer.kills} kills, grown by {grown} bytes in the second half, and {files} files")
    assert killer.kills >= tasks // 1_000
    assert grown < max(STEP_BYTES, GROWTH_BYTES * tasks // 2 // GROWTH_TASKS)
    # Three files for each worker, of which some are being started.
    assert files <= 3 * (ACTORS + 2)


@pytest.fixture
def nothing_mapped(no_runtime: None, nothing_left: None) -> Iterator[None]:
    """No object of the store is mapped any more when all is over."""
    before = processes.shared_maps()
    yield
    ray.shutdown()
    gc.collect()
    assert processes.shared_maps() == before


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("nothing_mapped")
def test_no_task_is_lost_while_workers_are_killed() -> None:
    soak(3_000)


@pytest.mark.timeout(3_600)
@pytest.mark.usefixtures("nothing_mapped")
def test_no_task_of_many_is_lost(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--soak", default=False):
        pytest.skip("takes minutes; --soak runs it")
    soak(100_000)
