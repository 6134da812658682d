"""Where the methods of an actor run: one by one in the main thread, in several threads, or on an event loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sheaf._runtime import execution, interrupts
from sheaf._runtime.context import Terms, terms_of
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
    """Actors with ``max_concurrency`` or concurrency groups; the constructor has run in the main thread."""

    def __init__(self, client: RuntimeClient, concurrency: Mapping[str, int]) -> None:
        super().__init__(client)
        from concurrent.futures import ThreadPoolExecutor

        self._pools = {
            group: ThreadPoolExecutor(most, thread_name_prefix=f"sheaf-actor-{group}" if group else "sheaf-actor")
            for group, most in concurrency.items()
        }

    def take(self, call: Call, load: Load) -> None:
        """Run it in the next thread of its group that is free."""
        self._pools[terms_of(call.extra).group_of_call].submit(execution.run, self._client, call, load)


def for_actor(client: RuntimeClient, terms: Terms) -> Lane:
    """The lane of an actor with these terms."""
    # What is in no group has a number of its own.
    concurrency = {"": terms.max_concurrency, **terms.groups}
    if terms.is_async:
        from sheaf._runtime.event_loop import EventLoop

        return EventLoop(client, concurrency)
    return Threads(client, concurrency) if concurrency != {"": 1} else Serial(client)
