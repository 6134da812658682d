"""Values that Arrow cannot hold: a column of them is pickled bytes, under a type that makes them values again.

To read a pickle runs what is in it. PyArrow is therefore not told of the type: what it reads from files and from other
programs stays bytes, whatever it says of itself. The columns that this program and its workers made are given their
type by ``shown``.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import cloudpickle
import pyarrow as pa

from sheaf.errors import TypeMismatchError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl

NAME = "sheaf.python_object"
_NAME_KEY, _METADATA_KEY = b"ARROW:extension:name", b"ARROW:extension:metadata"

# What PyArrow raises for values of which it can make no column.
NOT_HELD = (pa.ArrowException, OverflowError, TypeError, ValueError)

Columns = TypeVar("Columns", pa.Table, pa.RecordBatch)


class ObjectScalar(pa.ExtensionScalar):  # type: ignore[misc]
    """One value."""

    def as_py(self, **_options: Any) -> Any:
        """The object; ``None`` for null."""
        return None if self.value is None else pickle.loads(self.value.as_buffer())


class ObjectArray(pa.ExtensionArray):  # type: ignore[misc]
    """A column of values."""

    def to_pylist(self, **_options: Any) -> list[Any]:
        """The objects; ``None`` for null."""
        return [None if pickled is None else pickle.loads(pickled) for pickled in self.storage.to_pylist()]

    def to_numpy(self, zero_copy_only: bool = False, writable: bool = False) -> np.ndarray[Any, Any]:
        """The objects as an array of objects."""
        return _array(self.to_pylist())


class ObjectType(pa.ExtensionType):  # type: ignore[misc]
    """The type of a column of Python objects; ``object_`` makes it."""

    def __init__(self) -> None:
        super().__init__(pa.large_binary(), NAME)

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> ObjectType:
        return cls()

    def __arrow_ext_class__(self) -> type[ObjectArray]:
        return ObjectArray

    def __arrow_ext_scalar_class__(self) -> type[ObjectScalar]:
        return ObjectScalar

    def __reduce__(self) -> tuple[type[ObjectType], tuple[()]]:
        return ObjectType, ()


_TYPE = ObjectType()


def object_() -> pa.DataType:
    """The type of a column of Python objects, for ``schema=`` and ``return_dtype=``: values of any class, pickled.

    Functions are given the objects, and so is whoever reads the rows. The engine carries them; it does not sort by
    them, compare them or write them to files.

    >>> import sheaf as sf
    >>> sf.range(2).map(lambda row: {"s": {row["id"], "x"}}, schema={"s": sf.object_()}).take(1)
    [{'s': {0, 'x'}}]
    """
    return _TYPE


def is_object(kind: pa.DataType) -> bool:
    """Whether the type is that of Python objects."""
    return isinstance(kind, ObjectType)


def column(values: Sequence[Any]) -> pa.Array:
    """A column of these objects; ``None`` is null."""
    try:
        pickled = [None if value is None else cloudpickle.dumps(value) for value in values]
    except Exception as error:
        failed = TypeMismatchError(f"Arrow cannot hold these values, and they cannot be pickled: {error}")
        failed.hint = "return what can: numbers, text, lists, dicts, or objects that pickle"
        raise failed from error
    return pa.ExtensionArray.from_storage(_TYPE, pa.array(pickled, pa.large_binary()))


def shown(data: Columns) -> Columns:
    """Columns that this program or a worker of it made, with their type where they are objects.

    >>> import pyarrow as pa
    >>> from sheaf import _objects
    >>> sent = pa.RecordBatch._import_from_c_capsule(
    ...     *pa.record_batch({"a": _objects.column([{1}])}).__arrow_c_array__()
    ... )
    >>> sent.schema.field("a").type, _objects.shown(sent).to_pylist()
    (DataType(large_binary), [{'a': {1}}])
    """
    for at in _claimed(data.schema):
        field, stored = data.schema.field(at), data.column(at)
        chunks = stored.chunks if isinstance(stored, pa.ChunkedArray) else [stored]
        arrays = [pa.ExtensionArray.from_storage(_TYPE, chunk.cast(pa.large_binary())) for chunk in chunks]
        made = pa.chunked_array(arrays, _TYPE) if isinstance(stored, pa.ChunkedArray) else arrays[0]
        data = data.set_column(at, pa.field(field.name, _TYPE, field.nullable), made)
    return data


def shown_array(stored: pa.Array) -> pa.Array:
    """The same of one column that is known to be of objects."""
    return pa.ExtensionArray.from_storage(_TYPE, stored.cast(pa.large_binary()))


def shown_schema(schema: pa.Schema) -> pa.Schema:
    """The same of the columns' names and types."""
    for at in _claimed(schema):
        schema = schema.set(at, pa.field(schema.field(at).name, _TYPE, schema.field(at).nullable))
    return schema


def trusted(data: Columns) -> Columns:
    """What comes from anywhere: bytes that only claim to be objects are bytes."""
    claimed = list(_claimed(data.schema))
    if not claimed:
        return data
    schema = data.schema
    for at in claimed:
        field = schema.field(at)
        rest = {key: value for key, value in field.metadata.items() if key not in (_NAME_KEY, _METADATA_KEY)}
        schema = schema.set(at, field.with_metadata(rest))
    return data.cast(schema)


def are_in(data: Any) -> bool:
    """Whether there are columns of objects, and none that only claims to be."""
    schema = getattr(data, "schema", None)
    if not isinstance(schema, pa.Schema):
        return False
    return any(is_object(kind) for kind in schema.types) and not any(_claimed(schema))


def names(schema: pa.Schema) -> list[str]:
    """The columns of objects."""
    return [field.name for field in schema if is_object(field.type)]


def to_pandas(data: pa.Table | pa.RecordBatch, **options: Any) -> pd.DataFrame:
    """A frame with the objects in columns of objects."""
    objects = [at for at, kind in enumerate(data.schema.types) if is_object(kind)]
    held = {at: data.column(at).to_pylist() for at in objects}
    for at in objects:
        # Their place is kept by nulls, which become the objects.
        name = data.schema.field(at).name
        data = data.set_column(at, pa.field(name, pa.null()), pa.nulls(data.num_rows))
    frame: pd.DataFrame = data.to_pandas(**options)
    if held:
        import pandas as pd

        for at, values in held.items():
            frame.isetitem(at, pd.Series(_array(values), index=frame.index, dtype=object))
    return frame


def to_polars(data: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    """A frame with the objects in columns of ``polars.Object``."""
    import polars as pl

    objects = names(data.schema)
    if not objects:
        frame = pl.from_arrow(data, rechunk=False) if isinstance(data, pa.Table) else pl.DataFrame(data)
        assert isinstance(frame, pl.DataFrame)
        return frame
    held = {name: pl.Series(name, data.column(name).to_pylist(), dtype=pl.Object) for name in objects}
    others = pl.DataFrame(data.drop_columns(objects))
    return pl.DataFrame([held[name] if name in held else others[name] for name in data.schema.names])


def _array(values: list[Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    made = np.empty(len(values), dtype=object)
    for at, value in enumerate(values):
        made[at] = value
    return made


def _claimed(schema: pa.Schema) -> Iterator[int]:
    """The columns whose metadata says that they are objects, and whose type does not."""
    for at, field in enumerate(schema):
        metadata = field.metadata
        if metadata and metadata.get(_NAME_KEY) == NAME.encode():
            yield at
