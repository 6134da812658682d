"""Verbs that call functions of the user's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from sheaf import _formats
from sheaf._formats import BatchFormat, Schema
from sheaf._functions.options import BatchSize, OnError, Options
from sheaf._functions.spec import Spec
from sheaf.compute import Compute
from sheaf.dataset.plan import Plan

if TYPE_CHECKING:
    from sheaf.dataset import Dataset


class Functions(Plan):
    """The methods of a ``Dataset`` that call functions of the user's."""

    def map_batches(
        self,
        fn: Callable[..., Any],
        batch_size: BatchSize = None,
        batch_format: BatchFormat = "pyarrow",
        *,
        schema: Schema | None = None,
        fn_args: Sequence[Any] = (),
        fn_kwargs: Mapping[str, Any] | None = None,
        fn_constructor_args: Sequence[Any] = (),
        fn_constructor_kwargs: Mapping[str, Any] | None = None,
        compute: Compute | Literal["threads"] | None = None,
        concurrency: int | tuple[int, int] | None = None,
        max_concurrency: int = 16,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: int | None = None,
        resources: Mapping[str, float] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        on_error: OnError | None = None,
        dead_letter: str | os.PathLike[str] | None = None,
        max_retries: int = 3,
        retry_on: type[Exception] | Sequence[type[Exception]] = (),
        timeout: float | None = None,
        deterministic: bool = True,
        keeps_partitioning: bool = False,
    ) -> Dataset:
        """What a function makes of each batch. Results keep the order of the batches within each partition.

        The function may return a ``pyarrow.RecordBatch`` or ``Table``, a pandas or Polars frame, or a dict of columns
        (lists, arrays, tensors), with more or fewer rows. A generator function yields any number of them. Of a
        coroutine function, or an asynchronous generator, many calls are under way at once. A class is instantiated
        first; its instances are called, each by one thread at a time.

        A function runs on the engine's threads, several at once, unless one of ``compute``, ``concurrency``,
        ``timeout`` or what a worker asks for is given: then in worker processes, as classes always do where
        ``compute`` is not ``"threads"``. NumPy arrays and tensors are views of the engine's memory: read them, do not
        write into them.

        Args:
            fn: The function, or a class whose instances are functions; its first argument is the batch.
            batch_size: Rows of each call but a partition's last; or bytes of each call, about, as text (``"64MB"``);
                by default, or with ``"auto"``, what suits the engine.
            batch_format: What the function is given: ``"pyarrow"`` (RecordBatch), ``"pandas"``, ``"polars"``,
                ``"numpy"`` or ``"torch"`` (dicts of arrays or tensors).
            schema: The columns that the function returns. Without it the function is called once now, on the first
                batch, to see.
            fn_args: More arguments for the function; ``fn_kwargs`` by name.
            fn_constructor_args: Arguments of the class; ``fn_constructor_kwargs`` by name.
            compute: Where the function runs: ``TaskPool(size)``, ``ActorPool(size)``, ``ActorPool(min=, max=)``, or
                ``"threads"``. A pool starts at its full size when the plan runs, and ends with the run.
            concurrency: So many workers, or the least and the most, instead of ``compute``.
            max_concurrency: Calls of a coroutine function that are under way at once: in all, or in each worker.
            num_cpus: CPUs that each worker reserves. By default it needs one to start and then reserves none.
            num_gpus: GPUs, or parts of one, that each worker reserves. Without ``num_cpus`` it needs no CPU then.
            memory: Bytes that each worker reserves and may have. One with more is stopped, and its batch is tried again
                in two halves.
            resources: Other resources that each worker reserves.
            runtime_env: The environment of the workers.
            on_error: What becomes of rows at which the function fails: ``"raise"`` ends the run, ``"skip"`` leaves them
                out, ``"null"`` makes a row of nulls of each. A batch that fails is halved until they are found, so the
                function has to do the same for a row in whatever batch it is.
            dead_letter: A folder where those rows are written as Parquet, once the run has ended well: with the columns
                ``_error``, ``_traceback``, ``_attempt``, ``_partition`` and ``_row``; and of rows that come from files
                ``_file`` and ``_file_row``. ``on_error`` is ``"skip"`` then, unless it is given.
            max_retries: How often a batch is tried again whose worker ended or that took too long, or that raised one
                of ``retry_on``.
            retry_on: Types of exceptions that are worth another try. The results of a call are then kept back until it
                has ended well.
            timeout: Seconds that a call may take: then its worker is stopped, and the batch tried again.
            deterministic: Whether the function gives the same for the same batch each time, and, without
                ``batch_size``, for the same rows however they are cut into batches.
            keeps_partitioning: That the function returns each row's partition keys (of ``repartition(by=…)``,
                ``set_index``) under their names and as they were, so that what is known of the partitions stays known.

        >>> import sheaf as sf
        >>> sf.range(3).map_batches(lambda batch: {"twice": batch["id"] * 2}, batch_format="numpy").to_pydict()
        {'twice': [0, 2, 4]}
        >>> sf.from_pydict({"n": [1, 0, 4]}).map_batches(
        ...     lambda batch: {"inverse": [1 / n for n in batch["n"].tolist()]}, batch_format="numpy", on_error="skip"
        ... ).to_pydict()
        {'inverse': [1.0, 0.25]}
        """
        types = (retry_on,) if isinstance(retry_on, type) else tuple(retry_on)
        constructor = (fn_constructor_args, fn_constructor_kwargs or {})
        spec = Spec(fn, batch_format, fn_args, fn_kwargs or {}, *constructor, types)
        options = Options(
            batch_size=batch_size,
            compute=compute,
            concurrency=concurrency,
            max_concurrency=max_concurrency,
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            memory=memory,
            resources=resources,
            runtime_env=runtime_env,
            on_error=on_error,
            dead_letter=None if dead_letter is None else os.fspath(dead_letter),
            max_retries=max_retries,
            timeout=timeout,
            deterministic=deterministic,
            keeps_partitioning=keeps_partitioning,
        )
        return self._call(spec, options, _formats.to_schema(schema))

    def _call(self, spec: Spec, options: Options, schema: pa.Schema | None) -> Dataset:
        call, how = options.how(spec)
        return self._next(self._inner.map_batches(call, spec.name, options.rows, schema, how))
