"""Results as they come, of references that are there already and of tasks that are started for them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sheaf
from sheaf._sheaf import ObjectRef

_AT_ONCE = 10


def as_completed(
    refs: Sequence[ObjectRef],
    *,
    chunk_size: int = _AT_ONCE,
    yield_obj_refs: bool = False,
) -> Iterator[Any]:
    """The values of the references, those first that are there first.

    Args:
        refs: Each at most once.
        chunk_size: At most so many values are got at once.
        yield_obj_refs: Whether to give the references instead, which ``get`` does not wait for.

    >>> import sheaf
    >>> sorted(sheaf.util.as_completed([sheaf.put(1), sheaf.put(2)]))
    [1, 2]
    """
    if chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}, and has to be 1 or more")
    left = list(refs)
    while left:
        ready, left = sheaf.wait(left, num_returns=min(chunk_size, _ready_now(left)))
        yield from ready if yield_obj_refs else sheaf.get(ready)


def map_unordered(
    fn: Any,
    items: Iterable[Any],
    *,
    backpressure_size: int = 100,
    chunk_size: int = _AT_ONCE,
    yield_obj_refs: bool = False,
) -> Iterator[Any]:
    """The results of a remote function for each item, those first that are there first.

    Args:
        fn: A remote function, or the method of an actor.
        items: Taken as results are asked for.
        backpressure_size: At most so many calls are under way.
        chunk_size: At most so many values are got at once.
        yield_obj_refs: Whether to give references instead.

    >>> import sheaf
    >>> sorted(sheaf.util.map_unordered(sheaf.remote(abs), [-1, -2]))
    [1, 2]
    """
    if backpressure_size < 1 or chunk_size < 1:
        raise ValueError("backpressure_size and chunk_size have to be 1 or more")
    if not callable(getattr(fn, "remote", None)):
        raise TypeError(f"map_unordered() calls a remote function, and not {fn!r}\n  help: sheaf.remote(f) makes one")
    coming = iter(items)
    running: list[ObjectRef] = []
    while True:
        running.extend(fn.remote(item) for item in itertools.islice(coming, backpressure_size - len(running)))
        if not running:
            return
        ready, running = sheaf.wait(running, num_returns=min(chunk_size, _ready_now(running)))
        yield from ready if yield_obj_refs else sheaf.get(ready)


def _ready_now(refs: list[ObjectRef]) -> int:
    """How many are there; at least one, which is waited for."""
    return max(1, len(sheaf.wait(refs, num_returns=len(refs), timeout=0)[0]))
