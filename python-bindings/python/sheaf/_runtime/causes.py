"""Exceptions of user code, taken apart and made again without their constructors, which may take anything."""

from __future__ import annotations

import contextlib
import copy
from typing import Any


def sendable(error: BaseException) -> Any:
    """What pickles as this error, whose constructor need not take ``args``, as pickle believes of all exceptions."""
    try:
        copy.copy(error)
    except Exception:
        return _Bare(error)
    return error


class _Bare:
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> Any:
        return _made_again, (type(self._error), made_of(self._error), vars(self._error))


def _made_again(kind: type[BaseException], parts: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    builtin = builtin_of(kind)
    error: BaseException = builtin.__new__(kind, *parts)
    with contextlib.suppress(TypeError, ValueError):
        builtin.__init__(error, *parts)
    vars(error).update(state)
    return error


def builtin_of(kind: type[BaseException]) -> type[BaseException]:
    """The type of Python's own that this one stands on."""
    return next(base for base in kind.__mro__ if base.__module__ == "builtins")


def made_of(error: BaseException) -> tuple[Any, ...]:
    """What the built-in type of this error is made of: for ``OSError`` that is more than ``args``."""
    reduced: Any = builtin_of(type(error)).__reduce__(error)
    parts: tuple[Any, ...] = reduced[1]
    return parts
