"""Who runs here: the task or method of this thread, its job and its actor, as ``get_runtime_context`` tells them."""

from __future__ import annotations

import contextlib
import functools
import pickle
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sheaf._runtime.actor_handle import ActorHandle
    from sheaf._runtime.durable.place import Place
    from sheaf._sheaf import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What goes with every call besides its arguments; ``CallOptions.extra`` on the wire."""

    job_id: str
    namespace: str
    env: str = ""
    """The ``CallOptions.env`` of the call, which the calls that it makes inherit."""
    resources: dict[str, float] = field(default_factory=dict)
    """What the call or actor holds while it runs."""
    retry_exceptions: bool | tuple[type[BaseException], ...] = False
    is_async: bool = False
    """Of actors: whether its methods run on an event loop."""
    actor_name: str = ""
    durable: Place | None = None
    """Of the call that makes a durable actor: where it is saved."""
    max_task_retries: int = 0
    max_concurrency: int = 1
    """Of actors: how many of their calls run at once that are in no concurrency group."""
    groups: Mapping[str, int] = field(default_factory=dict)
    """Of actors: their concurrency groups, and how many calls of each run at once."""
    group_of_call: str = ""
    """Of those: in which group the method runs; empty for none of them."""
    is_dynamic: bool = False
    """Whether the one result of the call is the list of what it yields."""
    max_pending_calls: int = -1
    """Of actors: calls of one process that may be under way; none is too many below 1."""
    root: tuple[str, int] | None = None
    """The driver behind the call, by node and number there; none where that is a detached actor."""
    group: str = ""
    """The placement group in which the call or actor runs; empty for none."""
    captures: bool = False
    """Whether the calls that it makes run there too."""

    def dumps(self) -> bytes:
        """The terms as bytes."""
        from sheaf._runtime import serialization

        return serialization.dumps(self).data

    def wants_retry(self, error: BaseException) -> bool:
        """Whether an error of user code is a reason to run the call again."""
        if isinstance(self.retry_exceptions, bool):
            return self.retry_exceptions
        return isinstance(error, self.retry_exceptions)


@functools.lru_cache(maxsize=256)
def terms_of(extra: bytes) -> Terms:
    """The terms that a call came with."""
    terms: Terms = pickle.loads(extra)
    return terms


@dataclass(slots=True)
class Running:
    """A call that runs now."""

    call: Call
    terms: Terms
    maker: Running | None = None
    """What made the actor whose method this is, where actors have no process of their own."""
    cls: type | None = None
    """The class of that actor."""

    @property
    def actor_id(self) -> str | None:
        """The actor whose method or constructor this is, in hexadecimal."""
        return None if self.call.actor_id is None else self.call.actor_id.hex()


_running: ContextVar[Running | None] = ContextVar("sheaf_running", default=None)

# In the process of an actor: what made it. Threads of the user's own, which no call of ours began, find it here.
_made_by: Running | None = None

_class: type | None = None

# The terms of what this process ran last, for threads that outlive it.
_latest: Terms | None = None


@contextlib.contextmanager
def running(call: Call) -> Iterator[Running]:
    """Let this thread or asyncio task be the one that runs the call. The worker's loop wraps every call in it."""
    global _latest
    now = Running(call, terms_of(call.extra))
    _latest = now.terms
    with running_as(now):
        yield now


@contextlib.contextmanager
def running_as(now: Running) -> Iterator[None]:
    """Let this thread or asyncio task be the one that runs this."""
    token = _running.set(now)
    try:
        yield
    finally:
        _running.reset(token)


def become_actor(call: Call) -> None:
    """Note the call that makes the actor of this process, before it runs."""
    global _made_by
    _made_by = Running(call, terms_of(call.extra))


def note_class(cls: type) -> None:
    """Note of which class the actor of this process is."""
    global _class
    _class = cls


def current() -> Running | None:
    """The call that runs here; none in a driver."""
    return _running.get() or _made_by


def terms() -> Terms | None:
    """The terms of the call that runs here, or ran last in this process; none in a driver."""
    now = current()
    return _latest if now is None else now.terms


def actor() -> Running | None:
    """What made the actor that runs here; none where there is no actor."""
    now = _running.get()
    return now.maker if now is not None and now.maker is not None else _made_by


