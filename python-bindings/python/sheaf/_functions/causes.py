"""What a function raised in another process, for the one that runs the query: the exception, and where it was."""

from __future__ import annotations

import contextlib
import pickle
import traceback
from types import TracebackType

import cloudpickle


def told(error: BaseException, where: TracebackType | None = None) -> bytes:
    """The exception as bytes; one that cannot be pickled is told in words.

    >>> from sheaf._functions import causes
    >>> causes.read(causes.told(KeyError("a")))
    KeyError('a')
    """
    text = "".join(traceback.format_exception(type(error), error, where or error.__traceback__))
    pickled = None
    with contextlib.suppress(Exception):
        pickled = cloudpickle.dumps(error.with_traceback(None))
        pickle.loads(pickled)
    return pickle.dumps((pickled, f"{type(error).__name__}: {error}", text))


def read(data: bytes, where: str = "On the cluster") -> BaseException:
    """The exception that ``told`` wrote, with a note of where it was raised."""
    pickled, short, text = pickle.loads(data)
    raised: BaseException = RuntimeError(short)
    if pickled is not None:
        # Its class may be in a module that is only there.
        with contextlib.suppress(Exception):
            raised = pickle.loads(pickled)
    raised.add_note(f"{where}:\n{text}")
    return raised
