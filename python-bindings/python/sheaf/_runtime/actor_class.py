"""``@remote`` on classes: each instance is an actor, a process of its own that runs its methods."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn, TypeVar

from sheaf._runtime import actor_handle, arguments, options, placement, process
from sheaf._runtime.actor_handle import ActorHandle, Interface, Method
from sheaf._runtime.arguments import Signature
from sheaf._runtime.context import Terms
from sheaf._runtime.definition import Definition
from sheaf._runtime.durable.place import Place as Kept
from sheaf._runtime.durable.place import place_of, warn_unless_shared
from sheaf._runtime.placement import Place
from sheaf._runtime.remote_function import no_graphs
from sheaf._sheaf import CallOptions
from sheaf.exceptions import ActorAlreadyExistsError

_WHAT = "actor classes"

# As Ray: calls that an async actor runs at once.
_ASYNC_CONCURRENCY = 1000

# Calls that wait in the process of an actor with concurrency groups.
_GROUPED_CONCURRENCY = 1000

_OPTIONS_OF_METHOD = "__sheaf_method__"

F = TypeVar("F", bound=Callable[..., Any])


def method(**given: Any) -> Callable[[F], F]:
    """Options of a method of an actor, such as ``num_returns``; of a durable actor also ``durable=False``, for a method
    that changes nothing, so that nothing need be saved.

    >>> import sheaf
    >>> @sheaf.remote
    ... class Pair:
    ...     @sheaf.method(num_returns=2)
    ...     def both(self):
    ...         return 1, 2
    >>> pair = Pair.remote()
    >>> sheaf.get(pair.both.remote())
    [1, 2]
    """
    if not given:
        raise ValueError("method() needs an option, such as num_returns")
    options.check(given, options.OWN_OF_METHOD, "methods of actors")

    def note(function: F) -> F:
        setattr(function, _OPTIONS_OF_METHOD, given)
        return function

    return note


def options_of_method(function: Callable[..., Any]) -> Mapping[str, Any]:
    """The options that ``method`` gave it."""
    given: Mapping[str, Any] = getattr(function, _OPTIONS_OF_METHOD, {})
    return given


class ActorClass:
    """A class whose instances are actors; ``remote`` of the module makes it.

    >>> import sheaf
    >>> @sheaf.remote
    ... class Counter:
    ...     def __init__(self, start):
    ...         self.count = start
    ...     def add(self, by=1):
    ...         self.count += by
    ...         return self.count
    >>> counter = Counter.remote(10)
    >>> sheaf.get([counter.add.remote(), counter.add.remote(5)])
    [11, 16]
    """

    def __init__(self, cls: type, given: Mapping[str, Any]) -> None:
        options.check(given, options.ACTOR, _WHAT)
        self._set(Definition(cls, cls.__name__), dict(given))
        functools.update_wrapper(self, cls, updated=())

    def _set(self, definition: Definition, given: dict[str, Any]) -> None:
        self._definition = definition
        self._given = given
        self._parts: tuple[Signature, dict[str, Method], bool] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self._definition.name
        raise TypeError(f"Actors cannot be instantiated directly. Instead of '{name}()', use '{name}.remote()'.")

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        raise TypeError(
            f"{self._definition.name} is an actor class, from which others cannot inherit\n"
            "  help: put remote() on the class that inherits, and leave the other one plain"
        )

    def options(self, **changed: Any) -> ActorClass:
        """The same class with other options for the actors that are made through the result."""
        options.check(changed, options.ACTOR, _WHAT)
        if "concurrency_groups" in changed:
            raise ValueError("concurrency_groups go with the class: give them to remote() and not to options()")
        same = ActorClass.__new__(ActorClass)
        same._set(self._definition, {**self._given, **changed})
        same._parts = self._parts
        functools.update_wrapper(same, self._definition.value, updated=())
        return same

    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle:
        """Start an actor. Returns its handle at once; what its constructor raises, the first call tells."""
        client = process.client()
        given = {name: value for name, value in self._given.items() if value is not None}
        name, namespace = given.get("name"), given.get("namespace") or process.namespace()
        if name == "":
            raise ValueError("the name of an actor cannot be empty")
        if given.get("get_if_exists"):
            if name is None:
                raise ValueError("get_if_exists needs the name of the actor")
            if (found := actor_handle.look_up(name, namespace)) is not None:
                return found
        signature, methods, is_async = self._described()
        signature.check(args, kwargs)
        groups = given.get("concurrency_groups", {})
        for method in methods.values():
            actor_handle.checked_group(self._definition.name, groups, method.given.get("concurrency_group") or "")
        kept = self._kept(given, namespace, is_async)
        if kept is not None:
            # As tasks: a call that kills its process every time ends.
            given = {"max_restarts": -1, "max_task_retries": 3} | given
        # Unless it asks for something: one CPU to be placed, and none for life.
        resources = options.resources(given, default_cpus=1)
        place = placement.chosen(self._given, self._definition.name, resources)
        terms = self._terms(given, place, is_async)
        packed, needs = arguments.pack(self._definition.name, args, kwargs)
        ref = client.create_actor(
            self._call_options(given, resources, place, replace(terms, durable=kept)),
            self._definition.ref(),
            packed.data,
            packed.buffers,
            packed.contained,
            needs,
        )
        handle = ActorHandle(ref, Interface(self._definition.name, methods, terms))
        return self._named(handle, given, namespace)

    def _kept(self, given: Mapping[str, Any], namespace: str, is_async: bool) -> Kept | None:
        """Where a durable actor is saved; ``None`` for others."""
        if not given.get("durable"):
            return None
        if is_async or given.get("max_concurrency", 1) > 1 or given.get("concurrency_groups"):
            kind = "async" if is_async else "threaded"
            raise ValueError(
                f"the actor {self._definition.name} is {kind}, and cannot be durable: its state would be saved in the "
                "middle of calls\n  help: let it run one call at a time, without async methods and max_concurrency"
            )
        kept = place_of(given["durable"], given.get("name"), namespace)
        # Before there is a second one, which would take over from the first.
        if actor_handle.look_up(given["name"], namespace) is not None:
            raise _exists(given["name"], namespace)
        # At the line that calls remote().
        warn_unless_shared(kept, stacklevel=3)
        return kept

    def _named(self, handle: ActorHandle, given: Mapping[str, Any], namespace: str) -> ActorHandle:
        """The handle of whoever has the name: this one, or with ``get_if_exists`` one that was first."""
        detached = given.get("lifetime") == "detached"
        # The table of names is what keeps a detached actor: one without a name goes under its id.
        name = given.get("name") or (handle._actor_id if detached else None)
        if name is None:
            return handle
        meta = actor_handle.dump_interface(handle._interface)
        if process.client().claim_name(name, namespace, handle._ref, meta, detached) is None:
            return handle
        if given.get("get_if_exists"):
            return actor_handle.get_actor(name, namespace)
        raise _exists(name, namespace)

    def _terms(self, given: Mapping[str, Any], place: Place | None, is_async: bool) -> Terms:
        return Terms(
            job_id=process.job_id(),
            namespace=process.namespace(),
            env=process.env_of(given.get("runtime_env")),
            resources=options.resources(given, default_cpus=1 if options.names_resources(given) else 0),
            is_async=is_async,
            actor_name=given.get("name", ""),
            max_task_retries=given.get("max_task_retries", 0),
            max_pending_calls=given.get("max_pending_calls", -1),
            max_concurrency=given.get("max_concurrency", _ASYNC_CONCURRENCY if is_async else 1),
            groups=dict(given.get("concurrency_groups", {})),
            # A detached actor outlives the driver, and what it starts may do so too.
            root=None if given.get("lifetime") == "detached" else process.root(),
            **placement.terms(place),
        )

    def _call_options(
        self, given: Mapping[str, Any], resources: dict[str, float], place: Place | None, terms: Terms
    ) -> CallOptions:
        name = self._definition.name
        return CallOptions(
            f"{name}.__init__",
            resources=resources,
            held=terms.resources,
            max_retries=given.get("max_restarts", 0),
            strategy=options.strategy(given, place),
            fail_if_unschedulable=given.get("fail_if_unschedulable", False),
            env=terms.env,
            # The node knows of no groups: a full one must not keep it from handing on what is for another.
            concurrency=max(_GROUPED_CONCURRENCY, terms.max_concurrency) if terms.groups else terms.max_concurrency,
            extra=terms.dumps(),
        )

    def _described(self) -> tuple[Signature, dict[str, Method], bool]:
        """How the class is constructed, its methods, and whether it is async."""
        if self._parts is None:
            cls = self._definition.value
            self._parts = Signature(cls, self._definition.name), *_methods(cls)
        return self._parts

    def bind(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: graphs of calls that are made before they are run."""
        raise no_graphs(self._definition.name)

    # By state and not by arguments: the class may refer to this.
    def __getstate__(self) -> tuple[Definition, dict[str, Any]]:
        return self._definition, self._given

    def __setstate__(self, state: tuple[Definition, dict[str, Any]]) -> None:
        self._set(*state)

    def __repr__(self) -> str:
        return f"ActorClass({self._definition.name})"


