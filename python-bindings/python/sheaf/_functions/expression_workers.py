"""Worker processes of expression functions: a thread of the engine waits while its call runs in one."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

import sheaf
from sheaf import _objects
from sheaf._functions import causes
from sheaf._runtime import options, process
from sheaf.compute import ActorPool, Compute, TaskPool
from sheaf.errors import InvalidInputError
from sheaf.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError

IDLE_SECONDS = 10.0
"""After so long without a call the workers end; the next call starts others."""

_MADE, _RAISED = "made", "raised"


class CallLost(Exception):
    """The worker of a call has ended, or the call took longer than it may."""


@dataclass(frozen=True)
class Place:
    """Where a user wants the calls to run."""

    size: int
    options: Mapping[str, Any]
    timeout: float | None

    @classmethod
    def of(cls, compute: Compute | None = None, timeout: float | None = None, **asked: Any) -> Place | None:
        """Checked; ``None`` for the engine's threads."""
        given = {name: value for name, value in asked.items() if value is not None}
        if timeout is not None and timeout <= 0:
            raise InvalidInputError(f"timeout={timeout!r} has to be more than 0 seconds")
        if compute is None and timeout is None and not given:
            return None
        if compute is not None and not isinstance(compute, TaskPool | ActorPool):
            error = InvalidInputError(f"compute={compute!r} says of no place where the function could run")
            error.hint = "the places are TaskPool(…) and ActorPool(…); without it, the engine's threads"
            raise error
        options.check(given, options.ACTOR, "func")
        return cls((compute or TaskPool()).max_size, given, timeout)


class ExpressionWorker:
    """The actor."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def ready(self) -> None:
        """It is there."""

    def call(self, arguments: Any, batch: pa.RecordBatch | None, rows: int) -> tuple[str, Any]:
        """The array that the function makes of these columns, or what it raised."""
        columns = [] if batch is None else _objects.shown(batch).columns
        try:
            made = self._function.of_arrays(arguments, columns, rows)
        except Exception as error:
            return _RAISED, causes.told(error)
        return _MADE, pa.RecordBatch.from_arrays([made], names=["made"])


class _Actor(NamedTuple):
    handle: Any
    ready: Any


class Workers:
    """The workers of one function. They start at its first call, all of them, and end when nobody calls any more."""

    def __init__(self, place: Place, function: Any) -> None:
        self.place = place
        self._function = function
        self._lock = threading.Lock()
        self._client: Any = None
        self._idle: queue.SimpleQueue[_Actor] = queue.SimpleQueue()
        self._calls = 0
        self._count = 0

    def __reduce__(self) -> tuple[type[Workers], tuple[Place, Any]]:
        # They stay, and others start where the function goes.
        return Workers, (self.place, self._function)

    def call(self, arguments: Any, columns: Sequence[pa.Array], rows: int) -> pa.Array:
        """One call, in a worker.

        Raises:
            CallLost: where that was no fault of an exception's.
        """
        batch = pa.RecordBatch.from_arrays(columns, names=[str(at) for at in range(len(columns))]) if columns else None
        actor = self._take()
        try:
            # A worker's start is no part of a call's time.
            sheaf.get(actor.ready)
            kind, told = sheaf.get(actor.handle.call.remote(arguments, batch, rows), timeout=self.place.timeout)
        except BaseException as error:
            self._lose(actor)
            told = self._told(error)
            if told is error:
                raise
            raise told from error
        self._give_back(actor)
        if kind == _MADE:
            return _objects.shown(told).column(0)
        raise causes.read(told, "In the worker")

    def _told(self, error: BaseException) -> BaseException:
        if isinstance(error, GetTimeoutError):
            return CallLost(f"the call took more than {self.place.timeout} s, and its worker was stopped")
        if isinstance(error, ActorDiedError) and error.__cause__ is not None:
            # What its constructor raised, as another worker's would.
            return getattr(error.__cause__, "cause", error.__cause__)
        if isinstance(error, ActorDiedError | ActorUnavailableError):
            return CallLost(str(error))
        return error

    def _take(self) -> _Actor:
        """A worker that nobody else has."""
        with self._lock:
            client = process.client()
            if client is not self._client:
                # The runtime that the others were of has ended, and they with it.
                self._client, self._idle, self._count = client, queue.SimpleQueue(), 0
            self._calls += 1
            for _ in range(self.place.size - self._count):
                self._start()
            idle = self._idle
        return idle.get()

    def _start(self) -> None:
        given = {"fail_if_unschedulable": True, **self.place.options}
        handle = sheaf.remote(ExpressionWorker).options(**given).remote(self._function)
        self._count += 1
        self._idle.put(_Actor(handle, handle.ready.remote()))

    def _give_back(self, actor: _Actor) -> None:
        with self._lock:
            self._idle.put(actor)
            self._over()

    def _lose(self, actor: _Actor) -> None:
        """End a worker; another takes its place for those who wait."""
        with contextlib.suppress(Exception), process.starting_none():
            sheaf.kill(actor.handle)
        with self._lock:
            self._count -= 1
            if process._client is self._client and self._calls > 1:
                self._start()
            self._over()

    def _over(self) -> None:
        self._calls -= 1
        if self._calls == 0:
            timer = threading.Timer(IDLE_SECONDS, self._end_idle)
            timer.daemon = True
            timer.start()

    def _end_idle(self) -> None:
        with self._lock:
            if self._calls:
                return
            while not self._idle.empty():
                actor = self._idle.get()
                self._count -= 1
                if process._client is self._client:
                    with contextlib.suppress(Exception):
                        sheaf.kill(actor.handle)
