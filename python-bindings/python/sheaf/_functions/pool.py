"""The worker processes of one run, as the engine's pool wants them: it says which, and is told what becomes of them."""

from __future__ import annotations

import logging
import os
import pickle
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import sheaf
from sheaf._functions import worker
from sheaf._functions.spec import Spec
from sheaf._functions.worker import MADE, PUT, RAISED, Place
from sheaf._runtime import process, serialization
from sheaf.exceptions import ActorDiedError, ActorUnavailableError

_log = logging.getLogger("sheaf")

# How long a worker may take to write its stack.
_STACK_SECONDS = 1.0

_ENDED = "ended"


class Ear(Protocol):
    """Who is told what happens, from any thread."""

    def placed(self, worker: int, value: Any) -> None:
        """The answer of a worker's ``place``."""

    def answered(self, worker: int, call: int, value: Any) -> None:
        """The answer of a call."""


class Workers:
    """The actors, by the engine's numbers."""

    def __init__(self, spec: Spec, options: Mapping[str, Any], concurrency: int, ear: Ear) -> None:
        self._client = process.client()
        self._ear = ear
        self._name = spec.name
        kind = worker.AsyncWorker if spec.is_async else worker.Worker
        given = {"fail_if_unschedulable": True, **options}
        if spec.is_async:
            given["max_concurrency"] = concurrency
        self._class = sheaf.remote(kind).options(**given)
        self._spec = sheaf.put(spec)
        self._actors: dict[int, Any] = {}
        self._starting: dict[int, Any] = {}
        self._places: dict[int, Place] = {}

    @process.starting_none()
    def start(self, number: int) -> None:
        """Start a worker."""
        self._check()
        actor = self._actors[number] = self._class.remote(self._spec)
        ref = self._starting[number] = actor.place.remote()
        self._client.when_ready(ref, lambda value: self._ear.placed(number, value))

    def place_of(self, number: int, value: Any) -> tuple[int | None, BaseException | None, bool]:
        """Of a worker that was started: its process, if it is on this machine; or why it is not there, and whether its
        process has ended by itself.
        """
        self._starting.pop(number, None)
        try:
            place = Place(*serialization.load(value))
        except ActorDiedError as died:
            # What the constructor raised is told as the cause, and another worker would raise it too.
            cause = died.__cause__
            return None, getattr(cause, "cause", cause) or died, cause is None
        except Exception as error:
            return None, error, False
        self._places[number] = place
        return (place.pid if place.node_id == self._client.node_id else None), None, False

    @process.starting_none()
    def make(self, number: int, call: int, batch: Any) -> None:
        """Let a worker make a call."""
        self._check()
        ref = self._actors[number].call.remote(worker.packed(batch))
        # With its reference: what the answer refers to is there for as long as that.
        self._client.when_ready(ref, lambda value: self._ear.answered(number, call, (ref, value)))

    @process.starting_none()
    def outcome_of(self, answer: tuple[Any, Any]) -> tuple[str, Any]:
        """What a call ended with: what was made, what there is to tell of an exception, or why the worker ended."""
        _, value = answer
        try:
            kind, told = serialization.load(value)
        except (ActorDiedError, ActorUnavailableError) as died:
            return _ENDED, died
        except Exception as error:
            # Not of the function: what it made could not be sent, say.
            return RAISED, (False, type(error).__name__, str(error), str(error), error)
        if kind == RAISED:
            return RAISED, (*told[:-1], told[-1] and pickle.loads(told[-1]))
        return MADE, worker.tables_of(sheaf.get(told) if kind == PUT else told)

    @process.starting_none()
    def stop(self, number: int) -> None:
        """End a worker, whatever it does."""
        self._starting.pop(number, None)
        self._places.pop(number, None)
        actor = self._actors.pop(number, None)
        if actor is not None and not self._has_ended():
            try:
                sheaf.kill(actor)
            except RuntimeError:
                # It may have ended meanwhile.
                if not self._has_ended():
                    raise

    def close(self) -> None:
        """End all of them."""
        if not self._has_ended():
            for number in list(self._actors):
                self.stop(number)

    def _has_ended(self) -> bool:
        """Whether the runtime has, and with it all workers."""
        return process._client is not self._client

    def _check(self) -> None:
        """Raise where the runtime has ended: what comes next would start another one."""
        if self._has_ended():
            raise RuntimeError("the runtime that the workers were of has ended")

    def tell_unready(self, numbers: Sequence[int], ready: int) -> None:
        """Say why workers are not ready after some seconds."""
        refs = {number: self._starting[number] for number in numbers if number in self._starting}
        if not refs:
            return
        reasons = {about[0] for about in self._client.about(list(refs.values()))}
        _log.warning(
            "map_batches(%s): %d workers are ready, and %d more are not: %s",
            self._name,
            ready,
            len(refs),
            "; ".join(sorted(reasons)),
        )

    def tell_stall(self, running: Sequence[tuple[int, float]], waiting: int) -> None:
        """Say what workers do when no call has ended for long."""
        lines = [f"map_batches({self._name}): no batch has ended for long; {waiting} batches wait for a worker"]
        for number, seconds in running:
            place = self._places.get(number)
            where = f"worker {number}" + (f" (pid {place.pid})" if place else "")
            lines.append(f"{where} has had its batch for {seconds:.0f} s; its stack:\n{self._stack_of(place)}")
        _log.warning("\n".join(lines))

    def _stack_of(self, place: Place | None) -> str:
        if place is None or place.node_id != self._client.node_id:
            return "  (on another machine)"
        file = Path(f"/proc/{place.pid}/fd/{place.stack_fd}")
        try:
            before = len(file.read_bytes())
            os.kill(place.pid, worker.STACK_SIGNAL)
            deadline = time.monotonic() + _STACK_SECONDS
            while time.monotonic() < deadline and len(file.read_bytes()) == before:
                time.sleep(0.01)
            return file.read_bytes()[before:].decode(errors="replace")
        except OSError as error:
            return f"  (cannot be read: {error})"


class Opener:
    """Makes the workers of a run."""

    def __init__(self, spec: Spec, options: Mapping[str, Any], concurrency: int) -> None:
        self._spec = spec
        self._options = dict(options)
        self._concurrency = concurrency

    def __call__(self, _most: int, ear: Ear) -> Workers:
        return Workers(self._spec, self._options, self._concurrency, ear)
