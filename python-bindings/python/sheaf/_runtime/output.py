"""What workers print, on the driver's own streams: marked with who printed it, lines that many print folded."""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sheaf._sheaf import ClusterOutput, Runtime, RuntimeClient

# As long as Ray: lines alike that come from several processes within it are told once, with their number.
WINDOW_SECONDS = 5.0

# Words with digits tend to differ between workers that say the same.
_DIGIT = re.compile(r"\d")

_log = logging.getLogger("sheaf")

# Who printed it, its process, whether to standard error, the text, and the node where that is another one.
Line = tuple[str, int, bool, str, str]


@dataclass
class _Pattern:
    since: float
    latest: Line
    held: int = 0
    pids: set[int] = field(default_factory=set)


class Folder:
    """Passes lines on, and holds back those that another process has said alike within the window.

    >>> from sheaf._runtime.output import Folder
    >>> lines = []
    >>> folder = Folder(lambda line: lines.append(line[3]), clock=lambda: 0.0)
    >>> for pid in range(4):
    ...     folder.take(("f", pid, False, f"worker {pid} is ready", ""))
    >>> folder.flush()
    >>> lines
    ['worker 0 is ready', 'worker 3 is ready [repeated 3x across cluster]']
    """

    def __init__(self, write: Callable[[Line], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._patterns: dict[str, _Pattern] = {}

    def take(self, line: Line) -> None:
        """Pass this line on, now or as one of several."""
        self.tick()
        _, pid, _, text, _ = line
        key = " ".join(word for word in text.split() if not _DIGIT.search(word))
        known = self._patterns.get(key)
        if known is None:
            self._patterns[key] = _Pattern(self._clock(), line, pids={pid})
        else:
            known.pids.add(pid)
            if len(known.pids) > 1:
                known.held += 1
                known.latest = line
                return
        self._write(line)

    def tick(self) -> None:
        """Tell of what was held back for a whole window. The oldest patterns are the first."""
        now = self._clock()
        while self._patterns:
            key, pattern = next(iter(self._patterns.items()))
            if now - pattern.since < WINDOW_SECONDS:
                return
            del self._patterns[key]
            self._tell(pattern)
            if pattern.held > 1:
                self._patterns[key] = _Pattern(now, pattern.latest, pids=pattern.pids)

    def flush(self) -> None:
        """Tell of all that is held back."""
        for pattern in self._patterns.values():
            self._tell(pattern)
        self._patterns.clear()

    def _tell(self, pattern: _Pattern) -> None:
        name, pid, is_error, text, place = pattern.latest
        if pattern.held == 1:
            self._write(pattern.latest)
        elif pattern.held:
            self._write((name, pid, is_error, f"{text} [repeated {pattern.held}x across cluster]", place))


class Printer:
    """Threads that print what the workers of a runtime say, till its end."""

    def __init__(self, runtime: Runtime | RuntimeClient | ClusterOutput, *, shown: bool) -> None:
        self._runtime = runtime
        self._shown = shown
        self._folder = Folder(write)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._read, name="sheaf-output", daemon=True)]
        if shown:
            self._threads.append(threading.Thread(target=self._tick, name="sheaf-output-fold", daemon=True))
        for thread in self._threads:
            thread.start()

    def join(self, timeout: float) -> None:
        """Wait until all is printed; the runtime has been shut down."""
        for thread in self._threads:
            thread.join(timeout)

    def _read(self) -> None:
        while (lines := self._runtime.next_output()) is not None:
            with self._lock:
                for line in lines:
                    if line[1] == 0:
                        # Not of a worker: the runtime itself warns.
                        _log.warning(line[3])
                    elif self._shown:
                        self._folder.take(line)
        with self._lock:
            self._folder.flush()
        self._ended.set()

    def _tick(self) -> None:
        while not self._ended.wait(WINDOW_SECONDS):
            with self._lock:
                self._folder.tick()


def write(line: Line) -> None:
    """Print a line under who printed it, where Python's streams point now: notebooks replace them."""
    name, pid, is_error, text, place = line
    stream = sys.stderr if is_error else sys.stdout
    if stream is None:
        return
    try:
        where = f", ip={place}" if place else ""
        stream.write(f"({name} pid={pid}{where}) {text}\n")
        stream.flush()
    except (OSError, ValueError):
        # Closed, or a pipe that nobody reads: the workers go on.
        return
