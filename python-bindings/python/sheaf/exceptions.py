"""What goes wrong with tasks, actors and objects: Ray's names, each also a ``SheafError``.

>>> from sheaf.exceptions import GetTimeoutError
>>> issubclass(GetTimeoutError, TimeoutError)
True
"""

from __future__ import annotations

import contextlib
import functools
from typing import Any

from sheaf._runtime.causes import builtin_of, made_of, sendable
from sheaf.errors import CancelledError, DiskFullError, MemoryLimitError, SheafError

__all__ = [
    "ActorAlreadyExistsError",
    "ActorDiedError",
    "ActorError",
    "ActorHandleNotFoundError",
    "ActorPlacementGroupRemoved",
    "ActorUnavailableError",
    "ActorUnschedulableError",
    "AsyncioActorExit",
    "AuthenticationError",
    "CrossLanguageError",
    "DurableError",
    "DurableFencedError",
    "GetTimeoutError",
    "LocalNodeDiedError",
    "LocalRayletDiedError",
    "NodeDiedError",
    "ObjectFetchTimedOutError",
    "ObjectFreedError",
    "ObjectLostError",
    "ObjectReconstructionFailedError",
    "ObjectRefStreamEndOfStreamError",
    "ObjectStoreFullError",
    "OutOfDiskError",
    "OutOfMemoryError",
    "OwnerDiedError",
    "PendingCallsLimitExceeded",
    "PlasmaObjectNotAvailable",
    "RayActorError",
    "RayError",
    "RaySystemError",
    "RayTaskError",
    "ReferenceCountingAssertionError",
    "RpcError",
    "RuntimeEnvSetupError",
    "SheafError",
    "StreamingGeneratorReplayInconsistentError",
    "TaskCancelledError",
    "TaskError",
    "TaskPlacementGroupRemoved",
    "TaskUnschedulableError",
    "UnserializableException",
    "UserCodeException",
    "WorkerCrashedError",
]

_HEADER = "Traceback (most recent call last):"


class TaskError(SheafError):
    """A task or method raised: what ``get`` raises is this and also of the type that was raised.

    ``cause`` is the exception itself; the text has the traceback of the worker.

    >>> from sheaf.exceptions import TaskError
    >>> error = TaskError("halve", "ValueError: odd", ValueError("odd")).as_instanceof_cause()
    >>> isinstance(error, TaskError), isinstance(error, ValueError), error.cause
    (True, True, ValueError('odd'))
    """

    def __init__(
        self,
        function_name: str,
        traceback_str: str,
        cause: BaseException,
        pid: int | None = None,
        actor_id: str | None = None,
    ) -> None:
        super().__init__(function_name, traceback_str, cause, pid, actor_id)
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.cause = cause
        self.pid = pid
        self.actor_id = actor_id

    def as_instanceof_cause(self) -> TaskError:
        """This error as one that an ``except`` for the cause's type catches; itself where that type forbids it."""
        kind = type(self.cause)
        if issubclass(TaskError, kind) or issubclass(kind, SystemExit | KeyboardInterrupt):
            # Nothing to add; or what would end the driver.
            return self
        try:
            return _both(kind)(self)  # type: ignore[arg-type,call-arg]
        except Exception:
            # A type that forbids subclasses, or whose instances only an extension can make.
            return self

    def __reduce__(self) -> Any:
        return type(self), (self.function_name, self.traceback_str, sendable(self.cause), self.pid, self.actor_id)

    def __str__(self) -> str:
        where = f"{self.function_name}()" + (f" (pid={self.pid})" if self.pid else "")
        return f"{where}\n{self.traceback_str.removeprefix(_HEADER).strip(chr(10))}"


@functools.lru_cache(maxsize=64)
def _both(kind: type[BaseException]) -> type[TaskError]:
    """A class that is both ``TaskError`` and ``kind``; it is made without the constructor of ``kind``."""
    builtin = builtin_of(kind)
    if builtin is MemoryError:
        # What makes it is for no subclass of another class, and adds nothing.
        builtin = Exception

    class Both(TaskError, kind):  # type: ignore[valid-type,misc]
        def __new__(cls, error: TaskError) -> Any:
            return builtin.__new__(cls, *made_of(error.cause))

        def __init__(self, error: TaskError) -> None:
            with contextlib.suppress(TypeError, ValueError):
                builtin.__init__(self, *made_of(error.cause))
            # Set past properties and slots of the cause's type, which may be read-only.
            self.__dict__.update(vars(error.cause) | vars(error), error=error)

        @property
        def args(self) -> Any:  # type: ignore[override]
            return (self.cause,)

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return getattr(vars(self)["cause"], name)

        def __reduce__(self) -> Any:
            return TaskError.as_instanceof_cause, (self.error,)

        def __str__(self) -> str:
            return str(self.error)

    Both.__name__ = Both.__qualname__ = f"TaskError({kind.__name__})"
    Both.__module__ = TaskError.__module__
    return Both


