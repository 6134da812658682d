"""Batches in the formats that user functions and iterators want, and back: without a copy wherever types allow."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pyarrow as pa

from sheaf import _objects, _sheaf
from sheaf.errors import InvalidInputError, TypeMismatchError
from sheaf.types import DataType

if TYPE_CHECKING:
    import numpy as np

Schema: TypeAlias = "pa.Schema | Mapping[str, DataType]"
BatchFormat: TypeAlias = Literal["pyarrow", "pandas", "polars", "numpy", "torch", "pyarrow.Table"]


def to_numpy(batch: pa.RecordBatch) -> dict[str, np.ndarray[Any, Any]]:
    """Columns as arrays: views of the batch where it holds no nulls; nulls of numbers are NaN."""
    return dict(zip(batch.schema.names, map(column_to_numpy, batch.columns), strict=True))


def column_to_numpy(column: pa.Array) -> np.ndarray[Any, Any]:
    """One column; lists of one fixed size become rows of a matrix, lists of such lists of an array of more axes."""
    if pa.types.is_fixed_size_list(column.type) and column.null_count == 0:
        values = column_to_numpy(column.flatten())
        return values.reshape(len(column), column.type.list_size, *values.shape[1:])
    # Of objects too: their type makes them.
    flat: np.ndarray[Any, Any] = column.to_numpy(zero_copy_only=False)
    return flat


def to_pandas(batch: pa.RecordBatch) -> Any:
    """A ``pandas.DataFrame``."""
    return _objects.to_pandas(batch)


def to_polars(batch: pa.RecordBatch) -> Any:
    """A ``polars.DataFrame``."""
    return _objects.to_polars(batch)


def to_torch(batch: pa.RecordBatch) -> dict[str, Any]:
    """Columns as ``torch.Tensor``: over the batch's memory where it holds no nulls, so that they are not to be written
    into.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        missing = InvalidInputError('the batch format "torch" needs PyTorch')
        missing.hint = 'pip install torch, or take "numpy"'
        raise missing from error
    tensors = {}
    for name, column in to_numpy(batch).items():
        if column.dtype.kind not in "biufc":
            raise TypeMismatchError(
                f"the column {name!r} of type {batch.schema.field(name).type} is no column of numbers, which a tensor "
                'needs\n  help: select the columns of numbers before, or take the format "numpy"'
            )
        with warnings.catch_warnings():
            # Of arrays that are not to be written into, as those here.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            tensors[name] = torch.from_numpy(column)
    return tensors


def same(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch as it is."""
    return batch


def to_table(batch: pa.RecordBatch) -> pa.Table:
    """The batch as a ``pyarrow.Table``, which is what Ray gives, of types that PyArrow computes with."""
    return pa.Table.from_batches([batch]).cast(without_views(batch.schema))


def without_views(schema: pa.Schema) -> pa.Schema:
    """The columns with plain texts and bytes instead of views of them, for which PyArrow has few functions."""
    return pa.schema([field.with_type(_plain(field.type)) for field in schema])


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type with plain texts and bytes, also within lists and structs."""
    if kind in (pa.string_view(), pa.binary_view()):
        return pa.string() if kind == pa.string_view() else pa.binary()
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind])
    for is_it, make in ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list)):
        if is_it(kind):
            return make(kind.value_field.with_type(_plain(kind.value_type)))
    return kind


GIVE: dict[str, Callable[[pa.RecordBatch], Any]] = {
    "pyarrow": same,
    "pandas": to_pandas,
    "polars": to_polars,
    "numpy": to_numpy,
    "torch": to_torch,
    "pyarrow.Table": to_table,
}


def giver(batch_format: str) -> Callable[[pa.RecordBatch], Any]:
    """What makes batches of this format."""
    try:
        return GIVE[batch_format]
    except KeyError:
        error = InvalidInputError(f"there is no batch format {batch_format!r}")
        error.hint = f"the formats are {', '.join(GIVE)}"
        raise error from None


