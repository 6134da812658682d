"""Results that come one by one while a generator runs elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from sheaf._runtime import options, process, serialization
from sheaf._sheaf import ObjectRef


def returns(given: Mapping[str, Any], is_generator: bool) -> dict[str, Any]:
    """What ``CallOptions`` is told of the results of a call with these options."""
    asked = given.get("num_returns", options.STREAMING if is_generator else 1)
    if asked == options.DYNAMIC:
        return {"num_returns": 1}
    return {"streams": True} if asked == options.STREAMING else {"num_returns": asked}


class DynamicObjectRefGenerator:
    """References to all that a generator has yielded: the value of the one result of a task with
    ``num_returns="dynamic"``. It may be passed on, and gone through again and again.

    >>> import sheaf
    >>> @sheaf.remote(num_returns="dynamic")
    ... def count(n):
    ...     yield from range(n)
    >>> [sheaf.get(ref) for ref in sheaf.get(count.remote(3))]
    [0, 1, 2]
    """

    def __init__(self, refs: list[ObjectRef]) -> None:
        self._refs = refs

    def __iter__(self) -> Iterator[ObjectRef]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)

    def __repr__(self) -> str:
        return f"DynamicObjectRefGenerator({len(self._refs)} objects)"


def all_of(name: str, items: Any) -> DynamicObjectRefGenerator:
    """What the call of this name yields, each as an object of its own."""
    if not hasattr(items, "__iter__"):
        kind = type(items).__name__
        raise TypeError(f"{name}() returned a value of {kind}, and has to yield, as num_returns says")
    put = process.client().put
    return DynamicObjectRefGenerator([put(*serialization.dumps(item)) for item in items])


class ObjectRefGenerator:
    """References to what a generator yields, each as soon as it is there. What the generator raises is raised by
    ``get`` of the last one.

    >>> import sheaf
    >>> @sheaf.remote
    ... def count(n):
    ...     yield from range(n)
    >>> [sheaf.get(ref) for ref in count.remote(3)]
    [0, 1, 2]
    """

    def __init__(self, first: ObjectRef) -> None:
        self._stream = process.client().stream(first)
        self._is_over = False

    def __iter__(self) -> ObjectRefGenerator:
        return self

    def __next__(self) -> ObjectRef:
        """The next reference, waiting until it is there."""
        if self._is_over:
            raise StopIteration
        ref = self._stream.next()
        if ref is not None:
            return ref
        self._is_over = True
        if self._has_failed():
            return self._stream.first
        raise StopIteration

    def next_ready(self) -> bool:
        """Whether the next reference is there, so that to take it is no wait.

        >>> import sheaf
        >>> three = sheaf.remote(lambda: iter("abc")).options(num_returns="streaming").remote()
        >>> sheaf.wait([three])[0] == [three], three.next_ready()
        (True, True)
        """
        return not self._is_over and process.client().wait([self._stream.first], 1, 0, streams=[0])[0]

    def is_finished(self) -> bool:
        """Whether the generator has ended and all of its references were taken.

        >>> import sheaf
        >>> three = sheaf.remote(lambda: iter("abc")).options(num_returns="streaming").remote()
        >>> three.is_finished(), len(list(three)), three.is_finished()
        (False, 3, True)
        """
        return self._is_over or (self._stream.is_over() and not self._has_failed())

    def __aiter__(self) -> ObjectRefGenerator:
        return self

    async def __anext__(self) -> ObjectRef:
        """The same for event loops."""
        try:
            # An exception of this kind cannot come out of a future.
            ref = await asyncio.get_running_loop().run_in_executor(None, next, self, None)
        except StopIteration:
            ref = None
        if ref is None:
            raise StopAsyncIteration
        return ref

    def completed(self) -> ObjectRef:
        """A reference that is ready when the generator has ended: it is the number of its values, or its error.

        >>> import sheaf
        >>> three = sheaf.remote(lambda: iter("abc")).options(num_returns="streaming").remote()
        >>> sheaf.get(three.completed())
        3
        """
        return self._stream.first

    def __reduce__(self) -> Any:
        raise TypeError(
            "the results of a generator cannot be passed on as a whole\n"
            "  help: pass the references that it gives, or what list() makes of it"
        )

    def __repr__(self) -> str:
        return f"ObjectRefGenerator({self._stream.first.hex()})"

    def _has_failed(self) -> bool:
        values = process.client().get([self._stream.first], None)
        return values is None or values[0][0] != 0