def _exists(name: str, namespace: str) -> ActorAlreadyExistsError:
    return ActorAlreadyExistsError(
        f"an actor with the name {name!r} lives in the namespace {namespace!r} already\n"
        "  help: sheaf.get_actor(name) finds it; options(get_if_exists=True) takes whichever there is"
    )


def handle_of(actor_id: bytes, cls: type, terms: Terms) -> ActorHandle:
    """A new handle of the actor of this process, which is of that class."""
    return ActorHandle(process.ref_of(actor_id), Interface(cls.__name__, _methods(cls)[0], terms))


def _methods(cls: type) -> tuple[dict[str, Method], bool]:
    """The methods of a class, and whether its actors are async."""
    own = {name for base in cls.__mro__ if base is not object for name in vars(base)}
    functions = {name: value for name, value in inspect.getmembers(cls, inspect.isroutine) if name in own}
    is_async = any(
        inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value) for value in functions.values()
    )
    return {name: _method(cls, name, value) for name, value in functions.items()}, is_async


def _method(cls: type, name: str, function: Any) -> Method:
    # Class methods are bound already, static ones take no instance.
    takes_self = not isinstance(inspect.getattr_static(cls, name), staticmethod | classmethod)
    return Method(
        Signature(function, f"{cls.__name__}.{name}", skip_first=takes_self),
        options_of_method(function),
        inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function),
    )
