"""The event loop of one run, in a thread of its own: coroutine functions run on it, some at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

Reply = Callable[[list[Any], BaseException | None], None]
"""What is called with the results of a call, or with what it raised."""


class EventLoop:
    """Runs calls as tasks, at most so many at once.

    >>> import queue
    >>> from sheaf._functions.event_loop import EventLoop
    >>> async def double(x):
    ...     return [2 * x]
    >>> loop, results = EventLoop(lambda: double, 2), queue.Queue()
    >>> loop.submit(4, lambda made, error: results.put((made, error)))
    >>> results.get(timeout=10)
    ([8], None)
    >>> loop.close()
    """

    def __init__(self, make: Callable[[], Callable[[Any], Any]], at_once: int) -> None:
        self._make = make
        self._call: Callable[[Any], Any] | None = None
        self._free = asyncio.Semaphore(at_once)
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        threading.Thread(target=self._serve, name="sheaf-async-functions", daemon=True).start()

    def submit(self, batch: Any, reply: Reply) -> None:
        """Run a call, from any thread."""
        self._loop.call_soon_threadsafe(self._begin, batch, reply)

    def close(self) -> None:
        """Cancel what runs, and end the thread."""
        self._loop.call_soon_threadsafe(self._end)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            pending = asyncio.all_tasks(self._loop)
            for task in pending:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()

    def _begin(self, batch: Any, reply: Reply) -> None:
        task = self._loop.create_task(self._run(batch, reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: Any, reply: Reply) -> None:
        async with self._free:
            try:
                if self._call is None:
                    # On the loop, for what an instance opens may belong to it.
                    self._call = self._make()
                made = await self._call(batch)
            except Exception as error:
                reply([], error)
            else:
                reply(made, None)

    def _end(self) -> None:
        self._loop.stop()
