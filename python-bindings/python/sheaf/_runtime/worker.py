"""The worker: a process that runs what its node hands it, tasks one by one or the calls of one actor."""

from __future__ import annotations

import contextlib
import faulthandler
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from sheaf._runtime import context, execution, interrupts, lanes, marks, process, serialization
from sheaf._runtime.actor_handle import BUILT_IN
from sheaf._runtime.allotment import Allotment
from sheaf._runtime.lanes import Lane, Serial
from sheaf._sheaf import Call, RuntimeClient
from sheaf.exceptions import ActorDiedError

_FUNCTION, _MAKES_ACTOR = 0, 1

_worker: Worker | None = None


def main(fd: int) -> NoReturn:
    """Be the worker of the node behind this socket until it sends the process home."""
    global _worker
    interrupts.install()
    # The traceback of a crash in native code is among the last lines, which the owner is told.
    faulthandler.enable()
    client = RuntimeClient.from_fd(fd)
    process.become_worker(client)
    _worker = Worker(client)
    _worker.serve()
    execution.leave(0)


def cancel(task_id: str) -> None:
    """Stop a call that runs here, where that is possible. The native client calls this, having noted it in the call."""
    if _worker is not None:
        _worker.cancel(task_id)


class Worker:
    """Runs calls until the node has no more."""

    def __init__(self, client: RuntimeClient) -> None:
        self._client = client
        self._lane: Lane = Serial(client)
        self._allotment = Allotment()
        self._functions: dict[bytes, Any] = {}
        # The actor that this process is; empty until its constructor has ended well.
        self._actor: list[Any] = []
        self._make: Callable[..., Any] = _new

    def serve(self) -> None:
        """Take calls in their order."""
        # A call holds its arguments: none of them does while the next one is waited for.
        while self._take(self._client.next_call()):
            pass

    def cancel(self, task_id: str) -> None:
        """Stop a call where that is possible."""
        self._lane.cancel(task_id)

    def _take(self, call: Call | None) -> bool:
        if call is None:
            return False
        if call.kind == _FUNCTION:
            marks.mark(call.name)
            self._allotment.show(call.gpu_ids, context.terms_of(call.extra))
            self._lane.take(call, partial(self._function, call))
        elif call.kind == _MAKES_ACTOR:
            self._become_actor(call)
        else:
            self._lane.take(call, partial(self._method, str(call.method)))
        return True

    def _become_actor(self, call: Call) -> None:
        terms = context.terms_of(call.extra)
        context.become_actor(call)
        marks.mark(call.name.removesuffix(".__init__"))
        self._allotment.show(call.gpu_ids, terms)
        if terms.durable is None:
            self._lane = lanes.for_actor(self._client, terms)
        else:
            from sheaf._runtime.durable.lane import Durable

            self._lane = durable = Durable(self._client, terms.durable, self._actor)
            self._make = durable.make
        # Only a loop is a place of its own also for the constructor, which may want to start tasks on it.
        first = self._lane if terms.is_async else Serial(self._client)
        first.take(call, partial(self._constructor, call))

    def _constructor(self, call: Call) -> Callable[..., None]:
        cls = self._function(call)
        context.note_class(cls)

        def construct(*args: Any, **kwargs: Any) -> None:
            instance = self._make(cls, *args, **kwargs)
            if cls.__repr__ is not object.__repr__:
                # As Ray, so that actors of one class can be told apart. It may need what is not there yet.
                with contextlib.suppress(Exception):
                    marks.mark(repr(instance))
            self._actor.append(instance)

        return construct

    def _method(self, name: str) -> Callable[..., Any]:
        if not self._actor:
            raise ActorDiedError(f"the constructor of the actor did not end well, so there is no {name}() to call")
        [instance] = self._actor
        if name in BUILT_IN:
            return partial(BUILT_IN[name], instance)
        method: Callable[..., Any] = getattr(instance, name)
        return method

    def _function(self, call: Call) -> Any:
        known = self._functions.get(call.function_id)
        if known is not None:
            return known
        if call.function is None:
            raise RuntimeError(f"the node sent no function for {call.name}")
        try:
            loaded = self._functions[call.function_id] = serialization.load(call.function)
        except Exception as error:
            error.add_note(
                f"{call.name} cannot be loaded in the worker\n"
                "  help: what it imports has to be found there: see working_dir and py_modules of runtime_env"
            )
            raise
        return loaded


def _new(cls: type, /, *args: Any, **kwargs: Any) -> Any:
    return cls(*args, **kwargs)
