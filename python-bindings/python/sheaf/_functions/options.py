"""The options of ``map_batches``: checked, and as the engine takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

from sheaf import _formats
from sheaf._functions.spec import Instances, Spec
from sheaf.compute import ActorPool, Compute, TaskPool
from sheaf.errors import InvalidInputError

OnError: TypeAlias = Literal["raise", "skip", "null"]
BatchSize: TypeAlias = "int | str | None"

STALL_SECONDS = 60.0
"""After so long without a batch that ends, a pool tells what its workers do."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user said besides the function."""

    batch_size: BatchSize = None
    compute: Compute | Literal["threads"] | None = None
    concurrency: int | tuple[int, int] | None = None
    max_concurrency: int = 16
    num_cpus: float | None = None
    num_gpus: float | None = None
    memory: int | None = None
    resources: Mapping[str, float] | None = None
    runtime_env: Mapping[str, Any] | None = None
    on_error: OnError | None = None
    dead_letter: str | None = None
    max_retries: int = 3
    timeout: float | None = None
    deterministic: bool = True
    keeps_partitioning: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.max_concurrency, int) or self.max_concurrency < 1:
            raise InvalidInputError(f"max_concurrency={self.max_concurrency!r} has to be a whole number from 1 on")
        if not isinstance(self.max_retries, int) or self.max_retries < 0:
            raise InvalidInputError(f"max_retries={self.max_retries!r} has to be a whole number from 0 on")
        if self.timeout is not None and self.timeout <= 0:
            raise InvalidInputError(f"timeout={self.timeout!r} has to be more than 0 seconds")

    @property
    def rows(self) -> int | None:
        """Rows of a batch, where they are given."""
        return self.batch_size if isinstance(self.batch_size, int) else None

    def how(self, spec: Spec) -> tuple[Callable[..., Any], dict[str, Any]]:
        """What the engine calls on its threads, and how it calls: ``map_batches`` of the native dataset takes both."""
        # A format that is not there is told before anything runs.
        _formats.giver(spec.batch_format)
        compute = self._compute(spec)
        how = {
            "batch_bytes": self.batch_size if isinstance(self.batch_size, str) and self.batch_size != "auto" else None,
            "on_error": self.on_error or ("skip" if self.dead_letter else "raise"),
            "max_retries": self.max_retries,
            "retry_on": spec.retry_on,
            "retries_errors": bool(spec.retry_on),
            "dead_letter": self.dead_letter,
            "deterministic": self.deterministic,
            "keeps_partitioning": self.keeps_partitioning,
            "event_loop": None,
            "pool": None,
        }
        if compute is not None:
            return spec.function, how | {"pool": self._pool(spec, compute)}
        if spec.is_async:
            from sheaf._functions.event_loop import EventLoop

            return spec.function, how | {
                "event_loop": (partial(EventLoop, spec.async_caller, self.max_concurrency), self.max_concurrency)
            }
        return (Instances(spec) if spec.is_class else spec.caller()), how

    def _compute(self, spec: Spec) -> Compute | None:
        """The pool in whose processes the function runs; ``None`` for the engine's threads."""
        of_workers = [*self._actor_options(), *(["timeout"] if self.timeout is not None else [])]
        if self.concurrency is not None:
            of_workers.append("concurrency")
        if self.compute == "threads":
            if of_workers:
                raise InvalidInputError(f'{of_workers[0]}= is of worker processes, and compute="threads" has none')
            return None
        if self.compute is not None:
            if not isinstance(self.compute, TaskPool | ActorPool):
                error = InvalidInputError(f"compute={self.compute!r} says of no place where the function could run")
                error.hint = 'the places are TaskPool(…), ActorPool(…), and "threads"'
                raise error
            if self.concurrency is not None:
                raise InvalidInputError("compute= says how many workers there are, and so does concurrency=")
            if spec.is_class and isinstance(self.compute, TaskPool):
                raise InvalidInputError("a TaskPool runs functions; for the instances of a class use ActorPool")
            return self.compute
        if isinstance(self.concurrency, tuple):
            least, most = self.concurrency
            return ActorPool(min=least, max=most)
        if of_workers or spec.is_class:
            return ActorPool(self.concurrency) if spec.is_class else TaskPool(self.concurrency)
        return None

    def _actor_options(self) -> dict[str, Any]:
        """What a worker asks for, as the runtime names it."""
        names = ("num_cpus", "num_gpus", "memory", "resources", "runtime_env")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        # What waits for a GPU does not wait for a CPU of the same node too.
        return {**given, **({} if "num_cpus" in given else {"num_cpus": 0})} if self.num_gpus else given

    def _pool(self, spec: Spec, compute: Compute) -> dict[str, Any]:
        from sheaf._functions.pool import Opener
        from sheaf._runtime import options

        given = self._actor_options()
        options.check(given, options.ACTOR, "map_batches")
        concurrency = self.max_concurrency if spec.is_async else 1
        return {
            "open": Opener(spec, given, concurrency),
            "min_workers": compute.min_size,
            "max_workers": compute.max_size,
            "concurrency": concurrency,
            "timeout": self.timeout,
            "memory": self.memory,
            "stall": STALL_SECONDS,
            "holds_cpus": bool(given.get("num_cpus")),
        }
