"""Where the methods of an actor run: one by one in the main thread, in several threads, or on an event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sheaf._runtime import execution, interrupts
from sheaf._runtime.context import Terms
from sheaf._runtime.execution import Load
from sheaf._sheaf import Call, RuntimeClient


class Lane(Protocol):
    """Takes calls in their order, and runs them by its own rule."""

    def take(self, call: Call, load: Load) -> None:
        """Run this call, now or later."""

    def cancel(self, task_id: str) -> None:
        """Stop a call where that is possible."""


class Serial:
    """Tasks, and actors that are neither threaded nor async."""

    def __init__(self, client: RuntimeClient) -> None:
        self._client = client

    def take(self, call: Call, load: Load) -> None:
        """Run it to its end."""
        execution.run(self._client, call, load)

    def cancel(self, task_id: str) -> None:
        """Stop it, even while it sleeps."""
        interrupts.cancel(task_id)


class Threads(Serial):
    """Actors with ``max_concurrency``; the constructor has run in the main thread."""

    def __init__(self, client: RuntimeClient, concurrency: int) -> None:
        super().__init__(client)
        from concurrent.futures import ThreadPoolExecutor

        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="sheaf-actor")

    def take(self, call: Call, load: Load) -> None:
        """Run it in the next thread that is free."""
        self._pool.submit(execution.run, self._client, call, load)


def for_actor(client: RuntimeClient, terms: Terms, concurrency: int) -> Lane:
    """The lane of an actor with these terms."""
    make: Callable[[RuntimeClient, int], Lane]
    if terms.is_async:
        from sheaf._runtime.event_loop import EventLoop

        make = EventLoop
    elif concurrency > 1:
        make = Threads
    else:
        return Serial(client)
    return make(client, concurrency)
