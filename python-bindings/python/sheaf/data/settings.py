"""Classes of ``ray.data`` that say how plans run, as far as that is for users to say here."""

from __future__ import annotations

import enum
import threading
from typing import Any, ClassVar

from sheaf.compute import ActorPool, Compute, TaskPool
from sheaf.errors import InvalidInputError, UnsupportedError

__all__ = [
    "ActorPoolStrategy",
    "DataContext",
    "ExecutionOptions",
    "ExecutionResources",
    "MixStoppingCondition",
    "SaveMode",
    "TaskPoolStrategy",
]


class SaveMode(enum.StrEnum):
    """What a write does about data that is there.

    >>> import sheaf as sf
    >>> sf.data.SaveMode.APPEND.value
    'append'
    """

    CREATE = "create"
    """An error, as ``ERROR``."""
    APPEND = "append"
    """New files beside those that are there."""
    OVERWRITE = "overwrite"
    """New files instead of those that are there."""
    IGNORE = "ignore"
    """Nothing is written."""
    ERROR = "error"
    """An error."""
    UPSERT = "upsert"
    """Of tables of Iceberg; no writer here takes it."""


class MixStoppingCondition(enum.Enum):
    """When a mix ends.

    >>> import sheaf as sf
    >>> sf.data.MixStoppingCondition.STOP_ON_SHORTEST.value
    'stop_on_shortest'
    """

    STOP_ON_SHORTEST = "stop_on_shortest"
    """When a dataset has no more rows."""
    STOP_ON_LONGEST_DROP = "stop_on_longest_drop"
    """When no dataset has; until then rows are drawn from those that have."""


class TaskPoolStrategy:
    """Calls of a function in worker processes, ``size`` of them.

    >>> import sheaf as sf
    >>> sf.data.TaskPoolStrategy(size=2).size
    2
    """

    def __init__(self, size: int | None = None) -> None:
        if size is not None and size < 1:
            raise ValueError(f"size is {size}: a pool has one worker at least")
        self.size = size

    def _compute(self) -> Compute:
        return TaskPool(self.size)


class ActorPoolStrategy:
    """Instances of a class in worker processes of their own: ``size`` of them, or from ``min_size`` to ``max_size``.

    How many calls wait at a worker is the engine's to decide: ``max_tasks_in_flight_per_actor``, ``initial_size``,
    ``max_concurrent_calls_per_actor`` and ``enable_true_multi_threading`` are taken and change nothing.

    >>> import sheaf as sf
    >>> sf.data.ActorPoolStrategy(min_size=1, max_size=2).max_size
    2
    """

    def __init__(
        self,
        *,
        size: int | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        initial_size: int | None = None,
        max_tasks_in_flight_per_actor: int | None = None,
        max_concurrent_calls_per_actor: int | None = None,
        enable_true_multi_threading: bool | None = None,
    ) -> None:
        if size is not None and (min_size is not None or max_size is not None or initial_size is not None):
            raise ValueError("a pool has either a size or a least and a greatest one")
        self.min_size = size or min_size or 1
        self.max_size = size or max_size
        self.initial_size = size or initial_size or self.min_size
        self.max_tasks_in_flight_per_actor = max_tasks_in_flight_per_actor
        self.max_concurrent_calls_per_actor = max_concurrent_calls_per_actor
        self.enable_true_multi_threading = enable_true_multi_threading

    def _compute(self) -> Compute:
        return ActorPool(min=self.min_size, max=self.max_size)


def compute_of(compute: Any) -> Compute | None:
    """The pool that ``compute=`` says.

    >>> from sheaf.data.settings import ActorPoolStrategy, compute_of
    >>> compute_of(ActorPoolStrategy(size=2))
    ActorPool(size=2)
    """
    if compute is None or isinstance(compute, ActorPool | TaskPool):
        return compute
    if isinstance(compute, ActorPoolStrategy | TaskPoolStrategy):
        return compute._compute()
    error = InvalidInputError(f"compute={compute!r} says of no place where the function could run")
    error.hint = "the places are TaskPoolStrategy(size=…) and ActorPoolStrategy(size=… or min_size=…, max_size=…)"
    raise error


class ExecutionResources:
    """What a plan may use in Ray; here sessions have limits: ``sheaf.Session(threads=…, memory_limit=…)``.

    >>> import sheaf as sf
    >>> sf.data.ExecutionResources(cpu=2).cpu
    2
    """

    def __init__(
        self,
        cpu: float | None = None,
        gpu: float | None = None,
        object_store_memory: float | None = None,
        memory: float | None = None,
    ) -> None:
        self.cpu = cpu
        self.gpu = gpu
        self.object_store_memory = object_store_memory
        self.memory = memory


class ExecutionOptions:
    """How plans run in Ray; here none of it has an effect. Verbs say in their documentation whether they keep order.

    >>> import sheaf as sf
    >>> sf.data.ExecutionOptions(preserve_order=True).preserve_order
    True
    """

    def __init__(
        self,
        resource_limits: ExecutionResources | None = None,
        exclude_resources: ExecutionResources | None = None,
        preserve_order: bool = False,
        verbose_progress: bool = False,
        locality_with_output: Any = False,
    ) -> None:
        self.resource_limits = resource_limits or ExecutionResources()
        self.exclude_resources = exclude_resources or ExecutionResources()
        self.preserve_order = preserve_order
        self.verbose_progress = verbose_progress
        self.locality_with_output = locality_with_output


class DataContext:
    """Settings that Ray has and programs set: they are kept, and none of them has an effect.

    ``max_errored_blocks`` would change results, and is refused: ``on_error="skip"`` of ``map_batches`` leaves out the
    rows that fail.

    >>> import sheaf as sf
    >>> context = sf.data.DataContext.get_current()
    >>> context.target_max_block_size = 1 << 20
    >>> context.target_max_block_size
    1048576
    """

    _current: ClassVar[DataContext | None] = None
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self.execution_options = ExecutionOptions()

    @classmethod
    def get_current(cls) -> DataContext:
        """Return the one context of this process.

        >>> import sheaf as sf
        >>> sf.data.DataContext.get_current() is sf.data.DataContext.get_current()
        True
        """
        with cls._lock:
            if cls._current is None:
                cls._current = cls()
            return cls._current

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "max_errored_blocks" and value != 0:
            error = UnsupportedError("max_errored_blocks leaves out whole blocks when a function fails")
            error.hint = 'map_batches(…, on_error="skip") leaves out the rows that fail, and dead_letter= keeps them'
            raise error
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return 0 if name == "max_errored_blocks" else None
