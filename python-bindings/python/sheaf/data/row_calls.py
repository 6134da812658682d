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
        self._declared = schema
        # The columns of the first batch: later ones without a row or without a value know no other.
        self._known = schema

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch | pa.Table:
        """What the function makes of the rows of a batch."""
        made = self._made(batch)
        if self._kind == "filter":
            return batch.filter(pa.array([bool(keep) for keep in made], pa.bool_()))
        rows = list(made) if self._kind == "map" else [row for several in made for row in several]
        if not rows and self._known is not None:
            return self._known.empty_table()
        if not rows:
            raise InvalidInputError(
                f"{self.__qualname__} gave no row for the first batch, so its columns are not known\n"
                "  help: say them: schema={'name': type}"
            )
        columns = self._batch(rows)
        self._known = self._known or columns.schema
        return columns

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
        names = dict.fromkeys(self._known.names if self._known is not None else ())
        for row in rows:
            if not isinstance(row, Mapping):
                raise TypeMismatchError(
                    f"{self.__qualname__} gave {type(row).__name__} for a row\n"
                    "  help: a row is a dict of columns and values"
                )
            names.update(dict.fromkeys(row))
        if self._declared is not None and (extra := [name for name in names if name not in self._declared.names]):
            raise TypeMismatchError(f"{self.__qualname__} gave the column {extra[0]!r}, which schema does not have")
        columns = [self._column(name, [row.get(name) for row in rows]) for name in names]
        return pa.RecordBatch.from_arrays(columns, names=list(names))

    def _column(self, name: str, values: list[Any]) -> pa.Array:
        known = self._known
        kind = known.field(name).type if known is not None and name in known.names else None
        wanted = kind if self._declared is not None else None
        try:
            if all(isinstance(value, np.ndarray) and value.ndim > 0 for value in values):
                return _of_arrays(values, kind)
            return pa.array(values, wanted)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            told = " ".join(map(str, error.args))
            raise TypeMismatchError(
                f"{self.__qualname__} gave values of no one type in the column {name!r}: {told}"
            ) from error


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
