"""References as futures: of ``concurrent.futures`` for threads, of asyncio for ``await``."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import Future
from typing import Any

from sheaf._runtime import process, serialization
from sheaf._sheaf import ObjectRef

_Value = tuple[int, Any, list[Any]]


def future_of(ref: ObjectRef) -> Future[Any]:
    """A future that has the value, or raises what ``get`` would; ``ObjectRef.future`` calls this."""
    future: Future[Any] = Future()

    def done(value: _Value) -> None:
        if future.set_running_or_notify_cancel():
            _settle(future, value)

    process.client().when_ready(ref, done)
    return future


def awaitable(ref: ObjectRef) -> asyncio.Future[Any]:
    """The same for the running event loop; ``await`` on an ``ObjectRef`` calls this."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def on_loop(value: _Value) -> None:
        if not future.done():
            _settle(future, value)

    def done(value: _Value) -> None:
        # A loop that was closed meanwhile has nobody who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(on_loop, value)

    process.client().when_ready(ref, done)
    return future


def _settle(future: Future[Any] | asyncio.Future[Any], value: _Value) -> None:
    try:
        result = serialization.load(value)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
