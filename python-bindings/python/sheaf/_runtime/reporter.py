"""What happened to metrics in this process since its node was told last; told by a thread, and at the end."""

from __future__ import annotations

import atexit
import contextlib
import threading
from dataclasses import dataclass, field
from typing import NamedTuple

from sheaf._runtime import process
from sheaf.errors import SheafError

# What is younger than this is told together.
_TELL_SECONDS = 0.25

# As many as a node keeps: what nobody tells, for the runtime is not started, stays within bounds.
_MAX_SERIES = 10_000


class Series(NamedTuple):
    """The values of one metric with the same tags."""

    name: str
    description: str
    tags: tuple[tuple[str, str], ...]


@dataclass
class _Buckets:
    counts: list[int]
    sum: float = 0.0


@dataclass
class _Untold:
    counts: dict[Series, float] = field(default_factory=dict)
    gauges: dict[Series, float] = field(default_factory=dict)
    observed: dict[tuple[Series, tuple[float, ...]], _Buckets] = field(default_factory=dict)

    def has_room(self) -> bool:
        return len(self.counts) + len(self.gauges) + len(self.observed) < _MAX_SERIES


_lock = threading.Lock()
_telling = threading.Lock()
_untold = _Untold()
_is_there = threading.Event()
_thread: threading.Thread | None = None


def count(series: Series, value: float) -> None:
    """A counter grew by so much."""
    with _lock:
        if series in _untold.counts or _untold.has_room():
            _untold.counts[series] = _untold.counts.get(series, 0.0) + value
    _wake()


def set_to(series: Series, value: float) -> None:
    """A gauge was set to this."""
    with _lock:
        if series in _untold.gauges or _untold.has_room():
            _untold.gauges[series] = value
    _wake()


def observe(series: Series, bounds: tuple[float, ...], bucket: int, value: float) -> None:
    """A value came into this bucket of a histogram."""
    with _lock:
        buckets = _untold.observed.get((series, bounds))
        if buckets is None:
            if not _untold.has_room():
                return
            buckets = _untold.observed[series, bounds] = _Buckets([0] * (len(bounds) + 1))
        buckets.counts[bucket] += 1
        buckets.sum += value
    _wake()


def tell() -> None:
    """Tell the node now of all that happened, if there is a node."""
    global _untold
    if not process.is_initialized():
        return
    # One after the other: a gauge that was set first is told first.
    with _telling:
        with _lock:
            untold, _untold = _untold, _Untold()
            _is_there.clear()
        updates = [_update(series, "counter", [value], []) for series, value in untold.counts.items()]
        updates += [_update(series, "gauge", [value], []) for series, value in untold.gauges.items()]
        updates += [
            _update(series, "histogram", [*bounds, buckets.sum], buckets.counts)
            for (series, bounds), buckets in untold.observed.items()
        ]
        if updates:
            # A node that ends meanwhile needs no metrics.
            with contextlib.suppress(SheafError, RuntimeError):
                process.client().report_metrics(updates)


_Update = tuple[str, str, dict[str, str], str, list[float], list[int]]


def _update(series: Series, kind: str, values: list[float], counts: list[int]) -> _Update:
    return (series.name, series.description, dict(series.tags), kind, values, counts)


def _wake() -> None:
    global _thread
    if _is_there.is_set():
        return
    with _lock:
        _is_there.set()
        if _thread is None:
            _thread = threading.Thread(target=_serve, name="sheaf-metrics", daemon=True)
            _thread.start()


def _serve() -> None:
    ended = threading.Event()
    while True:
        _is_there.wait()
        ended.wait(_TELL_SECONDS)
        tell()
        if not process.is_initialized():
            # Whoever starts the runtime does not tell of that here.
            ended.wait(_TELL_SECONDS)


# In a worker too, which runs this when it is sent home.
atexit.register(tell)
