"""Where the calls of a durable actor run: one by one, and each is saved before its answer leaves the process."""

from __future__ import annotations

import inspect
import pickle
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

import cloudpickle

from sheaf._runtime import context, execution, marks, serialization
from sheaf._runtime.actor_class import options_of_method
from sheaf._runtime.actor_handle import BUILT_IN
from sheaf._runtime.durable import instances
from sheaf._runtime.durable.answers import Answer, Answers
from sheaf._runtime.durable.log import Log
from sheaf._runtime.durable.place import Place
from sheaf._runtime.durable.store import store_of
from sheaf._runtime.execution import Load
from sheaf._runtime.lanes import Serial
from sheaf._runtime.serialization import Packed
from sheaf._sheaf import Call, ObjectRef, RuntimeClient, start_recording, stop_recording
from sheaf.exceptions import DurableError, DurableFencedError

Buffers = list[memoryview]

# Of what is written; another one cannot be read.
_FORMAT = 1

_READ_ONLY = frozenset({"__ray_ready__", "__ray_terminate__"})

_STATE, _CALL = "state", "call"


class Durable(Serial):
    """The lane of one durable actor. ``actor`` holds the instance, for the worker and for this."""

    def __init__(self, client: RuntimeClient, place: Place, actor: list[Any]) -> None:
        super().__init__(client)
        self._place = place
        self._actor = actor
        # Opened by the constructor, whose failure it is when that cannot be.
        self._log: Log
        self._answers = Answers()
        # Calls that were saved since the state was.
        self._since = 0
        self._end: Callable[[], Any] | None = None

    def make(self, cls: type, *args: Any, **kwargs: Any) -> Any:
        """The instance that was saved, or where nothing was, a new one, which then is."""
        self._log = Log(store_of(self._place), str(self._place))
        self._log.take_over()
        instance = self._restored(cls)
        if instance is None:
            instance = cls(*args, **kwargs)
            self._start(instance)
        return instance

    def take(self, call: Call, load: Load) -> None:
        """Run a call to its end and save it; one that was saved before is given its answer."""
        answer = None
        if call.attempt > 1:
            try:
                answer = self._answers.find(bytes.fromhex(call.task_id), call.name)
            except DurableError as error:
                load = partial(_raise, error)
        if answer is not None:
            self._tell(call, answer)
        else:
            step = _Step(self, self._client, call)
            execution.run(step, call, partial(step.load, call, load))

    def save(self, task: bytes | None, answer: Answer | None, again: bytes | None) -> None:
        """Write what a call did. ``again``: what calls it again, where the state itself need not be written."""
        instance = self._actor[0]
        if task is not None:
            self._answers.add(task, answer)
        try:
            if again is not None and not self._log.wants_snapshot and self._since + 1 < self._place.every:
                self._log.append(pickle.dumps((task, answer, _CALL, again)))
                self._since += 1
            elif self._log.wants_snapshot or self._place.every > 1:
                self._start(instance)
            else:
                self._log.append(pickle.dumps((task, answer, _STATE, instances.state_of(instance))))
        except DurableFencedError:
            self._end = self._leave_for_good
            raise
        except Exception as error:
            raise self._undone(error) from error

    @property
    def is_journaled(self) -> bool:
        """Whether calls are written, and not only states."""
        return self._place.every > 1

    def end_if_over(self) -> None:
        """End this process if it is not to go on with what it has in memory."""
        if self._end is not None:
            self._end()

    def _start(self, instance: Any) -> None:
        # The snapshot holds all that was written before, so it has to be before the log forgets that.
        snapshot = (_FORMAT, type(instance).__name__, instances.state_of(instance), self._answers.dump())
        self._log.start(pickle.dumps(snapshot))
        self._since = 0

    def _undone(self, why: Exception) -> DurableError:
        """Go on from what is saved, and say that a call was not."""
        self._log.wants_snapshot = True
        try:
            self._actor[0] = self._restored(type(self._actor[0]))
        except Exception:
            # Nothing here is as it is in the store: only a new life can make it so.
            traceback.print_exc()
            self._end = partial(execution.leave, 1)
        return DurableError(
            f"what the call did to the durable actor at {self._place} cannot be saved, and was undone: {why}"
        )

    def _restored(self, cls: type) -> Any:
        saved = self._log.read()
        if saved is None:
            return None
        snapshot, records = saved
        version, *parts = pickle.loads(snapshot)
        if version != _FORMAT:
            raise DurableError(
                f"{self._place} was saved by another version of Sheaf, in a format that this cannot read"
            )
        name, state, answers = parts
        if name != cls.__name__:
            raise DurableError(
                f"{self._place} is what was saved of an actor of the class {name}, and not {cls.__name__}\n"
                "  help: give this one another name or store, or delete what is there with sheaf.util.delete_durable"
            )
        self._answers = Answers.load(answers)
        calls: list[bytes] = []
        for task, answer, kind, body in map(pickle.loads, records):
            if task is not None:
                self._answers.add(task, answer)
            if kind == _STATE:
                state, calls = body, []
            else:
                calls.append(body)
        self._since = len(calls)
        return self._replayed(cls, state, calls)

    def _replayed(self, cls: type, state: bytes, calls: list[bytes]) -> Any:
        try:
            instance = instances.restored(cls, state)
            loaded = [cloudpickle.loads(call) for call in calls]
            methods = [_method(instance, name) for name, _, _ in loaded]
        except Exception as error:
            raise DurableError(
                f"{cls.__name__} cannot be made of what is saved at {self._place}: {type(error).__name__}: {error}\n"
                "  help: the class has to take the state and the methods that its former version saved"
            ) from error
        for method, (_, args, kwargs) in zip(methods, loaded, strict=True):
            try:
                method(*args, **kwargs)
            except Exception:
                # It raised then, too, and was answered with that.
                continue
        return instance

    def _leave_for_good(self) -> None:
        # Not made anew: it would take what is saved back from whoever has it now.
        marks.flush()
        self._client.exit_actor()

    def _tell(self, call: Call, answer: Answer) -> None:
        kind, body = answer
        with context.running(call):
            if kind == "error":
                self._client.fail(call, body, [], False)
            else:
                returns = [Packed(data, [memoryview(each) for each in buffers], []) for data, buffers in body]
                self._client.finish(call, [*returns])


