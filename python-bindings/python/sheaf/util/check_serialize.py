"""Which part of an object it is that cannot be pickled."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from sheaf._runtime import serialization


@dataclass(frozen=True, eq=False)
class FailureTuple:
    """A part that cannot be pickled: by what names it is reached, and what refers to it."""

    obj: Any
    path: tuple[str, ...]
    parent: Any

    @property
    def name(self) -> str:
        """What refers to it by."""
        return self.path[-1]

    def __repr__(self) -> str:
        path = " -> ".join(self.path)
        return f"FailTuple({self.name} [path={path}, obj={self.obj!r:.200}, parent={self.parent!r:.200}])"


def inspect_serializability(
    base_obj: Any, name: str | None = None, depth: int = 3, print_file: TextIO | None = None
) -> tuple[bool, set[FailureTuple]]:
    """Whether an object can be sent to tasks and actors, and the innermost parts of it that cannot.

    Args:
        base_obj: The object: a function, a class, an instance or a container.
        name: What to call it in the report.
        depth: How many references deep to look.
        print_file: Where the report goes; the standard output unless given.

    >>> import io, threading
    >>> from sheaf.util import inspect_serializability
    >>> lock = threading.Lock()
    >>> is_serializable, failures = inspect_serializability(lambda: lock, name="f", print_file=io.StringIO())
    >>> is_serializable, [failure.path for failure in failures]
    (False, [('f', 'lock')])
    """
    out = print_file or sys.stdout
    error = _error_of(base_obj)
    first = name or _name_of(base_obj)
    if error is None:
        print(f"{first}: can be pickled", file=out)
        return True, set()
    print(f"{first}: cannot be pickled: {error}", file=out)
    found: list[FailureTuple] = []
    _inspect(base_obj, (first,), None, depth, found, {id(base_obj)})
    for failure in found:
        print(f"  {' -> '.join(failure.path)}: {failure.obj!r:.200}: {_error_of(failure.obj)}", file=out)
    print("  help: make these inside of the function or class, or see sheaf.util.register_serializer", file=out)
    return False, set(found)


def _inspect(
    value: Any, path: tuple[str, ...], parent: Any, depth: int, found: list[FailureTuple], seen: set[int]
) -> None:
    """Note the innermost parts that fail: this one, where none of its own parts does."""
    before = len(found)
    for name, part in _parts(value) if depth > 0 else ():
        if id(part) in seen:
            continue
        seen.add(id(part))
        if _error_of(part) is not None:
            _inspect(part, (*path, name), value, depth - 1, found, seen)
    if len(found) == before:
        found.append(FailureTuple(value, path, parent))


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What a pickle of the value would hold, by name."""
    if inspect.ismethod(value):
        yield from (("__self__", value.__self__), ("__func__", value.__func__))
    elif inspect.isfunction(value):
        used = inspect.getclosurevars(value)
        yield from {**used.nonlocals, **used.globals}.items()
        yield from ((f"default {number}", each) for number, each in enumerate(value.__defaults__ or ()))
        yield from (value.__kwdefaults__ or {}).items()
    elif isinstance(value, dict):
        yield from ((f"[{key!r}]", each) for key, each in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{number}]", each) for number, each in enumerate(value))
    else:
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        yield from ((name, getattr(value, name)) for name in slots if hasattr(value, name))
        yield from getattr(value, "__dict__", {}).items()


def _error_of(value: Any) -> Exception | None:
    try:
        serialization.dumps(value)
    except Exception as error:
        return error
    return None


def _name_of(value: Any) -> str:
    return getattr(value, "__qualname__", None) or type(value).__qualname__
