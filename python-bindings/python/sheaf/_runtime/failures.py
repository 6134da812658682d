"""Failures on their way to ``get``: what user code raised, as bytes and back, and what the runtime reports."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sheaf._runtime.causes import sendable
from sheaf.errors import CancelledError
from sheaf.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    ActorUnschedulableError,
    GetTimeoutError,
    ObjectLostError,
    ObjectStoreFullError,
    OutOfDiskError,
    RaySystemError,
    RuntimeEnvSetupError,
    SheafError,
    TaskCancelledError,
    TaskError,
    TaskPlacementGroupRemoved,
    TaskUnschedulableError,
    UnserializableException,
    WorkerCrashedError,
)

VALUE = 0
RAISED = 1
ENDED = 8
NOT_MADE = 12

_REPORTED: dict[int, type[SheafError]] = {
    2: WorkerCrashedError,
    3: ActorDiedError,
    4: TaskCancelledError,
    5: ObjectLostError,
    6: ObjectStoreFullError,
    7: OutOfDiskError,
    ENDED: CancelledError,
    9: RuntimeEnvSetupError,
    10: TaskUnschedulableError,
    11: ActorUnschedulableError,
    13: TaskPlacementGroupRemoved,
    14: ActorUnavailableError,
}

_OWN_FRAMES = str(Path(__file__).parent) + os.sep


def of(status: int, data: Any) -> Exception:
    """The exception for a value that is a failure."""
    if status == RAISED:
        return _raised(data)
    if status == NOT_MADE:
        return _not_made(of(*data[:2]))
    return _REPORTED.get(status, RaySystemError)(str(data))


class LateTaskError(TaskUnschedulableError, GetTimeoutError):
    """The time of a ``get`` is over, and no node could ever run the task."""


class LateActorError(ActorUnschedulableError, GetTimeoutError):
    """The time of a ``get`` is over, and no node could ever hold the actor."""


def late(text: str, lacks_a_node: bool | None) -> GetTimeoutError:
    """The exception for a value that is not there in time; ``lacks_a_node`` is of ``RuntimeClient.about``."""
    if lacks_a_node is None:
        return GetTimeoutError(text)
    return LateActorError(text) if lacks_a_node else LateTaskError(text)


def dump(
    error: BaseException, name: str, actor_id: str | None, in_constructor: bool, pickled: Callable[[Any], bytes]
) -> bytes:
    """What was raised in the call of this name: its traceback as text, and itself where it can be pickled."""
    text = _traceback_of(error)
    # A task that fails for an argument that failed tells of the first cause, and of its own frames.
    cause = error.cause if isinstance(error, TaskError) else error
    try:
        body = pickled(sendable(cause))
        pickle.loads(body)
    except Exception as reason:
        body = pickle.dumps(UnserializableException(f"{_name_of(cause)} cannot be pickled ({reason}):\n{text}"))
    return pickle.dumps((name, text, os.getpid(), actor_id, in_constructor, body))


def _raised(data: Any) -> Exception:
    name, text, pid, actor_id, in_constructor, body = pickle.loads(data)
    try:
        cause = pickle.loads(body)
    except Exception as reason:
        cause = UnserializableException(f"the exception cannot be read here ({_name_of(reason)}: {reason}):\n{text}")
    error = TaskError(name, text, cause, pid, actor_id)
    if not in_constructor:
        return error.as_instanceof_cause()
    died = ActorDiedError(f"the constructor of the actor raised: {error}", actor_id, True)
    died.__cause__ = error
    return died


def _not_made(cause: Exception) -> ActorDiedError:
    died = ActorDiedError(f"the actor was never made, for an argument of its constructor failed: {cause}", None, True)
    died.__cause__ = cause
    return died


def _traceback_of(error: BaseException) -> str:
    """The traceback without the frames of the runtime itself."""
    told = traceback.TracebackException.from_exception(error)
    part: traceback.TracebackException | None = told
    while part is not None:
        part.stack[:] = [frame for frame in part.stack if not frame.filename.startswith(_OWN_FRAMES)]
        part = part.__cause__ or part.__context__
    return "".join(told.format())


def _name_of(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"
