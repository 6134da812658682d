"""Values as bytes and back: pickles of protocol 5, whose large buffers stay out of band and are never copied here."""

from __future__ import annotations

import io
import pickle
from collections import ChainMap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import cloudpickle

from sheaf._runtime import failures, slices
from sheaf._sheaf import ObjectRef, start_recording, stop_recording

PROTOCOL = 5

# What plain pickle writes just as well, and faster: exactly these types, whose values hold nothing else.
_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})

# Bytes from here on go out of band: a copy less, for the price of one more buffer.
_LARGE_BYTES = 64 * 1024


class Packed(NamedTuple):
    """A value as the native client takes it: a pickle, its buffers, and the references in it."""

    data: bytes
    buffers: list[memoryview]
    contained: list[ObjectRef]


def dumps(value: Any) -> Packed:
    """Pickle a value.

    >>> from sheaf._runtime import serialization
    >>> packed = serialization.dumps(["a", 1])
    >>> serialization.load((0, packed.data, packed.buffers))
    ['a', 1]
    """
    value = out_of_band(value)
    return dumps_flat(value, [value])


def dumps_flat(value: Any, leaves: Iterable[Any]) -> Packed:
    """Pickle a value whose parts besides these leaves are plain ones: lists of numbers, say."""
    if all(type(leaf) in _PLAIN for leaf in leaves):
        return Packed(pickle.dumps(value, PROTOCOL), [], [])
    buffers: list[memoryview] = []
    file = io.BytesIO()
    start_recording()
    try:
        _Pickler(file, buffers).dump(value)
    finally:
        contained = stop_recording()
    return Packed(file.getvalue(), buffers, contained)


def dumps_in_band(value: Any) -> tuple[bytes, list[ObjectRef]]:
    """A value as one pickle with all its buffers, which can be changed after it is loaded, and the references in it.

    >>> import pickle
    >>> from sheaf._runtime import serialization
    >>> data, references = serialization.dumps_in_band([bytearray(2)])
    >>> pickle.loads(data), references
    ([bytearray(b'\\x00\\x00')], [])
    """
    start_recording()
    try:
        data = _in_band(value)
    finally:
        contained = stop_recording()
    return data, contained


def load(value: tuple[int, Any, Sequence[Any]]) -> Any:
    """What the native client hands out, as the value that it is; a failure is raised."""
    status, data, buffers = value
    if status == failures.VALUE:
        return pickle.loads(data, buffers=buffers)
    raise failures.of(status, data)


def dump_error(error: BaseException, name: str, *, actor_id: str | None = None, in_constructor: bool = False) -> bytes:
    """What user code raised in the call of this name, for ``RuntimeClient.fail``.

    Wrap it in ``start_recording`` and ``stop_recording``: an exception may hold references.
    """
    return failures.dump(error, name, actor_id, in_constructor, _in_band)


def out_of_band(value: Any) -> Any:
    """Large bytes as what pickles without a copy; anything else as it is."""
    return _LargeBytes(value) if type(value) is bytes and len(value) >= _LARGE_BYTES else value


def register_serializer(cls: type, *, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any]) -> None:
    """Pickle instances of exactly this class by these functions, in this process.

    Args:
        cls: The class.
        serializer: Makes of an instance what can be pickled.
        deserializer: Makes an instance of that; it travels with each value.

    >>> import threading
    >>> from sheaf._runtime import serialization
    >>> serialization.register_serializer(type(threading.Lock()), serializer=repr, deserializer=lambda _: "a lock")
    >>> serialization.load((0, *serialization.dumps(threading.Lock())[:2]))
    'a lock'
    >>> serialization.deregister_serializer(type(threading.Lock()))
    """
    _Pickler.serializers[cls] = lambda value: (deserializer, (serializer(value),))


def deregister_serializer(cls: type) -> None:
    """Pickle instances of this class as before ``register_serializer``."""
    _Pickler.serializers.pop(cls, None)


class _LargeBytes:
    def __init__(self, value: bytes) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return bytes, (pickle.PickleBuffer(self.value),)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    serializers: ClassVar[dict[type, Callable[[Any], Any]]] = {}
    dispatch_table: ClassVar[Any] = ChainMap(serializers, cloudpickle.Pickler.dispatch_table)

    def __init__(self, file: io.BytesIO, buffers: list[memoryview] | None) -> None:
        def take(buffer: pickle.PickleBuffer) -> bool:
            try:
                into.append(buffer.raw())
            except BufferError:
                # Not contiguous: it is copied into the pickle.
                return True
            return False

        into = buffers if buffers is not None else []
        super().__init__(file, PROTOCOL, take if buffers is not None else None)

    def reducer_override(self, value: Any) -> Any:
        if type(value).__module__ == "pyarrow.lib" and type(value) not in self.serializers:
            return slices.reduce(value)
        return super().reducer_override(value)


def _in_band(value: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file, None).dump(value)
    return file.getvalue()
