"""What stands in for the connection to a node, and runs what it is given at once."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn
from weakref import ref as weak_ref

from sheaf._runtime import failures, serialization
from sheaf._runtime.context import Running
from sheaf._runtime.inline import calls
from sheaf._runtime.inline.actors import ActorRef, InlineActor
from sheaf._runtime.inline.calls import InlineCall, Outcome
from sheaf._runtime.inline.reference import InlineRef, Value
from sheaf._runtime.serialization import Packed
from sheaf._sheaf import CallOptions, ObjectRef

_NAME_BYTES = 8


class InlineClient:
    """Has the methods of ``RuntimeClient`` that drivers and tasks use, under the same names and with the same meaning.

    Not there is what no call can see that runs to its end at once: cancelling, waiting, pending calls.
    """

    client_id = 1

    def __init__(self, resources: Mapping[str, float], labels: Mapping[str, str]) -> None:
        self._resources = dict(resources)
        self._labels = dict(labels)
        # The first half of the names of all objects: what another session has made is not found.
        self._session = os.urandom(_NAME_BYTES)
        self._numbers = itertools.count(1)
        self._streams: dict[bytes, list[InlineRef]] = {}
        self._names: dict[tuple[str, str], tuple[Callable[[], ActorRef | None], bytes]] = {}

    @property
    def node_id(self) -> str:
        """The one node that there is."""
        return self._session.hex()

    def close(self) -> None:
        """End it: all that it made are objects of this process."""

    def put(self, data: bytes, buffers: list[memoryview], contained: list[ObjectRef]) -> ObjectRef:
        """Keep a value."""
        return InlineRef.made(self._name(), *calls.kept(Packed(data, buffers, contained)))

    def submit(
        self,
        options: CallOptions,
        function: ObjectRef,
        data: bytes,
        buffers: list[memoryview],
        contained: list[ObjectRef],
        needs: list[ObjectRef],
    ) -> list[ObjectRef]:
        """Run a task."""
        call = self._call(calls.FUNCTION, options, Packed(data, buffers, contained), needs)
        call.function = lambda *args, **kwargs: self._load(function)(*args, **kwargs)
        return self._results(call, _outcome(call, call.running()), is_call=False)

    def create_actor(
        self,
        options: CallOptions,
        function: ObjectRef,
        data: bytes,
        buffers: list[memoryview],
        contained: list[ObjectRef],
        needs: list[ObjectRef],
    ) -> ObjectRef:
        """Make an actor."""
        call = self._call(calls.MAKES_ACTOR, options, Packed(data, buffers, contained), needs)
        name = bytes.fromhex(call.task_id) + bytes(4)
        call.actor_id = name
        handle = ActorRef.made(name, *calls.kept(serialization.dumps(None)))
        handle.actor = InlineActor(call, self._load(function))
        if (failed := _failed_need(call)) is not None:
            handle.actor.failure = (failures.NOT_MADE, failed, [])
        else:
            handle.actor.make()
        return handle

    def call(
        self,
        actor: ObjectRef,
        options: CallOptions,
        method: str,
        data: bytes,
        buffers: list[memoryview],
        contained: list[ObjectRef],
        needs: list[ObjectRef],
    ) -> list[ObjectRef]:
        """Run a method."""
        state = _actor_of(actor)
        call = self._call(calls.METHOD, options, Packed(data, buffers, contained), needs)
        call.method, call.actor_id = method, actor.binary()
        call.function = lambda *args, **kwargs: state.method(method)(*args, **kwargs)
        if state.failure is None:
            try:
                outcome = _outcome(call, call.running(state.made_by, state.cls))
                return self._results(call, outcome, is_call=True)
            except calls.ExitActor as left:
                state.end(str(left))
        return self._results(call, calls.failed(call, state.failure or calls.NO_ACTOR), is_call=True)

    def get(self, refs: list[ObjectRef], timeout: float | None) -> list[Value] | None:
        """The values, which are there."""
        return [_own(ref).value for ref in refs]

    def wait(
        self,
        refs: list[ObjectRef],
        count: int,
        timeout: float | None,
        fetch_local: bool = True,
        streams: Sequence[int] = (),
    ) -> list[bool]:
        """All are there."""
        return [_own(ref) is ref for ref in refs]

    def when_ready(self, ref: ObjectRef, callback: Callable[[Value], None]) -> None:
        """Call back, at once."""
        callback(_own(ref).value)

    def stream(self, first: ObjectRef) -> InlineStream:
        """The results of a call that yielded them."""
        return InlineStream(first, self._streams.pop(first.binary(), []))

    def cancel(self, ref: ObjectRef, force: bool, recursive: bool) -> None:
        """Nothing: the task has ended."""

    def kill_actor(self, actor: ObjectRef, no_restart: bool) -> None:
        """End an actor."""
        _actor_of(actor).kill(for_good=no_restart)

    def exit_actor(self) -> NoReturn:
        """End the actor whose method this is."""
        raise calls.ExitActor("it left by exit_actor")

    def claim_name(self, name: str, namespace: str, actor: ObjectRef, meta: bytes, detached: bool) -> bytes | None:
        """Give an actor a name, or say who has it."""
        assert isinstance(actor, ActorRef)
        taken = self.look_up(name, namespace)
        if taken is not None:
            return taken[1]
        self._names[namespace, name] = ((lambda: actor) if detached else weak_ref(actor)), meta
        return None

    def look_up(self, name: str, namespace: str) -> tuple[ObjectRef, bytes] | None:
        """The living actor of this name."""
        found, meta = self._names.get((namespace, name), (lambda: None, b""))
        actor = found()
        if actor is None or actor.actor.failure is not None:
            self._names.pop((namespace, name), None)
            return None
        return actor, meta

    def names(self, namespace: str | None) -> list[tuple[str, str]]:
        """The names of the actors that live, and their namespaces."""
        return [
            (space, name)
            for space, name in list(self._names)
            if namespace in (None, space) and self.look_up(name, space) is not None
        ]

    def nodes(self) -> list[tuple[str, str, dict[str, float], dict[str, float], dict[str, str]]]:
        """The one node that there is, whose resources nothing holds."""
        return [(self.node_id, "", dict(self._resources), dict(self._resources), dict(self._labels))]

    def about(self, refs: list[ObjectRef]) -> list[tuple[str, bool, bool | None]]:
        """That each is there, and whether a method made it; nothing waits for a node."""
        why = "is ready: with local_mode=True calls run to their end at once"
        return [(f"object {_own(ref).hex()} {why}", _own(ref).is_call, None) for ref in refs]

    def pending_calls(self, actor: ObjectRef) -> int:
        """None: all have ended."""
        return 0

    def objects(self) -> list[tuple[str, int, str, int]]:
        """Nothing is in a store."""
        return []

    def report_metrics(self, updates: list[Any]) -> None:
        """Nobody reads them."""

    def metrics_text(self) -> str:
        """There are none."""
        return ""

    def _name(self) -> bytes:
        return self._session + next(self._numbers).to_bytes(_NAME_BYTES, "big") + bytes(4)

    def _call(self, kind: int, options: CallOptions, given: Packed, needs: list[ObjectRef]) -> InlineCall:
        return InlineCall(
            kind=kind,
            name=options.name,
            task_id=self._name()[: 2 * _NAME_BYTES].hex(),
            function=_nothing,
            given=given,
            needs=[_own(need) for need in needs],
            num_returns=options.num_returns,
            streams=options.streams,
            extra=options.extra,
            max_retries=options.max_retries,
        )

    def _results(self, call: InlineCall, outcome: Outcome, *, is_call: bool) -> list[ObjectRef]:
        task = bytes.fromhex(call.task_id)
        numbered = enumerate(outcome.returns + outcome.items)
        refs = [InlineRef.made(task + at.to_bytes(4, "big"), *result, is_call=is_call) for at, result in numbered]
        count = len(outcome.returns)
        if call.streams:
            self._streams[refs[0].binary()] = refs[count:]
        return [*refs[:count]]

    def _load(self, function: ObjectRef) -> Any:
        return serialization.load(_own(function).value)


class InlineStream:
    """The results of a generator, all of which are there."""

    def __init__(self, first: ObjectRef, items: list[InlineRef]) -> None:
        self.first = first
        self._items = deque(items)

    def next(self) -> ObjectRef | None:
        """The next one, if there is one."""
        return self._items.popleft() if self._items else None

    def is_over(self) -> bool:
        """Whether all were taken."""
        return not self._items


def _nothing() -> None:
    raise RuntimeError("a call was run without its function")


def _own(ref: ObjectRef) -> InlineRef:
    if not isinstance(ref, InlineRef):
        raise RuntimeError(f"{ref!r} is of a runtime that has ended; what it stood for is gone")
    return ref


def _actor_of(ref: ObjectRef) -> InlineActor:
    if not isinstance(ref, ActorRef):
        raise RuntimeError(f"{ref!r} is of a runtime that has ended, or of no actor")
    return ref.actor


def _outcome(call: InlineCall, running: Running) -> Outcome:
    failed = _failed_need(call)
    return calls.run(call, running) if failed is None else calls.failed(call, failed)


def _failed_need(call: InlineCall) -> Value | None:
    """The value of the first argument that is a failure: the call fails alike, and does not run."""
    return next((need.value for need in call.needs if need.value[0] != failures.VALUE), None)
