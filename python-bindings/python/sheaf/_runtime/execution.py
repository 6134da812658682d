"""One call in a worker: from its arguments to its results, or to the error that is told of it."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from sheaf._runtime import arguments, context, interrupts, marks, process, serialization, streams
from sheaf._runtime.context import Running
from sheaf._runtime.serialization import Packed
from sheaf._sheaf import Call, ObjectRef, start_recording, stop_recording
from sheaf.exceptions import TaskCancelledError

_MAKES_ACTOR, _METHOD = 1, 2

Load = Callable[[], Callable[..., Any]]
"""Gives what a call runs; it may fail like the call itself."""


class Told(Protocol):
    """Who is told what becomes of a call: the native client, or what does something before it tells that."""

    def yield_item(
        self, call: Call, index: int, data: bytes, buffers: list[memoryview], contained: list[ObjectRef]
    ) -> None:
        """One result of a stream."""

    def finish(self, call: Call, returns: list[tuple[bytes, list[memoryview], list[ObjectRef]]]) -> None:
        """The results."""

    def fail(self, call: Call, error: bytes, contained: list[ObjectRef], retry: bool) -> None:
        """An error."""


class Execution:
    """A call that runs here. ``value`` runs it, ``end`` or ``fail`` tells the node of it."""

    def __init__(self, client: Told, running: Running, load: Load) -> None:
        self._client = client
        self._running = running
        self._call = running.call
        self._load = load
        self._in_user_code = False

    def value(self) -> Any:
        """Call the function with its arguments."""
        function = self._load()
        args, kwargs = arguments.unpack(self._call.data, self._call.buffers, self._call.needs)
        self._in_user_code = True
        return function(*args, **kwargs)

    def packed(self, value: Any) -> list[Packed]:
        """What the function returned, as one result or several; a stream's are sent on as they come."""
        if self._call.streams:
            return [serialization.dumps(self._send_on(value))]
        if self._running.terms.is_dynamic:
            return [serialization.dumps(streams.all_of(self._call.name, value))]
        values = split(self._call.name, value, self._call.num_returns)
        self._in_user_code = False
        return [packed_result(self._call.name, each) for each in values]

    def send(self, index: int, item: Any) -> None:
        """Tell the node of one result of a stream."""
        self._client.yield_item(self._call, index, *packed_result(self._call.name, item))

    def _send_on(self, items: Any) -> int:
        if not hasattr(items, "__iter__"):
            kind = type(items).__name__
            raise TypeError(f"{self._call.name}() returned a value of {kind}, and has to yield, as num_returns says")
        count = 0
        for item in items:
            self.send(count, item)
            count += 1
        return count

    def end(self, returns: list[Packed]) -> None:
        """Tell the node of the results."""
        marks.flush()
        try:
            self._client.finish(self._call, [*returns])
        except Exception as error:
            # The store is full, say.
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Tell the node of an error; ``SystemExit`` ends the process."""
        if isinstance(error, SystemExit):
            leave(error.code, for_good=self._call.kind == _METHOD)
        marks.flush()
        if isinstance(error, interrupts.Cancelled):
            error = TaskCancelledError(f"{self._call.name} was cancelled while it ran")
        elif isinstance(error, KeyboardInterrupt):
            # As in Ray; of its own type it would end whoever gets it.
            error = TaskCancelledError(f"{self._call.name} was interrupted: {error!r}").with_traceback(
                error.__traceback__
            )
        start_recording()
        try:
            told = serialization.dump_error(
                error,
                self._call.name,
                actor_id=self._running.actor_id,
                in_constructor=self._call.kind == _MAKES_ACTOR,
            )
        finally:
            contained = stop_recording()
        retry = self._in_user_code and self._running.terms.wants_retry(error)
        self._client.fail(self._call, told, contained, retry)


def run(client: Told, call: Call, load: Load) -> None:
    """Run a call in this thread."""
    with context.running(call) as running:
        execution = Execution(client, running, load)
        try:
            with interrupts.allowed(call):
                returns = execution.packed(execution.value())
        except BaseException as error:
            execution.fail(error)
        else:
            execution.end(returns)


def split(name: str, value: Any, count: int) -> Sequence[Any]:
    """What a function returned, as so many results.

    >>> from sheaf._runtime import execution
    >>> execution.split("f", (1, 2), 2)
    [1, 2]
    >>> execution.split("f", 7, 2)
    Traceback (most recent call last):
    ValueError: f() returned an int, and has to return 2 values, as num_returns says
    """
    if count == 1:
        return [value]
    if count == 0:
        return []
    try:
        values = list(value)
    except TypeError:
        if hasattr(type(value), "__iter__"):
            raise
        kind = type(value).__name__
        article = "an" if kind[0] in "aeiou" else "a"
        raise ValueError(
            f"{name}() returned {article} {kind}, and has to return {count} values, as num_returns says"
        ) from None
    if len(values) != count:
        raise ValueError(f"{name}() returned {len(values)} values, and has to return {count}, as num_returns says")
    return values


def leave(code: object, *, for_good: bool = False) -> NoReturn:
    """End this process as ``sys.exit`` does, from any thread and without a wait for others.

    ``for_good``: an actor that leaves without an error is not made anew.
    """
    try:
        if not isinstance(code, int | None):
            print(code, file=sys.stderr)
        atexit._run_exitfuncs()
        marks.flush()
        if for_good and not code:
            process.client().exit_actor()
    finally:
        os._exit((code or 0) & 0xFF if isinstance(code, int | None) else 1)


def packed_result(name: str, value: Any) -> Packed:
    """One result of the call of this name."""
    try:
        return serialization.dumps(value)
    except Exception as error:
        raise TypeError(
            f"what {name}() returned, a {type(value).__qualname__}, cannot be pickled: {error}\n"
            "  help: sheaf.util.inspect_serializability(value) shows which part of it"
        ) from error
