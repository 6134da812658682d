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
    ObjectLostError,
    ObjectStoreFullError,
    OutOfDiskError,
    RaySystemError,
    RuntimeEnvSetupError,
    SheafError,
    TaskCancelledError,
    TaskError,
    TaskPlacementGroupRemoved,
    UnserializableException,
    WorkerCrashedError,
)

VALUE = 0
RAISED = 1

_REPORTED: dict[int, type[SheafError]] = {
    2: WorkerCrashedError,
    3: ActorDiedError,
    4: TaskCancelledError,
    5: ObjectLostError,
    6: ObjectStoreFullError,
    7: OutOfDiskError,
    8: CancelledError,
    9: RuntimeEnvSetupError,
    10: TaskPlacementGroupRemoved,
}

_OWN_FRAMES = str(Path(__file__).parent) + os.sep


def of(status: int, data: Any) -> Exception:
    """The exception for a value that is a failure."""
    if status == RAISED:
        return _raised(data)
    return _REPORTED.get(status, RaySystemError)(str(data))


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
