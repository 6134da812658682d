"""Batches as tensors of PyTorch, JAX and TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sheaf import _formats
from sheaf.errors import InvalidInputError, TypeMismatchError

if TYPE_CHECKING:
    import numpy as np

Arrays = dict[str, "np.ndarray[Any, Any]"]
Make = Callable[[pa.RecordBatch], Any]


def library(name: str, package: str, user: str) -> Any:
    """An optional library, or an error that says who wants it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.split(".")[0]:
            raise
        raise ModuleNotFoundError(f"{user} needs {name}\n  help: pip install {package}", name=error.name) from None


def numbers(batch: pa.RecordBatch, what: str) -> Arrays:
    """The columns as arrays of numbers that may be written to: Arrow's own memory may not."""
    arrays = _formats.to_numpy(batch)
    for name, array in arrays.items():
        if array.dtype.kind not in "biufc":
            raise TypeMismatchError(
                f"the column {name!r} of type {batch.schema.field(name).type} cannot be a tensor of {what}\n"
                "  help: drop or cast it, or make the tensors with collate_fn"
            )
        arrays[name] = array if array.flags.writeable else array.copy()
    return arrays


class TorchMaker:
    """Makes tensors of PyTorch of a batch. A class, for it goes to workers of loaders."""

    def __init__(
        self, dtypes: Any, device: Any, collate_fn: Callable[[Arrays], Any] | None, pin_memory: bool, user: str
    ) -> None:
        library("torch", "torch", user)
        if collate_fn is not None and dtypes is not None:
            raise InvalidInputError("dtypes and collate_fn exclude each other\n  help: collate_fn makes the tensors")
        self._dtypes, self._device, self._collate_fn, self._pin_memory = dtypes, device, collate_fn, pin_memory

    def __call__(self, batch: pa.RecordBatch) -> Any:
        import torch

        if self._collate_fn is not None:
            return moved(torch, self._collate_fn(_formats.to_numpy(batch)), self._device, self._pin_memory)
        tensors = {}
        for name, array in numbers(batch, "PyTorch").items():
            dtype = self._dtypes.get(name) if isinstance(self._dtypes, Mapping) else self._dtypes
            tensors[name] = torch.as_tensor(array, dtype=dtype)
        return moved(torch, tensors, self._device, self._pin_memory)


def moved(torch: Any, value: Any, device: Any, pin_memory: bool) -> Any:
    """Tensors, alone or in dicts, lists and tuples, in pinned memory and on the device that were asked for."""
    if device is None and not pin_memory:
        return value
    if isinstance(value, torch.Tensor):
        value = value.pin_memory() if pin_memory else value
        return value if device is None else value.to(device, non_blocking=pin_memory)
    if isinstance(value, Mapping):
        return {key: moved(torch, part, device, pin_memory) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(moved(torch, part, device, pin_memory) for part in value))
    if isinstance(value, list | tuple):
        return type(value)(moved(torch, part, device, pin_memory) for part in value)
    return value


def jax_maker(dtypes: Any, device: Any) -> Make:
    """What makes arrays of JAX of a batch."""
    jax = library("jax", "jax", "iter_jax_batches")

    def make(batch: pa.RecordBatch) -> Any:
        arrays = {}
        for name, array in numbers(batch, "JAX").items():
            dtype = dtypes.get(name) if isinstance(dtypes, Mapping) else dtypes
            arrays[name] = jax.device_put(array if dtype is None else array.astype(dtype), device)
        return arrays

    return make


def tf_signature(tf: Any, schema: pa.Schema, columns: Columns) -> Any:
    """The types and shapes of the tensors of these columns."""
    if isinstance(columns, str):
        return _tf_spec(tf, schema.field(columns))
    return {name: _tf_spec(tf, schema.field(name)) for name in columns}


def _tf_spec(tf: Any, field: pa.Field) -> Any:
    kind, shape = field.type, [None]
    while pa.types.is_fixed_size_list(kind):
        shape.append(kind.list_size)
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return tf.TensorSpec(shape, tf.string)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return tf.TensorSpec(shape, tf.as_dtype(kind.to_pandas_dtype()))
    raise TypeMismatchError(
        f"the column {field.name!r} of type {field.type} cannot be a tensor of TensorFlow\n"
        "  help: drop or cast it, or name the columns that are wanted"
    )


def tf_values(batch: pa.RecordBatch, columns: Columns, spec: Any) -> Any:
    """The columns of a batch, with the types that were promised."""
    if isinstance(columns, str):
        return _tf_value(batch.column(columns), spec)
    return {name: _tf_value(batch.column(name), spec[name]) for name in columns}


def _tf_value(column: pa.Array, spec: Any) -> Any:
    array = _formats.column_to_numpy(column)
    return array if array.dtype == object else array.astype(spec.dtype.as_numpy_dtype, copy=False)


Columns = str | Sequence[str]
