"""``@remote`` on functions: each call is a task that a worker runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from sheaf._runtime import arguments, options, placement, process, streams
from sheaf._runtime.arguments import Signature
from sheaf._runtime.context import Terms
from sheaf._runtime.definition import Definition
from sheaf._runtime.placement import PlacementGroup
from sheaf._runtime.streams import ObjectRefGenerator
from sheaf._sheaf import CallOptions
from sheaf.errors import UnsupportedError

_WHAT = "remote functions"
_RETRIES = 3


class RemoteFunction:
    """A function whose calls run elsewhere; ``remote`` of the module makes it.

    >>> import sheaf
    >>> @sheaf.remote
    ... def double(x):
    ...     return 2 * x
    >>> sheaf.get(double.remote(4))
    8
    """

    def __init__(self, function: Callable[..., Any], given: Mapping[str, Any]) -> None:
        if inspect.iscoroutinefunction(function):
            raise ValueError(
                f"{function.__qualname__} is an async function, which tasks cannot be\n"
                "  help: call asyncio.run inside a plain function, or make it a method of an actor"
            )
        options.check(given, options.TASK, _WHAT)
        name = getattr(function, "__name__", type(function).__name__)
        self._set(Definition(function, name), dict(given))
        functools.update_wrapper(self, function, updated=())

    def _set(self, definition: Definition, given: dict[str, Any]) -> None:
        self._definition = definition
        self._given = given
        self._prepared: tuple[tuple[int, PlacementGroup | None], CallOptions] | None = None
        self._signature: Signature | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self._definition.name
        raise TypeError(
            f"Remote functions cannot be called directly. Instead of running '{name}()', try '{name}.remote()'."
        )

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function elsewhere.

        Returns at once: an ``ObjectRef``, a list of them for several returns, ``None`` for no return.
        """
        client = process.client()
        if self._signature is None:
            self._signature = Signature(self._definition.value, self._definition.name)
        self._signature.check(args, kwargs)
        function = self._definition.ref()
        prepared = self._prepared
        # What was prepared is of one session, and of the placement group that a caller hands on.
        of = process.number(), placement.inherited()
        if prepared is None or prepared[0] != of:
            prepared = self._prepared = (of, self._call_options())
        packed, needs = arguments.pack(self._definition.name, args, kwargs)
        refs = client.submit(prepared[1], function, packed.data, packed.buffers, packed.contained, needs)
        return returned(refs, streamed=prepared[1].streams)

    def options(self, **changed: Any) -> RemoteFunction:
        """The same function with other options for the calls that are made through the result.

        >>> import sheaf
        >>> @sheaf.remote
        ... def two():
        ...     return 1, 2
        >>> sheaf.get(two.options(num_returns=2).remote())
        [1, 2]
        """
        options.check(changed, options.TASK, _WHAT)
        if "max_calls" in changed:
            raise ValueError("max_calls goes with the function: give it to remote() and not to options()")
        same = RemoteFunction.__new__(RemoteFunction)
        same._set(self._definition, {**self._given, **changed})
        same._signature = self._signature
        functools.update_wrapper(same, self._definition.value, updated=())
        return same

    def _call_options(self) -> CallOptions:
        given = {name: value for name, value in self._given.items() if value is not None}
        name = given.get("name") or self._definition.name
        resources = options.resources(given, default_cpus=1)
        place = placement.chosen(self._given, name, resources)
        env = process.env_of(given.get("runtime_env"))
        retry_exceptions = given.get("retry_exceptions", False)
        terms = Terms(
            job_id=process.job_id(),
            namespace=process.namespace(),
            env=env,
            resources=resources,
            retry_exceptions=retry_exceptions if isinstance(retry_exceptions, bool) else tuple(retry_exceptions),
            root=process.root(),
            is_dynamic=given.get("num_returns") == options.DYNAMIC,
            **placement.terms(place),
        )
        return CallOptions(
            name,
            resources=resources,
            **streams.returns(given, inspect.isgeneratorfunction(self._definition.value)),
            max_retries=given.get("max_retries", _RETRIES),
            strategy=options.strategy(given, place),
            fail_if_unschedulable=given.get("fail_if_unschedulable", False),
            env=env,
            # A process that used a GPU gives its memory back by ending.
            max_calls=given.get("max_calls", 1 if given.get("num_gpus") else 0),
            extra=terms.dumps(),
        )

    def bind(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not there: graphs of calls that are made before they are run."""
        raise no_graphs(self._definition.name)

    # By state and not by arguments: the function may refer to this, as recursive ones do.
    def __getstate__(self) -> tuple[Definition, dict[str, Any]]:
        return self._definition, self._given

    def __setstate__(self, state: tuple[Definition, dict[str, Any]]) -> None:
        self._set(*state)

    def __repr__(self) -> str:
        return f"RemoteFunction({self._definition.name})"


def no_graphs(name: str) -> UnsupportedError:
    """The error for Ray's ``bind``."""
    return UnsupportedError(
        f"{name}.bind(): graphs of calls (Ray's DAG API) are not there\n"
        f"  help: {name}.remote(...) takes the references that other calls return"
    )


def returned(refs: list[Any], *, streamed: bool) -> Any:
    """What ``remote`` returns: the one reference, the list of several, or ``None``; or the results as they come."""
    if streamed:
        return ObjectRefGenerator(refs[0])
    if len(refs) == 1:
        return refs[0]
    return refs or None
