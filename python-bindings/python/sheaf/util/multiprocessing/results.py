"""Results of a pool: those of one call or map as a whole, and those of ``imap`` one after the other."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing import TimeoutError
from typing import Any

import sheaf
from sheaf._runtime import process
from sheaf._sheaf import ObjectRef
from sheaf.exceptions import TaskError

Callback = Callable[[Any], object]


class AsyncResult:
    """The result of ``apply_async`` and the like; a pool makes it."""

    def __init__(
        self,
        refs: list[ObjectRef],
        *,
        is_single: bool = False,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> None:
        self._refs = refs
        self._is_single = is_single
        if callback is not None or error_callback is not None:
            # Callbacks may submit and wait in their turn, so they have no thread of the runtime.
            threading.Thread(
                target=self._tell, args=(callback, error_callback), name="sheaf-pool-callback", daemon=True
            ).start()

    def get(self, timeout: float | None = None) -> Any:
        """The result; waits for it. Raises what the function raised, and ``TimeoutError`` after so many seconds."""
        self.wait(timeout)
        if not self.ready():
            raise TimeoutError
        results = [each for ref in self._refs for each in results_of(ref)]
        return results[0] if self._is_single else results

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the result, or so many seconds."""
        if self._refs:
            sheaf.wait(self._refs, num_returns=len(self._refs), timeout=timeout)

    def ready(self) -> bool:
        """Whether the result is there."""
        return not self._refs or not sheaf.wait(self._refs, num_returns=len(self._refs), timeout=0)[1]

    def successful(self) -> bool:
        """Whether nothing was raised; for results that are there."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        try:
            self.get()
        except Exception:
            return False
        return True

    @process.starting_none()
    def _tell(self, callback: Callback | None, error_callback: Callback | None) -> None:
        try:
            result = self.get()
        except Exception as error:
            # Without the runtime nobody waits for it any more.
            if error_callback is not None and process.is_initialized():
                error_callback(error)
        else:
            if callback is not None:
                callback(result)


class IMapIterator:
    """Results as they are asked for: no more chunks run at once than the pool has processes.

    Args:
        submit: Starts the next chunk; ``None`` when there is none left.
        at_once: How many chunks may run.
        is_ordered: Whether results come in the order of their arguments, or as they end.
    """

    def __init__(self, submit: Callable[[], ObjectRef | None], at_once: int, *, is_ordered: bool) -> None:
        self._submit = submit
        self._is_ordered = is_ordered
        self._running: deque[ObjectRef] = deque()
        self._ready: deque[Any] = deque()
        for _ in range(at_once):
            self._submit_next()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, timeout: float | None = None) -> Any:
        """The next result. Raises what the function raised, and ``TimeoutError`` after so many seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self._ready:
            if not self._running:
                raise StopIteration
            left = None if until is None else max(0.0, until - time.monotonic())
            first = [self._running[0]] if self._is_ordered else list(self._running)
            ended, _ = sheaf.wait(first, timeout=left)
            if not ended:
                raise TimeoutError
            self._running.remove(ended[0])
            self._submit_next()
            self._ready.extend(results_of(ended[0]))
        return self._ready.popleft()

    def _submit_next(self) -> None:
        ref = self._submit()
        if ref is not None:
            self._running.append(ref)


def results_of(ref: ObjectRef) -> list[Any]:
    """The results of a chunk, or what its function raised, as that function raised it."""
    try:
        results: list[Any] = sheaf.get(ref)
    except TaskError as error:
        raise error.cause from error
    return results
