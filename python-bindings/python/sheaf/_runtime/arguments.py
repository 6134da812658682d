"""Arguments of a call on their way: a pickle of all but the top-level references, whose values travel beside it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sheaf._runtime import serialization
from sheaf._runtime.serialization import Packed
from sheaf._sheaf import ObjectRef

# The wire form is a pickle of (args, kwargs, places): places are the positions and names that stand for a reference.
_NONE = serialization.dumps(((), {}, []))


def pack(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Packed, list[ObjectRef]]:
    """The arguments of a call of this name, and the references whose values it needs first."""
    if not args and not kwargs:
        return _NONE, []
    places: list[int | str] = []
    needs: list[ObjectRef] = []

    def sent(place: int | str, value: Any) -> Any:
        if isinstance(value, ObjectRef):
            places.append(place)
            needs.append(value)
            return None
        return serialization.out_of_band(value)

    listed = tuple([sent(place, value) for place, value in enumerate(args)])
    named = {key: sent(key, value) for key, value in kwargs.items()}
    try:
        return serialization.dumps_flat((listed, named, places), [*listed, *named.values()]), needs
    except Exception as error:
        raise _unpicklable(name, args, kwargs, error) from error


def unpack(
    data: Any, buffers: Sequence[Any], needs: Sequence[tuple[int, Any, Sequence[Any]]]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call, as ``function(*args, **kwargs)`` takes them. Raises what a needed value failed with."""
    args, kwargs, places = serialization.load((0, data, buffers))
    if not places:
        return args, kwargs
    listed = list(args)
    for place, need in zip(places, needs, strict=True):
        into: Any = listed if isinstance(place, int) else kwargs
        into[place] = serialization.load(need)
    return tuple(listed), kwargs


class Signature:
    """What a callable takes, so that wrong arguments are refused where the call is made.

    >>> from sheaf._runtime.arguments import Signature
    >>> Signature(lambda a, b=1: None, "f").check((1, 2, 3), {})
    Traceback (most recent call last):
    TypeError: f(): too many positional arguments
    """

    def __init__(self, function: Callable[..., Any], name: str, *, skip_first: bool = False) -> None:
        self._name = name
        try:
            parameters = list(inspect.signature(function).parameters.values())[skip_first:]
        except (TypeError, ValueError):
            # Some functions of extensions do not say: whatever is given is passed on.
            self._whole: inspect.Signature | None = None
            return
        self._whole = inspect.Signature([each.replace(annotation=each.empty) for each in parameters])
        plain = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
        needed = [each for each in parameters if each.kind is each.KEYWORD_ONLY and each.default is each.empty]
        least = sum(each.default is each.empty for each in plain)
        # How many arguments by position alone are surely right.
        self._right = range(least, len(plain) + 1) if not needed else range(0)

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise ``TypeError`` where the callable would for these arguments."""
        if self._whole is None or (not kwargs and len(args) in self._right):
            return
        try:
            self._whole.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._name}(): {error}") from None


def _unpicklable(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], error: Exception) -> TypeError:
    for place, value in [*enumerate(args, 1), *kwargs.items()]:
        try:
            serialization.dumps(value)
        except Exception as reason:
            which = f"argument {place!r}" if isinstance(place, str) else f"argument number {place}"
            return TypeError(
                f"{which} of {name}(), a {type(value).__qualname__}, cannot be pickled: {reason}\n"
                "  help: sheaf.util.inspect_serializability(value) shows which part of it"
            )
    return TypeError(f"the arguments of {name}() cannot be pickled: {error}")
