"""The functions of the module for tasks, actors and objects, under Ray's names and with Ray's checks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from sheaf._runtime import failures, process, serialization
from sheaf._runtime.actor_class import ActorClass, method
from sheaf._runtime.actor_handle import exit_actor, get_actor, kill
from sheaf._runtime.context import get_gpu_ids, get_runtime_context
from sheaf._runtime.durable.place import Durable
from sheaf._runtime.nodes import available_resources, cluster_resources, nodes, request_resources
from sheaf._runtime.process import is_initialized, shutdown
from sheaf._runtime.remote_function import RemoteFunction
from sheaf._runtime.start import init
from sheaf._runtime.streams import DynamicObjectRefGenerator, ObjectRefGenerator
from sheaf._sheaf import ObjectRef

__all__ = [
    "Durable",
    "DynamicObjectRefGenerator",
    "ObjectRef",
    "ObjectRefGenerator",
    "available_resources",
    "cancel",
    "cluster_resources",
    "exit_actor",
    "explain",
    "get",
    "get_actor",
    "get_gpu_ids",
    "get_runtime_context",
    "init",
    "is_initialized",
    "kill",
    "method",
    "nodes",
    "put",
    "remote",
    "request_resources",
    "shutdown",
    "wait",
]


Awaited = TypeVar("Awaited", ObjectRef, ObjectRefGenerator, ObjectRef | ObjectRefGenerator)

# Objects that are late of which is asked whether a node could ever make them.
_EXPLAINED = 100


@overload
def remote(function_or_class: type, /) -> ActorClass: ...  # type: ignore[overload-overlap]
@overload
def remote(function_or_class: Callable[..., Any], /) -> RemoteFunction: ...
@overload
def remote(**options: Any) -> Callable[[Any], Any]: ...
def remote(*given: Any, **options: Any) -> Any:
    """Let the calls of a function be tasks, or the instances of a class be actors.

    Args:
        given: The function or class, where the decorator has no arguments.
        options: ``num_cpus``, ``num_gpus``, ``memory``, ``resources``, ``runtime_env``, ``scheduling_strategy``,
            ``name``; of functions ``num_returns``, ``max_retries``, ``retry_exceptions``, ``max_calls``; of classes
            ``max_restarts``, ``max_task_retries``, ``max_concurrency``, ``lifetime``, ``namespace``, ``get_if_exists``,
            ``durable``. Sheaf's own is ``fail_if_unschedulable``: what no node could ever run fails with
            ``TaskUnschedulableError`` or ``ActorUnschedulableError``, and does not wait for such a node.

    >>> import sheaf
    >>> @sheaf.remote(num_cpus=1)
    ... def add(a, b):
    ...     return a + b
    >>> sheaf.get(add.remote(1, add.remote(2, 3)))
    6
    """
    if len(given) == 1 and not options and callable(given[0]):
        return _made_remote(given[0], {})
    if given or not options:
        raise TypeError("remote is used as @remote, as @remote(num_cpus=1) with options by name, or as remote(f)")
    return lambda function_or_class: _made_remote(function_or_class, options)


def _made_remote(what: Any, options: dict[str, Any]) -> RemoteFunction | ActorClass:
    if isinstance(what, RemoteFunction | ActorClass):
        raise TypeError(f"{what!r} is remote already\n  help: change its options with .options()")
    if inspect.isclass(what):
        return ActorClass(what, options)
    if callable(what):
        return RemoteFunction(what, options)
    raise TypeError(f"remote is for functions and classes, and not for {type(what).__name__}")


@overload
def get(object_refs: ObjectRef, *, timeout: float | None = None) -> Any: ...
@overload
def get(object_refs: Sequence[ObjectRef], *, timeout: float | None = None) -> list[Any]: ...
def get(object_refs: Any, *, timeout: float | None = None) -> Any:
    """The value of a reference, or the list of those of a list; waits until they are there.

    Args:
        object_refs: A reference or a list of them.
        timeout: Seconds after which ``GetTimeoutError`` is raised, which is a ``TaskUnschedulableError`` too where no
            node could ever run the task; 0 does not wait at all, and less than 0 is as ``None``. What another node owns
            it is asked for the reason, and may add three seconds where it does not answer.

    Raises what the task raised, as a ``TaskError`` that is also of the type raised.

    >>> import sheaf
    >>> sheaf.get([sheaf.put(1), sheaf.put("two")])
    [1, 'two']
    """
    if isinstance(object_refs, ObjectRef):
        return _values([object_refs], timeout)[0]
    if isinstance(object_refs, ObjectRefGenerator):
        # As Ray: it has no value, and may be where a program expects one.
        return object_refs
    if not isinstance(object_refs, list):
        raise TypeError(f"get() takes an ObjectRef or a list of them, and not a {type(object_refs).__name__}")
    _check_refs("get", object_refs)
    return _values(object_refs, timeout) if object_refs else []


def _values(refs: list[ObjectRef], timeout: float | None) -> list[Any]:
    if timeout is not None and timeout < 0:
        # As Ray.
        timeout = None
    client = process.client()
    values = client.get(refs, timeout)
    process.hold_at_exit()
    if values is None:
        ready = client.wait(refs, len(refs), 0, True)
        late = [ref for ref, is_ready in zip(refs, ready, strict=True) if not is_ready] or refs[:1]
        text = f"{len(late)} of {len(refs)} objects were not there after {timeout} s; "
        told = client.about(late[:_EXPLAINED])
        lacking = [at for at, (_, _, lacks_a_node) in enumerate(told) if lacks_a_node is not None]
        at = lacking[0] if lacking else 0
        raise failures.late(f"{text}{late[at]!r}: {told[at][0]}", told[at][2])
    return [serialization.load(value) for value in values]


def put(value: Any) -> ObjectRef:
    """Store a value once, to be passed to many tasks.

    >>> import sheaf
    >>> sheaf.get(sheaf.put({"a": 1}))
    {'a': 1}
    """
    if isinstance(value, ObjectRef):
        raise TypeError(
            "put() of an ObjectRef is not allowed: it is stored\n  help: put it in a list where it has to be"
        )
    packed = serialization.dumps(value)
    return process.client().put(packed.data, packed.buffers, packed.contained)


def wait(
    object_refs: list[Awaited], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[Awaited], list[Awaited]]:
    """Wait until so many of the objects are there: those that are, at most so many, and the others.

    Args:
        object_refs: References, and generators, of which the next reference is waited for; each at most once.
        num_returns: How many to wait for.
        timeout: Seconds after which it returns with fewer.
        fetch_local: Whether an object has to be on this node to count as there, and is brought.

    >>> import sheaf
    >>> ready, others = sheaf.wait([sheaf.put(1), sheaf.put(2)], num_returns=1)
    >>> len(ready), len(others)
    (1, 1)
    """
    if not isinstance(object_refs, list):
        raise TypeError(f"wait() takes a list of ObjectRefs, and not a {type(object_refs).__name__}")
    if timeout is not None and timeout < 0:
        raise ValueError(f"timeout is {timeout}, and cannot be negative")
    firsts = [each.completed() if isinstance(each, ObjectRefGenerator) else each for each in object_refs]
    _check_refs("wait", firsts)
    if not firsts:
        return [], []
    if len(object_refs) != len(set(object_refs)):
        raise ValueError("wait() takes each ObjectRef once; the list has one twice")
    if not 0 < num_returns <= len(object_refs):
        raise ValueError(
            f"num_returns is {num_returns}, and has to be from 1 to {len(object_refs)}, the number of refs"
        )
    streams = [at for at, each in enumerate(object_refs) if isinstance(each, ObjectRefGenerator)]
    is_ready = process.client().wait(firsts, num_returns, timeout, fetch_local, streams)
    ready: list[Awaited] = []
    others: list[Awaited] = []
    for ref, there in zip(object_refs, is_ready, strict=True):
        (ready if there and len(ready) < num_returns else others).append(ref)
    return ready, others


def cancel(object_ref: ObjectRef | ObjectRefGenerator, *, force: bool = False, recursive: bool = True) -> None:
    """Stop the task that makes this object, where it has not ended; its ``get`` raises ``TaskCancelledError``.

    Args:
        object_ref: What the task was to make.
        force: Whether the worker is killed, and not only interrupted: ``ValueError`` for a call of an actor.
        recursive: Whether the tasks that it started are cancelled too.

    >>> import sheaf, time
    >>> @sheaf.remote
    ... def sleep():
    ...     time.sleep(60)
    >>> sleeping = sleep.remote()
    >>> sheaf.cancel(sleeping)
    >>> try:
    ...     sheaf.get(sleeping)
    ... except sheaf.exceptions.TaskCancelledError:
    ...     print("cancelled")
    cancelled
    """
    if isinstance(object_ref, ObjectRefGenerator):
        object_ref = object_ref.completed()
    if not isinstance(object_ref, ObjectRef):
        raise TypeError(
            f"cancel() is for an ObjectRef, and not for {type(object_ref).__name__}\n  help: actors are ended by kill()"
        )
    client = process.client()
    if force and client.about([object_ref])[0][1]:
        raise ValueError("force=True is not supported for actor tasks\n  help: kill() ends the actor itself")
    client.cancel(object_ref, force, recursive)


def explain(object_ref: ObjectRef | ObjectRefGenerator) -> str:
    """Why an object is not there yet: what its task waits for, or which node has what it asks for.

    Args:
        object_ref: A reference, wherever it was made: what another node knows is asked there, for a few seconds at the
            most. Of a generator its task is explained.

    >>> import sheaf
    >>> isinstance(sheaf.explain(sheaf.put(1)), str)
    True
    """
    if isinstance(object_ref, ObjectRefGenerator):
        object_ref = object_ref.completed()
    _check_refs("explain", [object_ref])
    return process.client().about([object_ref])[0][0]


def _check_refs(name: str, refs: list[Any]) -> None:
    for ref in refs:
        if not isinstance(ref, ObjectRef):
            raise TypeError(f"{name}() was given a {type(ref).__name__}, which is not an ObjectRef: {ref!r:.100}")
