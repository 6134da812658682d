"""``log_once``: what a program says in a loop is said once."""

from __future__ import annotations

import threading
import time

_lock = threading.Lock()
_said: dict[str, float] = {}
_is_disabled = False
# None: once for all.
_again_after: float | None = None

_PERIOD_SECONDS = 60.0


def log_once(key: str) -> bool:
    """Whether this is the first time in this process that it is asked for this key.

    >>> import sheaf
    >>> [sheaf.util.log_once("careful") for _ in range(2)]
    [True, False]
    """
    with _lock:
        now, last = time.monotonic(), _said.get(key)
        if _is_disabled or (last is not None and (_again_after is None or now - last < _again_after)):
            return False
        _said[key] = now
        return True


def disable_log_once_globally() -> None:
    """Let ``log_once`` say no from now on."""
    global _is_disabled
    _is_disabled = True


def enable_periodic_logging() -> None:
    """Let ``log_once`` say yes, and for each key again after a minute."""
    global _is_disabled, _again_after
    _is_disabled, _again_after = False, _PERIOD_SECONDS
