"""Actors: their calls from one driver, from actors to actors, and the making of many."""

import contextlib
import os
from typing import Any

import numpy as np
import psutil

from workloads import Settings
from workloads.tasks import BATCH, CLIENTS, windows_of
from workloads.windows import SAMPLES, duration, rate, rates

MANY = 100
SMALL_BYTES = 100
LARGE_BYTES = 1_000_000
# Of large arguments so many are under way from each client.
LARGE_BATCH = 20
# How long actors may take to be gone before the next are made.
GONE_SECONDS = 60


class Server:
    """What is called."""

    def take(self, *_: object) -> None:
        """Do nothing."""

    def pid(self) -> int:
        """The actor's process."""
        return os.getpid()


def server(ray: Any) -> Any:
    """An actor, there and answering; it needs no CPU, so that any number of them fits."""
    made = ray.remote(num_cpus=0)(Server).remote()
    ray.get(made.take.remote())
    return made


def calls_sync(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """Each after the result of the one before."""
    called = server(ray)

    def step() -> int:
        ray.get(called.take.remote())
        return 1

    return rates(step, settings.seconds)


def calls_async(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """Many at a time, and then their results."""
    called = server(ray)

    def step() -> int:
        ray.get([called.take.remote() for _ in range(BATCH)])
        return BATCH

    return rates(step, settings.seconds)


def calls_many_small(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """Actors that call actors, each all of them in turn, with few bytes."""
    return calls_many(ray, settings, bytes(SMALL_BYTES), BATCH, unit=1)


def calls_many_large(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """The same with an array, in gigabytes per second."""
    return calls_many(ray, settings, np.ones(LARGE_BYTES, np.uint8), LARGE_BATCH, unit=LARGE_BYTES / 1e9)


def calls_many(ray: Any, settings: Settings, argument: Any, count: int, unit: float) -> dict[str, list[float]]:
    """What actors that call as many others get done together."""

    class Client:
        def __init__(self, servers: list[Any]) -> None:
            self.servers = servers

        def rate(self, seconds: float) -> float:
            return rate(self.step, seconds)

        def step(self) -> float:
            ray.get([self.servers[number % len(self.servers)].take.remote(argument) for number in range(count)])
            return count * unit

    servers = [server(ray) for _ in range(CLIENTS)]
    clients = [ray.remote(num_cpus=0)(Client).remote(servers) for _ in range(CLIENTS)]
    return windows_of(ray, clients, settings.seconds)


def actors_100(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """Many at once, until each has answered; the next when these are gone."""
    actor = ray.remote(Server)
    processes: list[int] = []

    def work() -> None:
        actors = [actor.remote() for _ in range(MANY)]
        processes[:] = ray.get([made.pid.remote() for made in actors])

    seconds = []
    for _ in range(SAMPLES):
        seconds.append(duration(work))
        # The handles went with the end of `work`, and the actors with them.
        psutil.wait_procs(alive(processes), timeout=GONE_SECONDS)
    return {"time": seconds}


def alive(processes: list[int]) -> list[psutil.Process]:
    """Those of these processes that are still there."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(process))
    return found
