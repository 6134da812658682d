"""Verbs that call functions of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sheaf import _formats
from sheaf._formats import BatchFormat, Schema
from sheaf.dataset.plan import Plan

if TYPE_CHECKING:
    from sheaf.dataset import Dataset


class Functions(Plan):
    """The methods of a ``Dataset`` that call functions of the user's."""

    def map_batches(
        self,
        fn: Callable[..., Any],
        batch_size: int | None = None,
        batch_format: BatchFormat = "pyarrow",
        *,
        schema: Schema | None = None,
        fn_args: Sequence[Any] = (),
        fn_kwargs: Mapping[str, Any] | None = None,
        keeps_partitioning: bool = False,
    ) -> Dataset:
        """What a function makes of each batch.

        The function may return a ``pyarrow.RecordBatch`` or ``Table``, a pandas or Polars frame, or a dict of columns,
        with more or fewer rows. It is called from several threads. NumPy arrays are views of the engine's memory:
        read them, do not write into them.

        Args:
            fn: The function; its first argument is the batch.
            batch_size: Rows of each call but a partition's last; by default what suits the engine.
            batch_format: What the function is given: ``"pyarrow"`` (RecordBatch), ``"pandas"``, ``"polars"``, or
                ``"numpy"`` (a dict of arrays).
            schema: The columns that the function returns. Without it the function is called once now, on the first
                batch, to see.
            fn_args: More arguments for the function.
            fn_kwargs: More arguments for the function, by name.
            keeps_partitioning: That the function returns each row's partition keys (of ``repartition(by=…)``,
                ``set_index``) under their names and as they were, so that what is known of the partitions stays known.

        >>> import sheaf as sf
        >>> sf.range(3).map_batches(lambda batch: {"twice": batch["id"] * 2}, batch_format="numpy").to_pydict()
        {'twice': [0, 2, 4]}
        """
        call = _formats.caller(fn, batch_format, fn_args, fn_kwargs or {})
        name = getattr(fn, "__qualname__", type(fn).__name__)
        arrow = _formats.to_schema(schema)
        return self._next(self._inner.map_batches(call, name, batch_size, arrow, keeps_partitioning))
