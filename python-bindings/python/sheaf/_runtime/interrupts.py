"""How a call that runs is stopped from outside, wherever Python lets it: in the main thread even while it sleeps."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sheaf._sheaf import Call


class Cancelled(KeyboardInterrupt):
    """Raised in a call that was cancelled: as in Ray a ``KeyboardInterrupt``, which ``except Exception`` lets by."""


# What the main thread runs and a signal may stop; and the calls of other threads by task.
_in_main: Call | None = None
_in_threads: dict[str, int] = {}
_lock = threading.Lock()

# After how many seconds a signal is sent again to a call that goes on. One that comes just before a system call begins
# to wait does not end that wait.
_AGAIN = (0.02, 0.08, 0.32, 1.28, 5.12)


def install() -> None:
    """Let SIGINT stop the call that the main thread runs, if it was cancelled, and do nothing else."""
    signal.signal(signal.SIGINT, _on_signal)


def allowed(call: Call) -> AbstractContextManager[None]:
    """Within it the call may be stopped: ``Cancelled`` is raised, once; at its begin if it was cancelled already."""
    is_main = threading.current_thread() is threading.main_thread()
    return _InMain(call) if is_main else _InThread(call)


def cancel(task_id: str) -> None:
    """Stop this call if it runs in a thread of this process; whoever asks has noted that it is cancelled, and waits
    until it is told or does not listen.
    """
    running = _in_main
    if running is not None and running.task_id == task_id:
        _interrupt(running)
        return
    with _lock:
        thread = _in_threads.pop(task_id, None)
        if thread is not None:
            _raise_in(thread, Cancelled)


def _interrupt(running: Call) -> None:
    main = threading.main_thread().ident
    for pause in _AGAIN:
        # Until it is told, which is once.
        if main is None or _in_main is not running:
            return
        signal.pthread_kill(main, signal.SIGINT)
        time.sleep(pause)


def _on_signal(number: int, frame: FrameType | None) -> None:
    global _in_main
    running = _in_main
    # A late signal is for a call that has ended: what runs now was not cancelled.
    if running is not None and running.is_cancelled():
        _in_main = None
        raise Cancelled


class _InMain:
    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> None:
        global _in_main
        _in_main = self._call
        if self._call.is_cancelled():
            _in_main = None
            raise Cancelled

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        global _in_main
        _in_main = None


class _InThread:
    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> None:
        with _lock:
            if self._call.is_cancelled():
                raise Cancelled
            _in_threads[self._call.task_id] = threading.get_ident()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with _lock:
            _in_threads.pop(self._call.task_id, None)
            # What has not been raised yet would be raised in the next call of this thread.
            _raise_in(threading.get_ident(), None)


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None if kind is None else ctypes.py_object(kind))
