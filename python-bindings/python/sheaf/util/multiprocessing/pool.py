"""The pool: its processes are actors, which take chunks of calls in turn."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

import sheaf
from sheaf._sheaf import ObjectRef
from sheaf.util.multiprocessing.results import AsyncResult, Callback, IMapIterator

__all__ = ["AsyncResult", "Pool"]

# As multiprocessing: so many chunks for each process, that a slow one does not hold up all.
_CHUNKS = 4

Function = Callable[..., Any]
Call = tuple[Iterable[Any], Mapping[str, Any]]


class Pool:
    """Processes that run calls in parallel, as ``multiprocessing.Pool``, wherever the runtime has nodes.

    Args:
        processes: How many; as many as there are CPUs unless given.
        initializer: Called in each process before anything else.
        initargs: Its arguments.
        maxtasksperchild: After how many chunks a process ends and another takes its place.
        context: Without a meaning here.
        ray_address: The cluster to connect to where the runtime does not run yet.
        ray_remote_args: Options of the actors that are the processes.

    >>> from sheaf.util.multiprocessing import Pool
    >>> with Pool(processes=1) as pool:
    ...     pool.starmap(pow, [(2, 3), (3, 2)]), list(pool.imap(abs, [-1, 2])), pool.apply(min, (3, 2))
    ([8, 9], [1, 2], 2)
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Function | None = None,
        initargs: Iterable[Any] | None = None,
        maxtasksperchild: int | None = None,
        context: Any = None,
        ray_address: str | None = None,
        ray_remote_args: Mapping[str, Any] | None = None,
    ) -> None:
        if context is not None:
            warnings.warn("Pool: context has no meaning in Sheaf", stacklevel=2)
        if not sheaf.is_initialized():
            sheaf.init(address=ray_address or os.environ.get("RAY_ADDRESS"), num_cpus=processes)
        count = _checked(processes)
        made = sheaf.remote(num_cpus=0)(_Process)
        self._class: Any = made.options(**ray_remote_args) if ray_remote_args else made
        self._initial = (initializer, tuple(initargs or ()))
        self._limit = maxtasksperchild
        self._is_closed = False
        # The end of each process that was asked to end.
        self._ends: list[ObjectRef] = []
        self._processes = [self._new_process() for _ in range(count)]
        self._chunks = [0] * count
        self._turns = itertools.cycle(range(count))
        # An initializer that fails fails here.
        sheaf.get([process.ping.remote() for process in self._processes])

    def apply(self, func: Function, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None) -> Any:
        """Call the function in a process and wait for its result."""
        return self.apply_async(func, args, kwargs).get()

    def apply_async(
        self,
        func: Function,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> AsyncResult:
        """Call the function in a process; the result comes later, and goes to the callback."""
        ref = self._run(func, [(args or (), kwargs or {})])
        return AsyncResult([ref], is_single=True, callback=callback, error_callback=error_callback)

    def map(self, func: Function, iterable: Iterable[Any], chunksize: int | None = None) -> list[Any]:
        """The results of the function for each item, in order.

        Args:
            func: Called with one item.
            iterable: The items.
            chunksize: How many go to a process at once.
        """
        results: list[Any] = self.map_async(func, iterable, chunksize).get()
        return results

    def map_async(
        self,
        func: Function,
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callback | None = None,
        error_callback: Callback | None = None,
    ) -> AsyncResult:
        """``map`` without the wait."""
        return self.starmap_async(func, [(item,) for item in iterable], callback, error_callback, chunksize)

    def starmap(self, func: Function, iterable: Iterable[Iterable[Any]], chunksize: int | None = None) -> list[Any]:
        """``map`` for items that are all arguments of a call."""
        results: list[Any] = self.starmap_async(func, iterable, chunksize=chunksize).get()
        return results

    def starmap_async(
        self,
        func: Function,
        iterable: Iterable[Iterable[Any]],
        callback: Callback | None = None,
        error_callback: Callback | None = None,
        chunksize: int | None = None,
    ) -> AsyncResult:
        """``starmap`` without the wait."""
        self._check_open()
        calls: list[Call] = [(item, {}) for item in iterable]
        size = chunksize or max(1, -(-len(calls) // (len(self._processes) * _CHUNKS)))
        refs = [self._run(func, calls[start : start + size]) for start in range(0, len(calls), size)]
        return AsyncResult(refs, callback=callback, error_callback=error_callback)

    def imap(self, func: Function, iterable: Iterable[Any], chunksize: int | None = 1) -> IMapIterator:
        """The results in order, one by one; items are taken as results are asked for."""
        return self._imap(func, iter(iterable), chunksize or 1, is_ordered=True)

    def imap_unordered(self, func: Function, iterable: Iterable[Any], chunksize: int | None = 1) -> IMapIterator:
        """The same as ``imap``, with results as they come."""
        return self._imap(func, iter(iterable), chunksize or 1, is_ordered=False)

    def close(self) -> None:
        """Take no more calls; the processes end when those that were made have ended."""
        if self._is_closed:
            return
        self._is_closed = True
        for process in self._processes:
            self._end(process)

    def terminate(self) -> None:
        """Take no more calls, and end the processes now."""
        self.close()
        for process in self._processes:
            sheaf.kill(process)

    def join(self) -> None:
        """Wait until the processes of a closed pool have ended."""
        if not self._is_closed:
            raise ValueError("Pool is still running")
        if self._ends:
            sheaf.wait(self._ends, num_returns=len(self._ends))

    def __enter__(self) -> Pool:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.terminate()

    def _imap(self, func: Function, items: Iterator[Any], size: int, *, is_ordered: bool) -> IMapIterator:
        self._check_open()

        def submit() -> ObjectRef | None:
            calls: list[Call] = [((item,), {}) for item in itertools.islice(items, size)]
            return self._run(func, calls) if calls else None

        return IMapIterator(submit, len(self._processes), is_ordered=is_ordered)

    def _run(self, func: Function, calls: list[Call]) -> ObjectRef:
        self._check_open()
        turn = next(self._turns)
        process = self._processes[turn]
        ref: ObjectRef = process.run.remote(func, calls)
        self._chunks[turn] += 1
        if self._chunks[turn] == self._limit:
            self._end(process)
            self._processes[turn] = self._new_process()
            self._chunks[turn] = 0
        return ref

    def _new_process(self) -> Any:
        return self._class.remote(*self._initial)

    def _end(self, process: Any) -> None:
        self._ends.append(process.__ray_terminate__.remote())

    def _check_open(self) -> None:
        if self._is_closed:
            raise ValueError("Pool not running")


class _Process:
    def __init__(self, initializer: Function | None, initargs: tuple[Any, ...]) -> None:
        if initializer is not None:
            initializer(*initargs)

    def ping(self) -> None:
        pass

    def run(self, func: Function, calls: list[Call]) -> list[Any]:
        return [func(*args, **kwargs) for args, kwargs in calls]


def _checked(processes: int | None) -> int:
    cpus = int(sheaf.cluster_resources().get("CPU", 0))
    if processes is None:
        return max(1, cpus)
    if processes <= 0:
        raise ValueError("Processes in the pool must be >0.")
    if processes > cpus:
        raise ValueError(f"a Pool of {processes} processes needs as many CPUs, and the cluster has {cpus}")
    return processes
