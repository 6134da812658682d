"""Instances as bytes and back: what pickle saves of them, without their class."""

from __future__ import annotations

import copyreg
from typing import Any

import cloudpickle

from sheaf._runtime import serialization
from sheaf.exceptions import DurableError


def dumps(value: Any, what: str) -> bytes:
    """What can be saved; ``DurableError`` where it cannot be pickled, or has references, which end with the program."""
    try:
        data, contained = serialization.dumps_in_band(value)
    except Exception as error:
        raise DurableError(
            f"{what} cannot be pickled: {error}\n"
            "  help: leave out what need not be saved in __getstate__, and make it anew in __setstate__; "
            "sheaf.util.inspect_serializability shows which part it is"
        ) from error
    if contained:
        raise DurableError(
            f"{what} has {contained[0]!r} in it, a reference to an object or actor, which ends with the program\n"
            "  help: save the value instead, or the name of the actor"
        )
    return data


def state_of(instance: Any) -> bytes:
    """All that an instance is besides its class."""
    cls = type(instance)
    made, arguments, *rest = instance.__reduce_ex__(4)
    if made is not copyreg.__newobj__:  # type: ignore[attr-defined]
        raise DurableError(
            f"{cls.__name__} has a __reduce__ or __getnewargs_ex__ of its own, so its state cannot be told from it\n"
            "  help: durable actors have __getstate__ and __setstate__"
        )
    state, items, pairs = [*rest, None, None, None][:3]
    parts = (arguments[1:], state, None if items is None else list(items), None if pairs is None else list(pairs))
    return dumps(parts, f"the state of {cls.__name__}")


def restored(cls: type, data: bytes) -> Any:
    """The instance of ``cls`` that has this state, as ``pickle`` would make it."""
    arguments, state, items, pairs = cloudpickle.loads(data)
    instance = cls.__new__(cls, *arguments)
    if items is not None:
        instance.extend(items)
    for key, value in pairs or ():
        instance[key] = value
    if state is None:
        return instance
    if hasattr(instance, "__setstate__"):
        instance.__setstate__(state)
        return instance
    named, slots = state if isinstance(state, tuple) else (state, None)
    instance.__dict__.update(named or {})
    for name, value in (slots or {}).items():
        setattr(instance, name, value)
    return instance
