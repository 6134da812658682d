"""The event loop of an async actor, in a thread of its own: its coroutines and, as in Ray, its other methods too."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from sheaf._runtime import context, serialization
from sheaf._runtime.execution import Execution, Load
from sheaf._runtime.interrupts import Cancelled
from sheaf._sheaf import Call, RuntimeClient


class EventLoop:
    """Runs calls as asyncio tasks, at most so many of each concurrency group at once; they begin in their order."""

    def __init__(self, client: RuntimeClient, concurrency: Mapping[str, int]) -> None:
        self._client = client
        self._loop = asyncio.new_event_loop()
        self._free = {group: asyncio.Semaphore(most) for group, most in concurrency.items()}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        threading.Thread(target=self._serve, name="sheaf-event-loop", daemon=True).start()

    def take(self, call: Call, load: Load) -> None:
        """Run it on the loop."""
        self._loop.call_soon_threadsafe(self._begin, call, load)

    def cancel(self, task_id: str) -> None:
        """Cancel the asyncio task of a call; methods that are no coroutines run to their end."""

        def on_loop() -> None:
            if task_id in self._tasks:
                self._tasks[task_id].cancel()

        self._loop.call_soon_threadsafe(on_loop)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _begin(self, call: Call, load: Load) -> None:
        task = self._loop.create_task(self._run(call, load))
        self._tasks[call.task_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(call.task_id, None))

    async def _run(self, call: Call, load: Load) -> None:
        with context.running(call) as running:
            execution = Execution(self._client, running, load)
            try:
                async with self._free[running.terms.group_of_call]:
                    if call.is_cancelled():
                        raise Cancelled
                    value = execution.value()
                    if call.streams and inspect.isasyncgen(value):
                        returns = [serialization.dumps(await _send_on(execution, value))]
                    else:
                        returns = execution.packed(await _awaited(value))
            except asyncio.CancelledError as error:
                execution.fail(Cancelled() if call.is_cancelled() else error)
            except BaseException as error:
                execution.fail(error)
            else:
                execution.end(returns)


async def _send_on(execution: Execution, items: AsyncGenerator[Any, Any]) -> int:
    count = 0
    async with contextlib.aclosing(items):
        async for item in items:
            execution.send(count, item)
            count += 1
    return count


async def _awaited(value: Any) -> Any:
    if inspect.isawaitable(value):
        return await value
    if inspect.isasyncgen(value):
        async with contextlib.aclosing(value):
            return [each async for each in value]
    return value
