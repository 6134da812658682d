"""A user's function with all that its calls need: it is made from this in this process, or in a worker."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from sheaf import _formats


@dataclass(frozen=True)
class Spec:
    """A function or a class, and the arguments that it is given besides batches."""

    function: Callable[..., Any]
    batch_format: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    constructor_args: Sequence[Any] = ()
    constructor_kwargs: Mapping[str, Any] = field(default_factory=dict)
    retry_on: tuple[type[BaseException], ...] = ()

    @property
    def is_class(self) -> bool:
        """Whether instances are called, which are made first."""
        return isinstance(self.function, type)

    @property
    def is_async(self) -> bool:
        """Whether calls are coroutines, or yield asynchronously."""
        return any(inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in self._called())

    @property
    def name(self) -> str:
        """What errors and plans call it."""
        function = self.function
        while isinstance(function, functools.partial):
            function = function.func
        return getattr(function, "__qualname__", type(function).__name__)

    def _called(self) -> Iterator[Any]:
        function = self.function
        while isinstance(function, functools.partial):
            function = function.func
        yield function
        # Of a class what its instances do; of an instance what it does.
        called = function if isinstance(function, type) else type(function)
        yield called.__call__

    def make(self) -> Callable[..., Any]:
        """What is called with batches of the format: the function, or a new instance."""
        if self.is_class:
            made: Callable[..., Any] = self.function(*self.constructor_args, **self.constructor_kwargs)
            return made
        return self.function

    def caller(self) -> Callable[[pa.RecordBatch], Any]:
        """A function over record batches, for one thread at a time."""
        return _formats.caller(self.make(), self.batch_format, self.args, self.kwargs)

    def async_caller(self) -> Callable[[pa.RecordBatch], Any]:
        """A coroutine function from a record batch to the list of what is made of it."""
        function, give = self.make(), _formats.giver(self.batch_format)

        async def call(batch: pa.RecordBatch) -> list[Any]:
            called = function(give(batch), *self.args, **self.kwargs)
            if isinstance(called, AsyncIterator):
                return [_formats.take(each) async for each in called]
            made = _formats.results(await called)
            return list(made) if isinstance(made, Iterator) else [made]

        return call


class Instances:
    """A class on the engine's threads: an instance is called by one thread at a time, and made when all are busy."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._idle: list[Callable[[pa.RecordBatch], Any]] = []
        self._lock = threading.Lock()

    def __call__(self, batch: pa.RecordBatch) -> Any:
        with self._lock:
            call = self._idle.pop() if self._idle else None
        call = call or self._spec.caller()
        made = call(batch)
        if isinstance(made, Iterator):
            return self._yields(call, made)
        self._give_back(call)
        return made

    def __reduce__(self) -> Any:
        # Instances stay, and are made anew where the class goes.
        return Instances, (self._spec,)

    def _yields(self, call: Callable[[pa.RecordBatch], Any], made: Iterator[Any]) -> Iterator[Any]:
        yield from made
        self._give_back(call)

    def _give_back(self, call: Callable[[pa.RecordBatch], Any]) -> None:
        with self._lock:
            self._idle.append(call)
