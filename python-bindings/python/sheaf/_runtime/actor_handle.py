"""Handles of actors: what calls their methods, here and wherever the handle is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from sheaf._runtime import arguments, context, marks, options, process, serialization, streams
from sheaf._runtime.arguments import Signature
from sheaf._runtime.context import Terms
from sheaf._runtime.remote_function import no_graphs, returned
from sheaf._sheaf import CallOptions, ObjectRef
from sheaf.exceptions import PendingCallsLimitExceeded


def _ready(instance: Any) -> bool:
    return True


def _call(instance: Any, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(instance, *args, **kwargs)


def _terminate(instance: Any) -> None:
    marks.flush()
    process.client().exit_actor()


BUILT_IN: dict[str, Callable[..., Any]] = {
    "__ray_ready__": _ready,
    "__ray_call__": _call,
    "__ray_terminate__": _terminate,
}
"""Methods that every actor has under Ray's names; the worker calls them with the instance first."""


@dataclass(frozen=True, slots=True)
class Method:
    """What a handle knows of a method."""

    signature: Signature
    given: Mapping[str, Any] = field(default_factory=dict)
    """Options of ``@method``."""
    is_generator: bool = False


@dataclass(frozen=True, slots=True)
class Interface:
    """What a handle knows of its actor; it travels with it."""

    name: str
    methods: Mapping[str, Method]
    terms: Terms


class ActorHandle:
    """An actor, to whoever has this: ``handle.method.remote(...)`` calls it. The actor ends with its last handle."""

    def __init__(self, ref: ObjectRef, interface: Interface) -> None:
        self._ref = ref
        self._interface = interface
        self._prepared: dict[str, CallOptions] = {}
        # More calls than this are not under way; the node is asked when they may be too many.
        self._pending = 0

    def __getattr__(self, name: str) -> ActorMethod:
        # Without them in the instance yet, as in unpickling and copying, nothing is a method.
        interface = self.__dict__.get("_interface")
        if interface is None:
            raise AttributeError(name)
        method = interface.methods.get(name)
        if method is None:
            if name not in BUILT_IN:
                raise AttributeError(f"the actor {interface.name} has no method {name!r}")
            method = Method(Signature(BUILT_IN[name], name, skip_first=True))
        return ActorMethod(self, name, method, {})

    @property
    def _actor_id(self) -> str:
        return self._ref.hex()

    # Ray has an object here, of which programs want the text.
    _ray_actor_id = _actor_id

    def _check_pending(self, name: str) -> None:
        """Count one more call, or refuse it."""
        most = self._interface.terms.max_pending_calls
        if most < 1:
            return
        if self._pending >= most:
            self._pending = process.client().pending_calls(self._ref)
        if self._pending >= most:
            raise PendingCallsLimitExceeded(
                f"The task {name} could not be submitted to {self!r} because more than {most} tasks are queued on the "
                "actor. This limit can be adjusted with the option max_pending_calls."
            )
        self._pending += 1

    def __reduce__(self) -> Any:
        return ActorHandle, (self._ref, self._interface)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._interface.methods})

    def __repr__(self) -> str:
        return f"Actor({self._interface.name}, {self._actor_id})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorHandle) and self._ref == other._ref

    def __hash__(self) -> int:
        return hash(self._ref)


