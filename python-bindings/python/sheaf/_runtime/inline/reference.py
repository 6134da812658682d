"""References that have their values themselves: an object lives as long as a reference to it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self
from weakref import WeakValueDictionary

from sheaf._sheaf import ObjectRef

Value = tuple[int, Any, list[Any]]
"""What ``RuntimeClient.get`` has for an object: its status, the pickle, and the buffers."""

_known: WeakValueDictionary[bytes, InlineRef] = WeakValueDictionary()


class InlineRef(ObjectRef):
    """A reference to a value that is there."""

    value: Value
    contained: list[ObjectRef]
    """The references in the value, which it keeps."""
    is_call: bool
    """Whether a method of an actor made it."""

    # Of the bytes of its name alone: that is all that the native class takes.
    @classmethod
    def made(cls, name: bytes, value: Value, contained: list[ObjectRef], *, is_call: bool = False) -> Self:
        """A new one, that ``restore`` finds as long as it lives."""
        ref = cls(name)
        ref.value, ref.contained, ref.is_call = value, contained, is_call
        _known[name] = ref
        return ref

    def __reduce__(self) -> tuple[Callable[[bytes], ObjectRef], tuple[bytes]]:
        # Whoever pickles is told of it there.
        super().__reduce__()
        return restore, (self.binary(),)


def restore(name: bytes) -> ObjectRef:
    """The reference of this name; where none lives any more, what it stood for is gone too."""
    ref = _known.get(name)
    if ref is None:
        raise ReferenceError(f"the object {name.hex()} is freed: no reference to it is left in this process")
    return ref
