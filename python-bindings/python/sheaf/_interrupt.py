"""User functions on the engine's threads, where Python's signal handling never looks: Ctrl-C, and those that hang."""

import ctypes
import logging
import sys
import traceback
from collections.abc import Sequence

STALL_SECONDS = 60.0
"""A call that has run for so long is told of, once."""

_log = logging.getLogger("sheaf")
_told: set[int] = set()


def interrupt(thread: int) -> None:
    """Raise ``KeyboardInterrupt`` in the thread of this identity, at its next line of Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))


def tell_stalls(calls: Sequence[tuple[int, int, float, str]]) -> None:
    """Tell of calls that do not come back: where they are in the data, and in the code.

    Args:
        calls: Those that run: a number, the thread, since how many seconds, and the place in the data.
    """
    _told.intersection_update(number for number, *_ in calls)
    frames = sys._current_frames()
    for number, thread, seconds, place in calls:
        if seconds < STALL_SECONDS or number in _told:
            continue
        _told.add(number)
        frame = frames.get(thread)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else "  (not in Python)\n"
        _log.warning("a function of map_batches has run for %.0f s (%s); its stack:\n%s", seconds, place, stack)
