"""A call that runs inline: what a worker is told of it, and how it runs to its end or its error."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sheaf._runtime import arguments, context, failures, serialization, streams
from sheaf._runtime.context import Running
from sheaf._runtime.execution import packed_result, split
from sheaf._runtime.inline.reference import InlineRef, Value
from sheaf._runtime.serialization import Packed
from sheaf._sheaf import Call, ObjectRef, start_recording, stop_recording

FUNCTION, MAKES_ACTOR, METHOD = 0, 1, 2

CRASHED, ACTOR_DIED = 2, 3

NO_ACTOR: Value = (ACTOR_DIED, "the actor is dead", [])

Result = tuple[Value, list[ObjectRef]]
"""A value and the references in it."""


class ExitActor(BaseException):
    """Ends the method that runs, and its actor with it."""


@dataclass
class InlineCall:
    """A call, under the names that a worker's has."""

    kind: int
    name: str
    task_id: str
    function: Callable[..., Any]
    given: Packed
    needs: list[InlineRef]
    num_returns: int
    streams: bool
    extra: bytes
    max_retries: int
    method: str | None = None
    actor_id: bytes | None = None
    attempt: int = 1
    gpu_ids: list[int] = field(default_factory=list)

    def is_cancelled(self) -> bool:
        """Never: nobody can ask for it while it runs."""
        return False

    def running(self, maker: Running | None = None, cls: type | None = None) -> Running:
        """The same for ``context``, which looks at the names above alone; of a method, with what made its actor."""
        return Running(cast(Call, self), context.terms_of(self.extra), maker, cls)


@dataclass
class Outcome:
    """The results of a call; a stream has more, and may have an error after some of them."""

    returns: list[Result]
    items: list[Result] = field(default_factory=list)
    has_raised: bool = False


def run(call: InlineCall, running: Running) -> Outcome:
    """Run a call in this thread, again where its options say so. What would end the driver is raised here."""
    while True:
        items: list[Result] = []
        try:
            with context.running_as(running):
                return Outcome(_returns(call, items), items)
        except (KeyboardInterrupt, ExitActor):
            raise
        except SystemExit as error:
            left = f"{call.name} called sys.exit({error.code!r})"
            if call.kind != FUNCTION:
                raise ExitActor(left) from None
            return failed(call, (CRASHED, left, []), [], items)
        except BaseException as error:
            if running.terms.wants_retry(error) and call.attempt <= call.max_retries:
                call.attempt += 1
                continue
            start_recording()
            try:
                told = serialization.dump_error(
                    error, call.name, actor_id=running.actor_id, in_constructor=call.kind == MAKES_ACTOR
                )
            finally:
                contained = stop_recording()
            return failed(call, (failures.RAISED, told, []), contained, items)


def kept(packed: Packed) -> Result:
    """A value as it is kept: whoever made it may change its buffers."""
    return (failures.VALUE, packed.data, [bytes(each) for each in packed.buffers]), packed.contained


def failed(
    call: InlineCall, value: Value, contained: Sequence[ObjectRef] = (), items: Sequence[Result] = ()
) -> Outcome:
    """A failure for each result; a stream has what it yielded before."""
    count = 1 if call.streams else call.num_returns
    return Outcome([(value, [*contained])] * count, [*items], has_raised=True)


def _returns(call: InlineCall, items: list[Result]) -> list[Result]:
    needs = [need.value for need in call.needs]
    args, kwargs = arguments.unpack(call.given.data, [bytes(each) for each in call.given.buffers], needs)
    value = _finished(call.function(*args, **kwargs))
    if context.terms_of(call.extra).is_dynamic:
        return [kept(serialization.dumps(streams.all_of(call.name, value)))]
    if not call.streams:
        values = split(call.name, value, call.num_returns)
        return [kept(packed_result(call.name, each)) for each in values]
    if not hasattr(value, "__iter__"):
        kind = type(value).__name__
        raise TypeError(f"{call.name}() returned a value of {kind}, and has to yield, as num_returns says")
    for item in value:
        items.append(kept(packed_result(call.name, item)))
    return [kept(serialization.dumps(len(items)))]


def _finished(value: Any) -> Any:
    """What a coroutine returns, or all that an asynchronous generator yields; any other value as it is."""
    if inspect.isasyncgen(value):
        generator = value

        async def listed() -> list[Any]:
            return [each async for each in generator]

        return _run_async(listed())
    return _run_async(value) if inspect.iscoroutine(value) else value


def _run_async(coroutine: Any) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    # A loop runs in this thread already, and there can be one only.
    done: list[Any] = []
    here = contextvars.copy_context()

    def elsewhere() -> None:
        try:
            done.append((True, here.run(asyncio.run, coroutine)))
        except BaseException as error:
            done.append((False, error))

    thread = threading.Thread(target=elsewhere, name="sheaf-inline")
    thread.start()
    thread.join()
    [(is_well, outcome)] = done
    if is_well:
        return outcome
    raise outcome