def caller(
    function: Callable[..., Any], batch_format: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Callable[[pa.RecordBatch], Any]:
    """The user's function over record batches: the engine calls this once for each batch."""
    give = giver(batch_format)

    def call(batch: pa.RecordBatch) -> Any:
        return results(function(give(batch), *args, **kwargs))

    return call


def results(made: Any) -> Any:
    """What a call made, as something with the Arrow C interface, or as an iterator of such where it yields."""
    is_iterator = isinstance(made, Iterator) and not hasattr(made, "__arrow_c_stream__")
    return map(take, made) if is_iterator else take(made)


def take(result: Any) -> Any:
    """What a function returned, as something with the Arrow C interface."""
    if isinstance(result, pa.RecordBatch | pa.Table):
        return _objects.trusted(result)
    if isinstance(result, dict):
        return pa.RecordBatch.from_arrays([column_from(values) for values in result.values()], names=list(result))
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(result, pandas.DataFrame):
        return from_pandas(result)
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(result, polars.DataFrame):
        return from_polars(result)
    is_column = isinstance(result, pa.Array | pa.ChunkedArray) or type(result).__name__ == "Series"
    if not is_column and (hasattr(result, "__arrow_c_stream__") or hasattr(result, "__arrow_c_array__")):
        return _objects.trusted(pa.table(result))
    raise TypeMismatchError(
        f"a function of map_batches returned {type(result).__name__}\n"
        "  help: return a pyarrow.RecordBatch or Table, a pandas or Polars DataFrame, or a dict of columns"
    )


def column_from(values: Any) -> pa.Array:
    """A column of an array, an array of more axes (lists of one size), a list, or an Arrow array.

    Values that Arrow has no one type for are Python objects.
    """
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks()
    if type(values).__module__ == "torch":
        values = values.detach().cpu().numpy()
    if getattr(values, "ndim", 1) > 1:
        inner = column_from(values.reshape(-1, *values.shape[2:]))
        return pa.FixedSizeListArray.from_arrays(inner, values.shape[1])
    try:
        return pa.array(values)
    except _objects.NOT_HELD:
        if not isinstance(values, list | tuple) and not hasattr(values, "tolist"):
            raise
        return _objects.column(list(values))


def to_columns(columns: Mapping[str, Any], schema: pa.Schema | None) -> pa.Table:
    """A table of columns by name, of these types where they are given."""
    if schema is not None and not _objects.names(schema):
        return pa.table(dict(columns), schema=schema)
    if schema is None:
        try:
            return pa.table(dict(columns))
        except _objects.NOT_HELD:
            return pa.table({name: column_from(values) for name, values in columns.items()})
    made = [
        _objects.column(list(columns[field.name]))
        if _objects.is_object(field.type)
        else pa.array(columns[field.name], field.type)
        for field in schema
    ]
    return pa.table(made, schema=schema)


def column_of(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    """A column of values of Python's, of this type where one is given; what the type does not hold is an error.

    Without a type, values that Arrow has no one type for are Python objects.

    >>> from sheaf._formats import column_of
    >>> column_of([1, "a"], None).to_pylist()
    [1, 'a']
    """
    if kind is not None and _objects.is_object(kind):
        return _objects.column(values)
    try:
        made = pa.array(values)
    except _objects.NOT_HELD:
        return _objects.column(values) if kind is None else pa.array(values, kind)
    if kind is None or made.type == kind:
        return made
    if "double" in str(made.type) and "int" in str(kind):
        # PyArrow would cut numbers off without a word.
        return made.cast(kind)
    return pa.array(values, kind)


def from_pandas(frame: Any) -> pa.Table:
    """A table of a ``pandas.DataFrame``: its index is left out, and so is what pandas says of itself."""
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return _with_objects(frame)
    return table.replace_schema_metadata(None)


def _with_objects(frame: Any) -> pa.Table:
    """The same of a frame with columns that Arrow has no type for: they are Python objects."""
    columns = {}
    for at, name in enumerate(frame.columns):
        try:
            columns[str(name)] = from_pandas_column(frame.iloc[:, [at]])
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            column = frame.iloc[:, at]
            columns[str(name)] = _objects.column(column.astype(object).where(column.notna(), None).tolist())
    return pa.table(columns)


def from_pandas_column(frame: Any) -> pa.ChunkedArray:
    """The one column of a ``pandas.DataFrame``."""
    return pa.Table.from_pandas(frame, preserve_index=False).column(0)


def from_polars(frame: Any) -> Any:
    """A ``polars.DataFrame`` as something with the Arrow C interface: itself, unless it has columns of nulls only.

    Polars gives such columns a buffer that the interface does not allow; PyArrow takes it away.
    """
    import polars as pl

    objects = [name for name, kind in frame.schema.items() if kind == pl.Object]
    for name, kind in frame.schema.items():
        if name not in objects and holds(kind, pl.Object):
            raise TypeMismatchError(
                f"the column {name!r} holds Python objects inside its values, for which Arrow has no type\n"
                "  help: give it a type, as with map_elements(…, return_dtype=…), or drop it"
            )
    if objects or any(isinstance(kind, pl.BaseExtension) for kind in frame.dtypes):
        held = {name: _objects.column(frame[name].to_list()) for name in objects}
        others = _objects.trusted(frame.drop(objects).to_arrow(compat_level=pl.CompatLevel.newest()))
        return pa.table({name: held[name] if name in held else others.column(name) for name in frame.columns})
    has_nulls = any(holds(kind, pl.Null) for kind in frame.dtypes)
    return frame.to_arrow(compat_level=pl.CompatLevel.newest()) if has_nulls else frame


def holds(kind: Any, wanted: Any) -> bool:
    """Whether a type of Polars is of this class, or has it inside."""
    inner = [getattr(kind, "inner", None), *(field.dtype for field in getattr(kind, "fields", ()))]
    return bool(kind == wanted) or any(part is not None and holds(part, wanted) for part in inner)


def to_schema(schema: Schema | None) -> pa.Schema | None:
    """A ``pyarrow.Schema`` of one, or of a dict of names and types."""
    if schema is None or isinstance(schema, pa.Schema):
        return schema
    return pa.schema([(name, to_type(kind)) for name, kind in schema.items()])


def to_type(kind: DataType) -> pa.DataType:
    """A type of PyArrow; ``object`` is that of Python objects."""
    if kind is object or (isinstance(kind, pa.DataType) and _objects.is_object(kind)):
        return _objects.object_()
    return _sheaf.data_type(kind)
