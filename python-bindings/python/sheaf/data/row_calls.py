"""Functions over single rows, as ``map``, ``flat_map`` and ``filter`` call them, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from sheaf import _formats
from sheaf.data.plan import rows_of
from sheaf.errors import InvalidInputError, TypeMismatchError

Kind = Literal["map", "flat_map", "filter"]


class RowCalls:
    """A function of rows, or an instance of a class of such, as a function of batches. It pickles as it is."""

    def __init__(
        self,
        fn: Callable[..., Any],
        kind: Kind,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        constructor_args: Sequence[Any] = (),
        constructor_kwargs: Mapping[str, Any] | None = None,
        schema: pa.Schema | None = None,
    ) -> None:
        name = str(getattr(fn, "__qualname__", type(fn).__name__))
        made: Any = fn(*constructor_args, **(constructor_kwargs or {})) if isinstance(fn, type) else fn
        self.__qualname__ = name
        self._call = made
        self._kind = kind
        self._args = tuple(args)
        self._kwargs = dict(kwargs or {})
        # Of the first batch, from which it is taken, there is none.
        self._schema = schema

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch | pa.Table:
        """What the function makes of the rows of a batch."""
        made = self._made(batch)
        if self._kind == "filter":
            return batch.filter(pa.array([bool(keep) for keep in made], pa.bool_()))
        rows = list(made) if self._kind == "map" else [row for several in made for row in several]
        if rows:
            return self._batch(rows)
        if self._schema is None:
            raise InvalidInputError(
                f"{self.__qualname__} gave no row for the first batch, so its columns are not known\n"
                "  help: say them: schema={'name': type}"
            )
        return self._schema.empty_table()

    def _made(self, batch: pa.RecordBatch) -> Iterator[Any]:
        """What the function makes of each row. What it raises says which row it was given."""
        for at, row in enumerate(rows_of(batch)):
            told = f"in row {at} of its batch: {row!r:.500}"
            try:
                made = self._call(row, *self._args, **self._kwargs)
                # A generator runs only here.
                made = list(_several(made)) if self._kind == "flat_map" else made
            except Exception as error:
                error.add_note(told)
                raise
            yield made

    def _batch(self, rows: list[Any]) -> pa.RecordBatch:
        schema = self._schema
        names = dict.fromkeys(() if schema is None else schema.names)
        for row in rows:
            if not isinstance(row, Mapping):
                raise TypeMismatchError(
                    f"{self.__qualname__} gave {type(row).__name__} for a row\n"
                    "  help: a row is a dict of columns and values"
                )
            names.update(dict.fromkeys(row))
        if schema is not None and (extra := [name for name in names if name not in schema.names]):
            error = TypeMismatchError(f"{self.__qualname__} gave the column {extra[0]!r}, and for other rows has not")
            error.hint = "say all columns: schema={'name': type}"
            raise error
        return pa.RecordBatch.from_arrays(
            [
                column_of([row.get(name) for row in rows], None if schema is None else schema.field(name).type, name)
                for name in names
            ],
            names=list(names),
        )


def column_of(values: list[Any], kind: pa.DataType | None, name: str) -> pa.Array:
    """A column of the values of rows: arrays of NumPy, all of one shape, are lists of one size.

    >>> import numpy as np
    >>> from sheaf.data.row_calls import column_of
    >>> column_of([np.array([1, 2]), np.array([3, 4])], None, "x").type
    FixedSizeListType(fixed_size_list<item: int64>[2])
    """
    try:
        if values and all(isinstance(value, np.ndarray) and value.ndim > 0 for value in values):
            return _of_arrays(values, kind)
        return _formats.column_of(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        told = " ".join(map(str, error.args))
        failed = TypeMismatchError(f"the column {name!r} has values of no one type: {told}")
        if kind is not None and pa.types.is_null(kind):
            failed = TypeMismatchError(f"the column {name!r} had no value in the first batch, so its type is not known")
        elif kind is not None:
            failed = TypeMismatchError(f"the column {name!r} has values that are no {kind}, as its first ones: {told}")
        if kind is not None:
            failed.hint = f"say its type: schema={{{name!r}: type}}, with the other columns"
        raise failed from error


def _of_arrays(values: list[np.ndarray[Any, Any]], kind: pa.DataType | None) -> pa.Array:
    """Arrays of one shape are lists of one size; of several shapes lists, which have one axis."""
    is_known_list = kind is not None and not pa.types.is_fixed_size_list(kind)
    if is_known_list or len({value.shape for value in values}) > 1:
        return pa.array([value.tolist() for value in values], kind)
    made = _formats.column_from(np.stack(values))
    return made if kind is None else made.cast(kind)


def _several(made: Any) -> Any:
    if isinstance(made, Mapping):
        raise TypeMismatchError("a function of flat_map gave a dict\n  help: give a list of rows")
    return made
