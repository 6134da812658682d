"""Tasks that do nothing: alone, many at a time, from many clients, with many arguments, many in the queue."""

import tempfile
import time
from pathlib import Path
from typing import Any

from memory import shared_out_bytes
from workloads import Settings
from workloads.windows import SAMPLES, duration, rate, rates, times

BATCH = 1_000
CLIENTS = 4
ARGUMENTS = 10_000
# A task that keeps others waiting looks so often whether it may end, and ends by itself after so long.
LOOK_SECONDS = 0.05
HOLD_SECONDS = 3_600


def nothing(*_: object) -> None:
    """What a task does where only its way is measured."""


def tasks_sync(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """Each after the result of the one before."""
    task = ray.remote(nothing)

    def step() -> int:
        ray.get(task.remote())
        return 1

    return rates(step, settings.seconds)


def tasks_async(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """Many at a time, and then their results."""
    task = ray.remote(nothing)
    return rates(lambda: batch(ray, task), settings.seconds)


def batch(ray: Any, task: Any) -> int:
    """Many tasks at a time, and then their results."""
    ray.get([task.remote() for _ in range(BATCH)])
    return BATCH


def tasks_clients(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """The same from actors that submit all at once."""

    class Client:
        def __init__(self) -> None:
            self.task = ray.remote(nothing)

        def rate(self, seconds: float) -> float:
            return rate(lambda: batch(ray, self.task), seconds)

    clients = [ray.remote(num_cpus=0)(Client).remote() for _ in range(CLIENTS)]
    return windows_of(ray, clients, settings.seconds)


def windows_of(ray: Any, clients: list[Any], seconds: float) -> dict[str, list[float]]:
    """What clients do together in a second, in each of five windows after one that warms up."""

    def together(each: float) -> float:
        return sum(ray.get([client.rate.remote(each) for client in clients]))

    together(seconds / SAMPLES)
    return {"rate": [together(seconds / SAMPLES) for _ in range(SAMPLES)]}


def many_arguments(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """One task that waits for many small objects; they are there already."""
    task = ray.remote(nothing)
    refs = [ray.put(number) for number in range(ARGUMENTS)]
    return times(lambda: ray.get(task.remote(*refs)))


def queued(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """Tasks that wait for a CPU: what they hold meanwhile, and how long all take, from the first to the last.

    Tasks that hold every CPU let them wait until all are submitted.
    """
    task, holder = ray.remote(nothing), ray.remote(hold)
    with tempfile.TemporaryDirectory() as folder:
        gate = Path(folder) / "open"
        held = [holder.remote(str(gate), str(Path(folder) / f"held {number}")) for number in range(settings.cores)]
        while len(list(Path(folder).iterdir())) < settings.cores:
            time.sleep(LOOK_SECONDS)
        before = shared_out_bytes()
        memory = 0

        def work() -> None:
            nonlocal memory
            refs = [task.remote() for _ in range(settings.tasks)]
            memory = shared_out_bytes() - before
            gate.touch()
            ray.get(refs)

        seconds = duration(work)
        ray.get(held)
    return {"time": [seconds], "memory": [memory / 1e6]}


def hold(gate: str, held: str) -> None:
    """Hold a CPU until a file is there; say by another that it is held."""
    Path(held).touch()
    deadline = time.monotonic() + HOLD_SECONDS
    while not Path(gate).exists() and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
