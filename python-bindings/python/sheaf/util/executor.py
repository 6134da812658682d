"""A ``concurrent.futures.Executor`` whose calls are tasks."""

from __future__ import annotations

import concurrent.futures
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import sheaf

# Functions that are known to have been sent: the same one is mostly submitted again and again.
_KEPT = 64


class Executor(concurrent.futures.Executor):
    """Runs each call as a task; the node says how many run at once.

    Args:
        options: Options of the tasks, such as ``num_cpus``.

    >>> from sheaf.util.executor import Executor
    >>> with Executor(num_cpus=1) as executor:
    ...     list(executor.map(pow, [2, 3], [3, 2]))
    [8, 9]
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._is_shut_down = False
        self._pending: set[Future[Any]] = set()
        # By identity, with the function itself, so that its identity stays its own.
        self._functions: OrderedDict[int, tuple[Any, Any]] = OrderedDict()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a task; the future has its result. To cancel the future cancels the task."""
        with self._lock:
            if self._is_shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            ref = self._remote(fn).remote(*args, **kwargs)
            future: Future[Any] = ref.future()
            self._pending.add(future)

        def done(future: Future[Any]) -> None:
            if future.cancelled():
                sheaf.cancel(ref)
            self._pending.discard(future)

        future.add_done_callback(done)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls.

        Args:
            wait: Whether to wait until those that were submitted have ended.
            cancel_futures: Whether to cancel them.
        """
        with self._lock:
            self._is_shut_down = True
            pending = list(self._pending)
        if cancel_futures:
            for future in pending:
                future.cancel()
        if wait:
            concurrent.futures.wait(pending)

    def _remote(self, fn: Callable[..., Any]) -> Any:
        if id(fn) not in self._functions:
            # A class is called like any function, and makes no actor.
            called = partial(fn) if isinstance(fn, type) else fn
            made = sheaf.remote(**self._options)(called) if self._options else sheaf.remote(called)
            self._functions[id(fn)] = (fn, made)
            if len(self._functions) > _KEPT:
                self._functions.popitem(last=False)
        self._functions.move_to_end(id(fn))
        return self._functions[id(fn)][1]
