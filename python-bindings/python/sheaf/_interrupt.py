"""Ctrl-C for user functions on the engine's threads, where Python's own signal handling never looks."""

import ctypes


def interrupt(thread: int) -> None:
    """Raise ``KeyboardInterrupt`` in the thread of this identity, at its next line of Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))
