"""Verbs that call functions of the user's on single rows: dicts in, dicts out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sheaf import _formats, _objects
from sheaf._formats import Schema
from sheaf.dataset.functions import Functions
from sheaf.errors import InvalidInputError, TypeMismatchError

if TYPE_CHECKING:
    from sheaf.dataset import Dataset

Row = dict[str, Any]


class RowFunctions(Functions):
    """The methods of a ``Dataset`` that call functions of the user's on rows."""

    def map(
        self,
        fn: Callable[..., Mapping[str, Any]],
        *,
        schema: Schema | None = None,
        batch_size: int | None = None,
        fn_args: Sequence[Any] = (),
        fn_kwargs: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """What a function makes of each row: it is given a dict and returns one. Rows keep their order.

        Expressions and ``map_batches`` are faster by far: here each value becomes an object of Python's.

        Args:
            fn: The function; its first argument is the row.
            schema: The columns that it returns. Without it the function is called now, on the first batch, to see.
            batch_size: How many rows go through Python at a time; by default what suits the engine.
            fn_args: More arguments for the function.
            fn_kwargs: More arguments for the function, by name.

        >>> import sheaf as sf
        >>> sf.range(3).map(lambda row: {"twice": row["id"] * 2}).to_pydict()
        {'twice': [0, 2, 4]}
        """
        return self._over_rows(fn, lambda made: [made], schema, batch_size, fn_args, fn_kwargs)

    def flat_map(
        self,
        fn: Callable[..., Iterable[Mapping[str, Any]]],
        *,
        schema: Schema | None = None,
        batch_size: int | None = None,
        fn_args: Sequence[Any] = (),
        fn_kwargs: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """The rows that a function makes of each row: it is given a dict and returns or yields any number of them.

        Rows keep their order. The arguments are those of ``map``.

        >>> import sheaf as sf
        >>> sf.range(3).flat_map(lambda row: [row] * row["id"]).to_pydict()
        {'id': [1, 2, 2]}
        """
        return self._over_rows(fn, iter, schema, batch_size, fn_args, fn_kwargs)

    def _filter_by(
        self, fn: Callable[..., Any], fn_args: Sequence[Any] = (), fn_kwargs: Mapping[str, Any] | None = None
    ) -> Dataset:
        call = _each(fn, fn_args, fn_kwargs or {})

        def kept(batch: pa.RecordBatch) -> pa.RecordBatch:
            return batch.filter(pa.array([bool(keep) for keep in call(batch)], pa.bool_()))

        kept.__qualname__ = _name_of(fn)
        return self.map_batches(kept, schema=self.schema)

    def _over_rows(
        self,
        fn: Callable[..., Any],
        rows_of: Callable[[Any], Iterable[Any]],
        schema: Schema | None,
        batch_size: int | None,
        fn_args: Sequence[Any],
        fn_kwargs: Mapping[str, Any] | None,
    ) -> Dataset:
        declared = _formats.to_schema(schema)
        call = _each(fn, fn_args, fn_kwargs or {}, rows_of)
        name = _name_of(fn)
        # The columns that the first batch has given: later ones without a row or without a value know no other.
        first: list[pa.Schema] = [] if declared is None else [declared]

        def mapped(batch: pa.RecordBatch) -> pa.RecordBatch:
            rows = [row for made in call(batch) for row in made]
            if not rows and first:
                return first[0].empty_table()
            if not rows:
                raise InvalidInputError(
                    f"{name} gave no row for the first batch, so its columns are not known\n"
                    "  help: say them: schema={'name': type}"
                )
            made = _batch(rows, declared, first[0] if first else pa.schema([]), name)
            first[:] = first or [made.schema]
            return made

        mapped.__qualname__ = name
        return self.map_batches(mapped, batch_size, schema=declared)


def _each(
    fn: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    rows_of: Callable[[Any], Iterable[Any]] | None = None,
) -> Callable[[pa.RecordBatch], Iterator[Any]]:
    """The function over the rows of a batch. What it raises says which row it was given."""

    def call(batch: pa.RecordBatch) -> Iterator[Any]:
        for at, row in enumerate(batch.to_pylist()):
            told = f"in row {at} of its batch: {row!r:.500}"
            try:
                made = fn(row, *args, **kwargs)
                # A generator runs only here.
                made = made if rows_of is None else list(rows_of(made))
            except Exception as error:
                error.add_note(told)
                raise
            yield made

    return call


def _batch(rows: list[Any], declared: pa.Schema | None, known: pa.Schema, name: str) -> pa.RecordBatch:
    """Rows as a batch. Columns are those of any row: a row that has not a value has null."""
    names = dict.fromkeys(known.names)
    # A column of objects stays one, whatever Arrow could hold of later values.
    objects = _objects.names(known)
    for row in rows:
        if not isinstance(row, Mapping):
            raise TypeMismatchError(
                f"{name} gave {type(row).__name__} for a row\n  help: a row is a dict of columns and values"
            )
        names.update(dict.fromkeys(row))
    if declared is not None and (extra := [column for column in names if column not in declared.names]):
        raise TypeMismatchError(f"{name} gave the column {extra[0]!r}, which schema does not have")
    columns = []
    for column in names:
        values = [row.get(column) for row in rows]
        try:
            kind = _objects.object_() if column in objects else None
            columns.append(_formats.column_of(values, kind if declared is None else declared.field(column).type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            told = " ".join(map(str, error.args))
            raise TypeMismatchError(f"{name} gave values of no one type in the column {column!r}: {told}") from error
    return pa.RecordBatch.from_arrays(columns, names=list(names))


def _name_of(fn: Callable[..., Any]) -> str:
    return str(getattr(fn, "__qualname__", type(fn).__name__))
