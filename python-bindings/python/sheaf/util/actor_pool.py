"""``ActorPool``: work handed to whichever of some actors is free."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import sheaf

Submit = Callable[[Any, Any], Any]


class ActorPool:
    """Some actors, of which each has one call at a time; more calls wait until one is free.

    Args:
        actors: Handles of the actors.

    >>> import sheaf
    >>> @sheaf.remote
    ... class Doubler:
    ...     def double(self, x):
    ...         return 2 * x
    >>> pool = sheaf.util.ActorPool([Doubler.remote(), Doubler.remote()])
    >>> list(pool.map(lambda actor, x: actor.double.remote(x), [1, 2, 3]))
    [2, 4, 6]
    """

    def __init__(self, actors: Iterable[Any]) -> None:
        self._idle = list(actors)
        self._waiting: deque[tuple[Submit, Any]] = deque()
        # What runs, by number in the order of submission: the reference, or list of them, and the actor.
        self._running: dict[int, tuple[Any, Any]] = {}
        self._submitted = 0
        self._returned = 0

    def map(self, fn: Submit, values: Iterable[Any]) -> Iterator[Any]:
        """The results of ``fn(actor, value)`` in the order of the values. What was submitted before is forgotten.

        Args:
            fn: Calls a method of the actor with the value and returns its reference.
            values: What to call it with; all are submitted at once.
        """
        self._forget()
        for value in values:
            self.submit(fn, value)
        return self._rest(self.get_next)

    def map_unordered(self, fn: Submit, values: Iterable[Any]) -> Iterator[Any]:
        """The same as ``map``, with results as they come.

        >>> import sheaf
        >>> @sheaf.remote
        ... class Doubler:
        ...     def double(self, x):
        ...         return 2 * x
        >>> pool = sheaf.util.ActorPool([Doubler.remote(), Doubler.remote()])
        >>> sorted(pool.map_unordered(lambda actor, x: actor.double.remote(x), [1, 2, 3]))
        [2, 4, 6]
        """
        self._forget()
        for value in values:
            self.submit(fn, value)
        return self._rest(self.get_next_unordered)

    def submit(self, fn: Submit, value: Any) -> None:
        """Let the next actor that is free run ``fn(actor, value)``."""
        if not self._idle:
            self._waiting.append((fn, value))
            return
        actor = self._idle.pop()
        self._running[self._submitted] = (fn(actor, value), actor)
        self._submitted += 1

    def has_next(self) -> bool:
        """Whether there are results that were not returned yet."""
        return bool(self._running)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The next result in the order of submission.

        Args:
            timeout: Seconds after which ``TimeoutError`` is raised.
            ignore_if_timedout: Whether the result that is late is given up then, and its actor taken as free.
        """
        if not self.has_next():
            raise StopIteration("No more results to get")
        if self._returned >= self._submitted:
            raise ValueError("It is not allowed to call get_next() after get_next_unordered().")
        # One that get_next_unordered returned before is passed over.
        number = min(self._running)
        ref, _ = self._running[number]
        refs = ref if isinstance(ref, list) else [ref]
        is_late = timeout is not None and len(sheaf.wait(refs, num_returns=len(refs), timeout=timeout)[1]) > 0
        return self._result(number, is_late, ignore_if_timedout)

    def get_next_unordered(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The result that is there first.

        Args:
            timeout: Seconds after which ``TimeoutError`` is raised.
            ignore_if_timedout: Whether the oldest call is given up then, and its actor taken as free.
        """
        if not self.has_next():
            raise StopIteration("No more results to get")
        # The results of one call are there together.
        numbers = {ref[0] if isinstance(ref, list) else ref: number for number, (ref, _) in self._running.items()}
        ready, _ = sheaf.wait(list(numbers), num_returns=1, timeout=timeout)
        return self._result(numbers[ready[0]] if ready else min(self._running), not ready, ignore_if_timedout)

    def has_free(self) -> bool:
        """Whether an actor is free and nothing waits for one."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> Any:
        """Take an actor that is free out of the pool; ``None`` where there is none."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: Any) -> None:
        """Put one more actor into the pool."""
        if actor in self._idle or any(actor == busy for _, busy in self._running.values()):
            raise ValueError("Actor already belongs to current ActorPool")
        self._give_back(actor)

    def _result(self, number: int, is_late: bool, ignore: bool) -> Any:
        if is_late and not ignore:
            raise TimeoutError("Timed out waiting for result")
        ref, actor = self._running.pop(number)
        self._returned = max(self._returned, number + 1)
        if is_late:
            self._give_back(actor)
            raise TimeoutError(f"Timed out waiting for result. The task {ref} has been ignored.")
        try:
            result = sheaf.get(ref)
        except sheaf.exceptions.ActorDiedError:
            # The actor is not taken back, and what waits is for the others.
            raise
        except BaseException:
            self._give_back(actor)
            raise
        self._give_back(actor)
        return result

    def _give_back(self, actor: Any) -> None:
        self._idle.append(actor)
        if self._waiting:
            self.submit(*self._waiting.popleft())

    def _forget(self) -> None:
        while self._running:
            _, actor = self._running.pop(min(self._running))
            self._give_back(actor)
        self._returned = self._submitted

    def _rest(self, next_one: Callable[[], Any]) -> Iterator[Any]:
        while self.has_next():
            yield next_one()