class _Step:
    """One call on its way: to what runs it this is the client, one that saves before it tells."""

    def __init__(self, lane: Durable, client: RuntimeClient, call: Call) -> None:
        self._lane = lane
        self._client = client
        self._task = bytes.fromhex(call.task_id)
        # Whether the method has begun, and what it did is not saved yet.
        self._is_open = False
        self._again: bytes | None = None

    def load(self, call: Call, load: Load) -> Callable[..., Any]:
        """What the call runs, noting what it was called with."""
        function, name = load(), str(call.method)
        if name in _READ_ONLY or options_of_method(function).get("durable") is False:
            return function

        def noted(*args: Any, **kwargs: Any) -> Any:
            # Before it runs: it may change its arguments.
            again = _packed(name, args, kwargs) if self._lane.is_journaled else None
            self._is_open = True
            try:
                result = function(*args, **kwargs)
            except Exception:
                self._again = again
                raise
            # A generator has not run yet, and what was cancelled would not come out the same again.
            if not call.streams and not inspect.isgenerator(result):
                self._again = again
            return result

        return noted

    def yield_item(self, call: Call, index: int, data: bytes, buffers: Buffers, contained: list[ObjectRef]) -> None:
        """Tell an item of a stream; what the generator did is saved at its end."""
        self._client.yield_item(call, index, data, buffers, contained)

    def finish(self, call: Call, returns: list[tuple[bytes, Buffers, list[ObjectRef]]]) -> None:
        """Save, and tell the results. What this raises, ``fail`` is told."""
        if self._is_open:
            kept = not call.streams and not any(contained for _, _, contained in returns)
            parts = [(data, [bytes(each) for each in buffers]) for data, buffers, _ in returns] if kept else None
            self._save(self._task, None if parts is None else ("value", parts))
        self._client.finish(call, returns)

    def fail(self, call: Call, error: bytes, contained: list[ObjectRef], retry: bool) -> None:
        """Save, and tell the error."""
        if self._is_open:
            try:
                # What is to be run again is not to be given this for an answer.
                self._save(None if retry else self._task, ("error", error))
            except Exception as unsaved:
                error, contained, retry = _dumped(unsaved, call), [], False
        self._client.fail(call, error, contained, retry)
        self._lane.end_if_over()

    def _save(self, task: bytes | None, answer: Answer | None) -> None:
        self._is_open = False
        self._lane.save(task, answer, self._again)


def _packed(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
    return instances.dumps((name, args, dict(kwargs)), f"what {name}() was called with")


def _dumped(error: Exception, call: Call) -> bytes:
    start_recording()
    try:
        return serialization.dump_error(error, call.name)
    finally:
        stop_recording()


def _method(instance: Any, name: str) -> Callable[..., Any]:
    method: Callable[..., Any] = partial(BUILT_IN[name], instance) if name in BUILT_IN else getattr(instance, name)
    return method


def _raise(error: Exception) -> NoReturn:
    raise error
