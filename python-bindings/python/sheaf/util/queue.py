"""A first-in, first-out queue that tasks, actors and the driver share: an async actor holds it."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

import sheaf


class Empty(queue.Empty):
    """The queue has nothing, or not enough, to give."""


class Full(queue.Full):
    """The queue has no room."""


class Queue:
    """A queue to be passed to tasks and actors.

    Args:
        maxsize: How many items fit; 0 for any number.
        actor_options: Options of the actor that holds the items, such as ``{"num_cpus": 1}``.

    >>> from sheaf.util.queue import Empty, Queue
    >>> items = Queue(maxsize=2)
    >>> items.put("a")
    >>> items.get()
    'a'
    >>> try:
    ...     items.get(timeout=0.1)
    ... except Empty:
    ...     print("nothing")
    nothing
    """

    def __init__(self, maxsize: int = 0, actor_options: Mapping[str, Any] | None = None) -> None:
        self.maxsize = maxsize
        self.actor: Any = sheaf.remote(_QueueActor).options(**(actor_options or {})).remote(maxsize)

    def __len__(self) -> int:
        return self.qsize()

    def size(self) -> int:
        """The number of items now."""
        return self.qsize()

    def qsize(self) -> int:
        """The number of items now."""
        size: int = sheaf.get(self.actor.qsize.remote())
        return size

    def empty(self) -> bool:
        """Whether there is no item now."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Whether there is no room now."""
        return 0 < self.maxsize <= self.qsize()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item. Raises ``Full`` where there is no room, with ``block`` only after ``timeout`` seconds."""
        _got(self._put(item, block, timeout))

    async def put_async(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """The same for coroutines."""
        await _awaited(self._put(item, block, timeout))

    def put_nowait(self, item: Any) -> None:
        """Add an item. Raises ``Full`` where there is no room."""
        self.put(item, block=False)

    def put_nowait_batch(self, items: Iterable[Any]) -> None:
        """Add all items, or raise ``Full`` and add none."""
        if not isinstance(items, Iterable):
            raise TypeError(f"put_nowait_batch() takes an iterable of items, and not a {type(items).__name__}")
        _got(self.actor.put_nowait_batch.remote(list(items)))

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the oldest item. Raises ``Empty`` where there is none, with ``block`` only after ``timeout`` seconds."""
        return _got(self._get(block, timeout))

    async def get_async(self, block: bool = True, timeout: float | None = None) -> Any:
        """The same for coroutines."""
        return await _awaited(self._get(block, timeout))

    def get_nowait(self) -> Any:
        """Take the oldest item. Raises ``Empty`` where there is none."""
        return self.get(block=False)

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Take the oldest so many items, or raise ``Empty`` and take none."""
        if not isinstance(num_items, int):
            raise TypeError(f"get_nowait_batch() takes a number of items, and not a {type(num_items).__name__}")
        if num_items < 0:
            raise ValueError(f"num_items is {num_items}, and cannot be negative")
        items: list[Any] = _got(self.actor.get_nowait_batch.remote(num_items))
        return items

    def shutdown(self, force: bool = False, grace_period_s: float = 5) -> None:
        """End the queue; what it holds is lost.

        Args:
            force: Whether it ends now, and not after the calls that were made before.
            grace_period_s: Seconds that those calls have.
        """
        if self.actor is None:
            return
        if not force:
            ended = self.actor.__ray_terminate__.remote()
            force = not sheaf.wait([ended], timeout=grace_period_s)[0]
        if force:
            sheaf.kill(self.actor)
        self.actor = None

    def _put(self, item: Any, block: bool, timeout: float | None) -> Any:
        _check(timeout)
        return self.actor.put.remote(item, timeout) if block else self.actor.put_nowait_batch.remote([item])

    def _get(self, block: bool, timeout: float | None) -> Any:
        _check(timeout)
        return self.actor.get.remote(timeout) if block else self.actor.get_nowait.remote()


class _QueueActor:
    def __init__(self, maxsize: int) -> None:
        self._items: asyncio.Queue[Any] = asyncio.Queue(maxsize)

    async def put(self, item: Any, timeout: float | None) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._items.put(item)
        except TimeoutError:
            raise Full(f"the queue of {self._items.maxsize} items had no room for {timeout} s") from None

    async def get(self, timeout: float | None) -> Any:
        try:
            async with asyncio.timeout(timeout):
                return await self._items.get()
        except TimeoutError:
            raise Empty(f"the queue was empty for {timeout} s") from None

    def put_nowait_batch(self, items: list[Any]) -> None:
        room = self._items.maxsize - self._items.qsize()
        if self._items.maxsize > 0 and len(items) > room:
            raise Full(f"Cannot add {len(items)} items to a queue with room for {room} of {self._items.maxsize}.")
        for item in items:
            self._items.put_nowait(item)

    def get_nowait(self) -> Any:
        return self.get_nowait_batch(1)[0]

    def get_nowait_batch(self, count: int) -> list[Any]:
        if count > self._items.qsize():
            raise Empty(f"Cannot get {count} items from a queue of {self._items.qsize()}.")
        return [self._items.get_nowait() for _ in range(count)]

    def qsize(self) -> int:
        return self._items.qsize()


def _check(timeout: float | None) -> None:
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")


def _got(ref: Any) -> Any:
    try:
        return sheaf.get(ref)
    except (Empty, Full) as error:
        raise _plain(error) from None


async def _awaited(ref: Awaitable[Any]) -> Any:
    try:
        return await ref
    except (Empty, Full) as error:
        raise _plain(error) from None


def _plain(error: Empty | Full) -> Exception:
    """The exception itself: that it was raised in an actor is nothing to tell."""
    cause = getattr(error, "cause", error)
    return cause if isinstance(cause, Exception) else error
