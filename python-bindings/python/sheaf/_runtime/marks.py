"""Which task or actor the output of a worker is of: lines among it that the node takes out."""

from __future__ import annotations

import contextlib
import os
import sys

_MARK = "\x01"
_LONGEST = 200

_marked = ""


def mark(name: str) -> None:
    """Let what this process prints from now on be of this name."""
    global _marked
    if name == _marked:
        return
    _marked = name
    flush()
    line = f"{_MARK}{' '.join(name.split())[:_LONGEST]}\n".encode(errors="replace")
    for file in (1, 2):
        # The node may be gone; the call that follows hears of it.
        with contextlib.suppress(OSError):
            os.write(file, line)


def flush() -> None:
    """Send on what was printed so far."""
    for stream in (sys.stdout, sys.stderr):
        # User code may have replaced or closed them.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
