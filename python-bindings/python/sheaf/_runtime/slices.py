"""Arrow data that shows a small part of large buffers, as slices do: it is sent as that part alone."""

from __future__ import annotations

from typing import Any

# A buffer as large as this, of which less than half shows, is worth a copy of what shows.
_WORTH_BYTES = 64 * 1024
_WORTH_FACTOR = 2


def reduce(value: Any) -> Any:
    """How pickle writes a value of ``pyarrow.lib``: ``NotImplemented`` for the way that pyarrow has itself.

    >>> import pickle, pyarrow as pa
    >>> from sheaf._runtime import slices
    >>> few = pa.array(range(100_000)).slice(7, 2)
    >>> restore, arguments = slices.reduce(few)
    >>> restore(*arguments).to_pylist(), len(pickle.dumps(arguments)) < 1000
    ([7, 8], True)
    """
    size = getattr(value, "get_total_buffer_size", None)
    if size is None or size() < max(_WORTH_BYTES, _WORTH_FACTOR * value.nbytes):
        return NotImplemented
    import pyarrow as pa

    if isinstance(value, pa.Table):
        return _read_table, _written(value)
    if isinstance(value, pa.ChunkedArray):
        return _read_chunks, _written(pa.table([value], names=[""]))
    if isinstance(value, pa.RecordBatch):
        return _read_batch, _written(value)
    return _read_array, _written(pa.record_batch([value], names=[""]))


def _written(data: Any) -> tuple[Any, bool]:
    """The data as an Arrow stream, and whether it has columns of Python objects, whose type that does not keep."""
    import pyarrow as pa

    from sheaf import _objects

    has_objects = bool(_objects.names(data.schema))
    if has_objects:
        data = _objects.trusted(data)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, data.schema) as writer:
        writer.write(data)
    return sink.getvalue(), has_objects


def _read_table(data: Any, has_objects: bool) -> Any:
    import pyarrow as pa

    return _shown(pa.ipc.open_stream(data).read_all(), has_objects)


def _read_chunks(data: Any, has_objects: bool) -> Any:
    return _read_table(data, has_objects).column(0)


def _read_batch(data: Any, has_objects: bool) -> Any:
    import pyarrow as pa

    return _shown(pa.ipc.open_stream(data).read_next_batch(), has_objects)


def _read_array(data: Any, has_objects: bool) -> Any:
    return _read_batch(data, has_objects).column(0)


def _shown(read: Any, has_objects: bool) -> Any:
    if not has_objects:
        return read
    from sheaf import _objects

    return _objects.shown(read)