class ActorMethod:
    """A method of an actor: ``remote`` calls it."""

    __slots__ = ("_changed", "_handle", "_method", "_name")

    def __init__(self, handle: ActorHandle, name: str, method: Method, changed: Mapping[str, Any]) -> None:
        # Held, and not the other way round: a cycle would keep the actor until the garbage collector runs.
        self._handle = handle
        self._name = name
        self._method = method
        self._changed = changed

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Actor methods cannot be called directly. "
            f"Instead of running 'object.{self._name}()', try 'object.{self._name}.remote()'."
        )

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method. Calls of one caller run in their order, unless the actor is threaded or async.

        Returns at once: an ``ObjectRef``, a list of them for several returns, ``None`` for no return.
        """
        client = process.client()
        self._method.signature.check(args, kwargs)
        prepared = None if self._changed else self._handle._prepared.get(self._name)
        if prepared is None:
            prepared = self._call_options()
            if not self._changed:
                self._handle._prepared[self._name] = prepared
        self._handle._check_pending(self._name)
        packed, needs = arguments.pack(self._name, args, kwargs)
        ref, given = self._handle._ref, (packed.data, packed.buffers, packed.contained, needs)
        return returned(client.call(ref, prepared, self._name, *given), streamed=prepared.streams)

    def bind(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: graphs of calls that are made before they are run."""
        raise no_graphs(self._name)

    def options(self, **changed: Any) -> ActorMethod:
        """The same method with other options, such as ``num_returns``, for calls made through the result."""
        options.check(changed, options.METHOD, "methods of actors")
        return ActorMethod(self._handle, self._name, self._method, {**self._changed, **changed})

    def _call_options(self) -> CallOptions:
        interface = self._handle._interface
        every = {**self._method.given, **self._changed}
        given = {name: value for name, value in every.items() if value is not None}
        retry_exceptions = given.get("retry_exceptions", False)
        terms = replace(
            interface.terms,
            retry_exceptions=retry_exceptions if isinstance(retry_exceptions, bool) else tuple(retry_exceptions),
            group_of_call=checked_group(interface.name, interface.terms.groups, given.get("concurrency_group", "")),
            is_dynamic=given.get("num_returns") == options.DYNAMIC,
        )
        return CallOptions(
            given.get("name") or f"{interface.name}.{self._name}",
            resources={},
            **streams.returns(given, self._method.is_generator),
            max_retries=given.get("max_task_retries", interface.terms.max_task_retries),
            env=interface.terms.env,
            extra=terms.dumps(),
        )

    def __repr__(self) -> str:
        return f"ActorMethod({self._handle._interface.name}.{self._name})"


def checked_group(actor: str, groups: Mapping[str, int], name: str) -> str:
    """The name of a concurrency group, or ``ValueError`` where the actor has none of that name."""
    if name and name not in groups:
        known = ", ".join(sorted(groups)) or "none"
        raise ValueError(
            f"the actor {actor} has no concurrency group {name!r}; its groups: {known}\n"
            "  help: @remote(concurrency_groups={...}) on the class names them"
        )
    return name


def dump_interface(interface: Interface) -> bytes:
    """What the table of names keeps of an actor."""
    return serialization.dumps(interface).data


def look_up(name: str, namespace: str) -> ActorHandle | None:
    """A handle of the actor of this name, if there is one."""
    found = process.client().look_up(name, namespace)
    if found is None:
        return None
    ref, meta = found
    return ActorHandle(ref, serialization.load((0, meta, [])))


def kill(actor: ActorHandle, *, no_restart: bool = True) -> None:
    """End an actor now, whatever it does.

    Args:
        actor: Which one.
        no_restart: Whether it stays dead where ``max_restarts`` would start it again.

    >>> import sheaf
    >>> @sheaf.remote
    ... class Idle:
    ...     pass
    >>> idle = Idle.remote()
    >>> sheaf.kill(idle)
    """
    if not isinstance(actor, ActorHandle):
        raise ValueError(
            f"kill() is for handles of actors, and not for {type(actor).__name__}\n  help: tasks are ended by cancel()"
        )
    process.client().kill_actor(actor._ref, no_restart)


def get_actor(name: str, namespace: str | None = None) -> ActorHandle:
    """A handle of the actor of this name. Raises ``ValueError`` where there is none.

    >>> import sheaf
    >>> @sheaf.remote
    ... class Greeter:
    ...     def greet(self):
    ...         return "hello"
    >>> greeter = Greeter.options(name="greeter").remote()
    >>> sheaf.get(sheaf.get_actor("greeter").greet.remote())
    'hello'
    """
    if not name:
        raise ValueError("get_actor() needs a name that is not empty")
    where = process.namespace() if namespace is None else namespace
    handle = look_up(name, where)
    if handle is None:
        raise ValueError(
            f"Failed to look up actor with name '{name}': there is none in the namespace {where!r}\n"
            "  help: it may have died, have another namespace, or be gone with its last handle"
        )
    return handle


def exit_actor() -> None:
    """End the actor that runs here, for good; its caller gets ``ActorDiedError``.

    >>> import sheaf
    >>> @sheaf.remote
    ... class Once:
    ...     def leave(self):
    ...         sheaf.exit_actor()
    >>> once = Once.remote()
    >>> try:
    ...     sheaf.get(once.leave.remote())
    ... except sheaf.exceptions.ActorDiedError:
    ...     print("it left")
    it left
    """
    if context.actor() is None:
        raise TypeError("exit_actor() is for methods of actors; no actor runs in this process")
    marks.flush()
    process.client().exit_actor()
