"""A function or class of the user's, pickled and put once for each session, however often it is called."""

from __future__ import annotations

import threading
from typing import Any

from sheaf._runtime import process, serialization
from sheaf._sheaf import ObjectRef

_lock = threading.Lock()


class Definition:
    """What runs remotely, and where this session has it."""

    def __init__(self, value: Any, name: str) -> None:
        self.value = value
        self.name = name
        self._put: tuple[int, ObjectRef] | None = None

    def ref(self) -> ObjectRef:
        """The object that holds it, made where this session has none yet."""
        client = process.client()
        put = self._put
        if put is not None and put[0] == process.number():
            return put[1]
        with _lock:
            packed = self._packed()
            ref = client.put(packed.data, packed.buffers, packed.contained)
            self._put = (process.number(), ref)
        return ref

    def _packed(self) -> serialization.Packed:
        try:
            return serialization.dumps(self.value)
        except Exception as error:
            raise TypeError(
                f"{self.name} cannot be pickled, for what it refers to: {error}\n"
                "  help: sheaf.util.inspect_serializability shows which part of it; make that inside of it instead"
            ) from error

    # By state and not by arguments: it may refer to itself.
    def __getstate__(self) -> tuple[Any, str]:
        return self.value, self.name

    def __setstate__(self, state: tuple[Any, str]) -> None:
        self.__init__(*state)  # type: ignore[misc]
