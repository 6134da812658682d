"""Where the function of a ``map_batches`` runs: worker processes, of a fixed number or as many as there is work for."""

from __future__ import annotations

import os
from typing import TypeAlias

from sheaf.errors import InvalidInputError

__all__ = ["ActorPool", "TaskPool"]


class TaskPool:
    """So many worker processes, in which a function runs that keeps nothing from one batch to the next.

    Args:
        size: How many there are; by default one for each CPU that the program may use.

    >>> import sheaf as sf
    >>> from sheaf.compute import TaskPool
    >>> sf.range(3).map_batches(lambda batch: batch, compute=TaskPool(size=1)).count()
    3
    """

    def __init__(self, size: int | None = None) -> None:
        _check("TaskPool", size=size)
        self.min_size = self.max_size = size or usable_cpus()

    def __repr__(self) -> str:
        return f"TaskPool(size={self.max_size})"


class ActorPool:
    """Worker processes that each make one instance of a class, or have one function, and keep it for a run.

    Args:
        size: How many there are, from the start to the end; by default one for each CPU that the program may use.
        min: How many there are at the least, instead of ``size``.
        max: How many there are at the most: one more is started while batches wait for a worker, and one that has had
            nothing to do for ten seconds ends.

    >>> import sheaf as sf
    >>> from sheaf.compute import ActorPool
    >>> class Add:
    ...     def __init__(self, by):
    ...         self.by = by
    ...     def __call__(self, batch):
    ...         return {"id": batch["id"] + self.by}
    >>> added = sf.range(3).map_batches(
    ...     Add, batch_format="numpy", compute=ActorPool(size=1), fn_constructor_args=[10]
    ... )
    >>> added.sort("id").to_pydict()
    {'id': [10, 11, 12]}
    """

    def __init__(self, size: int | None = None, *, min: int | None = None, max: int | None = None) -> None:
        _check("ActorPool", size=size, min=min, max=max)
        if size is not None and (min is not None or max is not None):
            raise InvalidInputError("an ActorPool has a size, or min and max, and not both")
        if size is None and min is None and max is None:
            size = usable_cpus()
        self.min_size = size or min or 1
        self.max_size = size or max or _largest(self.min_size, usable_cpus())
        if self.min_size > self.max_size:
            raise InvalidInputError(f"an ActorPool has min={self.min_size} and max={self.max_size}, which is less")

    def __repr__(self) -> str:
        if self.min_size == self.max_size:
            return f"ActorPool(size={self.max_size})"
        return f"ActorPool(min={self.min_size}, max={self.max_size})"


Compute: TypeAlias = TaskPool | ActorPool


def usable_cpus() -> int:
    """CPUs that this process may use.

    >>> from sheaf.compute import usable_cpus
    >>> usable_cpus() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _largest(*sizes: int) -> int:
    return max(sizes)


def _check(what: str, **sizes: int | None) -> None:
    for name, size in sizes.items():
        if size is None:
            continue
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise InvalidInputError(f"{what}({name}={size!r}) has to be a whole number from 1 on")