class RuntimeContext:
    """Where this code runs, under Ray's names: ids are in hexadecimal, ``None`` where there is nothing to name."""

    def get_job_id(self) -> str:
        """The job: one for each ``init`` of a driver."""
        from sheaf._runtime import process

        return process.job_id()

    def get_node_id(self) -> str:
        """The node of this process."""
        from sheaf._runtime import process

        return process.client().node_id

    @property
    def gcs_address(self) -> str:
        """Host and port of the head; ``""`` where nobody reaches it from outside of its process."""
        from sheaf._runtime import process

        return process.place() or ""

    def get_worker_id(self) -> str:
        """This process, among those of its node."""
        from sheaf._runtime import process

        return f"{process.client().client_id:08x}"

    def get_task_id(self) -> str | None:
        """The task that runs here; ``None`` in a driver."""
        now = current()
        return None if now is None else now.call.task_id

    def get_task_name(self) -> str | None:
        """The name of the task that runs here; ``None`` in a driver."""
        now = current()
        return None if now is None else now.call.name

    def get_task_function_name(self) -> str | None:
        """The function or method that runs here; ``None`` in a driver."""
        now = current()
        return None if now is None else now.call.method or now.call.name

    def get_attempt_number(self) -> int:
        """How often the running task was tried before."""
        now = current()
        return 0 if now is None else now.call.attempt - 1

    def get_actor_id(self) -> str | None:
        """The actor that this process is; ``None`` in tasks and drivers."""
        maker = actor()
        return None if maker is None else maker.actor_id

    def get_actor_name(self) -> str | None:
        """The actor's name, empty for one without; ``None`` in tasks and drivers."""
        maker = actor()
        return None if maker is None else maker.terms.actor_name

    @property
    def current_actor(self) -> ActorHandle:
        """A handle of the actor that this process is."""
        maker, now = actor(), _running.get()
        cls = _class if now is None or now.cls is None else now.cls
        if maker is None or maker.call.actor_id is None or cls is None:
            raise RuntimeError("This method is only available in an actor.")
        from sheaf._runtime import actor_class

        return actor_class.handle_of(maker.call.actor_id, cls, maker.terms)

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Whether the actor that this process is has died before and was started again."""
        maker = actor()
        if maker is None:
            raise RuntimeError("was_current_actor_reconstructed is for actors; no actor runs in this process")
        return maker.call.attempt > 1

    @property
    def namespace(self) -> str:
        """The namespace in which ``get_actor`` looks and new names go."""
        from sheaf._runtime import process

        return process.namespace()

    @property
    def runtime_env(self) -> dict[str, Any]:
        """The environment that calls made here inherit."""
        import json

        from sheaf._runtime import process

        return dict(json.loads(process.env() or "{}"))

    def get_runtime_env_string(self) -> str:
        """``runtime_env`` as JSON."""
        from sheaf._runtime import process

        return process.env() or "{}"

    def get_assigned_resources(self) -> dict[str, float]:
        """What the running task or actor holds."""
        now = actor() or current()
        return {} if now is None else dict(now.terms.resources)

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        """The accelerators given to the running task or actor, by kind."""
        return {"GPU": [str(each) for each in get_gpu_ids()]}

    def get_node_labels(self) -> dict[str, str]:
        """The labels of the node of this process."""
        from sheaf._runtime import process

        own = self.get_node_id()
        return next((dict(labels) for node, _, _, _, labels in process.client().nodes() if node == own), {})

    def get_placement_group_id(self) -> str | None:
        """The placement group in which the running task or actor is; ``None`` for none."""
        now = actor() or current()
        return None if now is None else now.terms.group or None

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        """Whether the calls that are made here run in that group too."""
        now = actor() or current()
        return now is not None and now.terms.captures

    def is_canceled(self) -> bool:
        """Whether somebody cancelled the running task: a method in a thread looks here and ends by itself."""
        now = current()
        if now is None:
            raise RuntimeError("is_canceled is for tasks and methods; this is a driver")
        return now.call.is_cancelled()

    def get(self) -> dict[str, Any]:
        """The ids of job, node, task and actor that there are."""
        ids = {
            "job_id": self.get_job_id(),
            "node_id": self.get_node_id(),
            "task_id": self.get_task_id(),
            "actor_id": self.get_actor_id(),
            "namespace": self.namespace,
        }
        return {key: value for key, value in ids.items() if value is not None}


def get_runtime_context() -> RuntimeContext:
    """Where this code runs: ids of job, node, task and actor, resources and accelerators.

    >>> import sheaf
    >>> @sheaf.remote
    ... def resources():
    ...     return sheaf.get_runtime_context().get_assigned_resources()
    >>> sheaf.get(resources.remote())
    {'CPU': 1.0}
    """
    return RuntimeContext()


def get_gpu_ids() -> list[int]:
    """The GPUs that the running task or actor may use; those of ``CUDA_VISIBLE_DEVICES`` in a driver.

    >>> import sheaf
    >>> @sheaf.remote(num_gpus=0)
    ... def gpus():
    ...     return sheaf.get_gpu_ids()
    >>> sheaf.get(gpus.remote())
    []
    """
    import os

    now = actor() or current()
    if now is not None:
        return list(now.call.gpu_ids)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return [int(each) for each in visible.split(",") if each.strip().isdigit()]