class TaskCancelledError(CancelledError):
    """The task was cancelled before its end."""


class GetTimeoutError(SheafError, TimeoutError):
    """The value was not there in time; the task goes on."""


class TaskUnschedulableError(SheafError):
    """No node that is there can ever run the task: the text names what is missing.

    A task that may run on one node alone, which is not there, ends with it. Any other waits, for a node may come: then
    only a ``get`` raises it whose time is over, as an error that is a ``GetTimeoutError`` too.
    """


class ActorUnschedulableError(SheafError):
    """No node that is there can ever hold the actor: as ``TaskUnschedulableError``."""


class RuntimeEnvSetupError(SheafError):
    """The environment that a task or actor asked for could not be set up."""

    @property
    def error_message(self) -> str:
        """Why, under Ray's name."""
        return str(self)


class RaySystemError(SheafError):
    """The runtime itself failed."""


class WorkerCrashedError(SheafError):
    """The worker died under the task: the text has its exit code or signal and the last lines of its log."""


class NodeDiedError(SheafError):
    """The node that ran the task died or cannot be reached."""


class LocalNodeDiedError(NodeDiedError):
    """The node of this very process died."""


class OutOfMemoryError(MemoryLimitError):
    """The node had too little memory left and ended the worker."""


class ActorError(SheafError):
    """An actor could not run a call.

    Args:
        error_msg: What happened.
        actor_id: Which actor, in hexadecimal.
        actor_init_failed: Whether its constructor raised.
    """

    def __init__(
        self, error_msg: str = "the actor failed", actor_id: str | None = None, actor_init_failed: bool = False
    ) -> None:
        super().__init__(error_msg, actor_id, actor_init_failed)
        self.error_msg = error_msg
        self.actor_id = actor_id
        self.actor_init_failed = actor_init_failed


class ActorDiedError(ActorError):
    """The actor is dead and does not come back: the text says why. ``__cause__`` is what its constructor raised."""


class ActorUnavailableError(ActorError):
    """The actor cannot be reached now and may come back; the call may or may not have run."""


class ActorAlreadyExistsError(SheafError, ValueError):
    """An actor of this name lives in the namespace already."""


class DurableError(SheafError):
    """The state of a durable actor cannot be saved or read: the text says of what, why, and what became of the call."""


class DurableFencedError(DurableError):
    """The durable actor goes on elsewhere, under a newer life of it, and this one is over."""


class ActorHandleNotFoundError(SheafError, ValueError):
    """A handle of an actor of an earlier session, or of one that is gone."""


class AsyncioActorExit(SheafError):
    """Ends an async actor from within; ``exit_actor`` is what raises it."""


class ObjectLostError(SheafError):
    """No copy of the object is left and it cannot be made again: the text says why."""


class ObjectFetchTimedOutError(ObjectLostError):
    """No copy of the object could be found in time."""


class ObjectFreedError(ObjectLostError):
    """The object was freed by hand."""


class ObjectReconstructionFailedError(ObjectLostError):
    """The task that makes the object could not be run again."""


class OwnerDiedError(ObjectLostError):
    """The process that made the reference is gone, and the object with it."""


class ReferenceCountingAssertionError(ObjectLostError, AssertionError):
    """An object was freed while there was a reference to it: a defect; please report it."""


class ObjectStoreFullError(MemoryLimitError):
    """The object store is full of objects in use: the text names the largest."""


class OutOfDiskError(DiskFullError):
    """The object store is full and so is the disk that it spills to."""


class PendingCallsLimitExceeded(SheafError):
    """An actor has more calls waiting than its ``max_pending_calls``."""


class TaskPlacementGroupRemoved(SheafError):
    """The placement group of the task was removed."""


class ActorPlacementGroupRemoved(ActorError):
    """The placement group of the actor was removed."""


class ObjectRefStreamEndOfStreamError(SheafError):
    """The generator has no more objects."""


class StreamingGeneratorReplayInconsistentError(RaySystemError):
    """A generator that ran again made another number of objects."""


class UserCodeException(SheafError):
    """Wraps what user code raised."""


class UnserializableException(SheafError):
    """An exception of a task that cannot be sent or read: the text has its traceback."""


class CrossLanguageError(SheafError):
    """An exception of another language."""


class RpcError(RaySystemError):
    """A message between the parts of the runtime failed."""


class AuthenticationError(SheafError):
    """The cluster refused this process."""


class PlasmaObjectNotAvailable(SheafError):
    """The object is not in the object store."""


# Ray's names for the same.
RayError = SheafError
RayTaskError = TaskError
RayActorError = ActorError
LocalRayletDiedError = LocalNodeDiedError
