"""Datasets as objects of the runtime: ``to_*_refs``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sheaf import _formats
from sheaf.dataset.plan import Plan

if TYPE_CHECKING:
    from sheaf._runtime.api import ObjectRef

# An object of this size is worth the messages that it takes, and a task that reads one needs little memory.
OBJECT_BYTES = 128 << 20


class References(Plan):
    """The methods of a ``Dataset`` that run it into the runtime's object store."""

    def to_arrow_refs(self, *, object_bytes: int = OBJECT_BYTES) -> list[ObjectRef]:
        """Runs the plan and puts its partitions into the object store, as ``pyarrow.Table``: for tasks and actors.

        The references are in the order of the partitions, and each partition has one at least. On this node everybody
        reads the tables without a copy.

        Args:
            object_bytes: A partition that is larger becomes several objects of about this size.

        >>> import sheaf as sf
        >>> @sf.remote
        ... def rows(table):
        ...     return table.num_rows
        >>> refs = sf.range(100).to_arrow_refs()
        >>> sum(sf.get([rows.remote(ref) for ref in refs]))
        100
        """
        return self._put_parts(lambda table: table, object_bytes)

    def to_pandas_refs(self, *, object_bytes: int = OBJECT_BYTES) -> list[ObjectRef]:
        """As ``to_arrow_refs``, with a ``pandas.DataFrame`` in each object.

        >>> import sheaf as sf
        >>> [ref] = sf.range(2).to_pandas_refs()
        >>> sf.get(ref)
           id
        0   0
        1   1
        """
        return self._put_parts(lambda table: table.to_pandas(), object_bytes)

    def to_numpy_refs(self, *, column: str | None = None, object_bytes: int = OBJECT_BYTES) -> list[ObjectRef]:
        """As ``to_arrow_refs``, with a dict of NumPy arrays by column in each object.

        Args:
            column: Put the array of this column alone.
            object_bytes: As for ``to_arrow_refs``.

        >>> import sheaf as sf
        >>> [ref] = sf.range(3).to_numpy_refs(column="id")
        >>> sf.get(ref)
        array([0, 1, 2])
        """
        if column is not None:
            return self._next(self._inner.select([column]))._put_parts(
                lambda table: _arrays(table)[column], object_bytes
            )
        return self._put_parts(_arrays, object_bytes)

    def _put_parts(self, make: Callable[[pa.Table], Any], object_bytes: int) -> list[ObjectRef]:
        from sheaf._runtime.api import put

        parts = self._inner.iter_partitions()
        schema = parts.schema()
        waiting: list[list[pa.RecordBatch]] = [[] for _ in range(parts.partitions())]
        sizes = [0] * len(waiting)
        refs: list[list[ObjectRef]] = [[] for _ in waiting]

        def store(partition: int) -> None:
            refs[partition].append(put(make(pa.Table.from_batches(waiting[partition], schema=schema))))
            waiting[partition], sizes[partition] = [], 0

        for partition, batch in parts:
            if waiting[partition] and sizes[partition] + batch.nbytes > object_bytes:
                store(partition)
            waiting[partition].append(batch)
            sizes[partition] += batch.nbytes
        for partition, batches in enumerate(waiting):
            if batches or not refs[partition]:
                store(partition)
        return [ref for partition in refs for ref in partition]


def _arrays(table: pa.Table) -> dict[str, Any]:
    return {name: _formats.column_to_numpy(_whole(table.column(name))) for name in table.column_names}


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece, which is a copy unless it is one already."""
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
