"""A user's function of single rows, as a function of batches: dicts in, dicts out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from sheaf import _formats, _objects
from sheaf._functions.spec import Spec
from sheaf.errors import InvalidInputError, TypeMismatchError


@dataclass(frozen=True)
class RowSpec(Spec):
    """A function or a class that is given rows, and what becomes of what it returns."""

    batch_format: str = "pyarrow"
    makes: Literal["row", "rows", "whether"] = "row"
    """One row of each; any number of rows; or whether to keep it."""
    schema: pa.Schema | None = None
    """The columns, where the user said them."""
    columns: tuple[str, ...] = ()
    """The names that the first batch gave: later ones without a row or without a value know no other."""
    objects: tuple[str, ...] = ()
    """Those of Python objects: they stay such, whatever Arrow could hold of later values."""

    def __post_init__(self) -> None:
        if self.is_async:
            raise InvalidInputError(
                f"{self.name} is a coroutine function, and rows are given to functions one by one\n"
                "  help: map_batches takes coroutine functions, and runs many calls at once"
            )

    def caller(self) -> Callable[[pa.RecordBatch], Any]:
        """A function over record batches, for one thread at a time."""
        function = self.make()
        over = self._kept if self.makes == "whether" else self._made
        return lambda batch: _formats.results(over(function, batch))

    def _kept(self, function: Callable[..., Any], batch: pa.RecordBatch) -> pa.RecordBatch:
        kept = pa.array([bool(keep) for keep in self._each(function, batch)], pa.bool_())
        # PyArrow chooses no rows among views; the engine makes what it gives of them again.
        return batch.cast(_formats.without_views(batch.schema)).filter(kept)

    def _made(self, function: Callable[..., Any], batch: pa.RecordBatch) -> pa.RecordBatch | Iterator[Any]:
        rows = list(self._each(function, batch))
        if self.makes == "rows":
            rows = [row for made in rows for row in made]
        if rows:
            return self._batch(rows)
        if self.schema is None and not self.columns:
            raise InvalidInputError(
                f"{self.name} gave no row for the first batch, so its columns are not known\n"
                "  help: say them: schema={'name': type}"
            )
        return iter(())

    def _each(self, function: Callable[..., Any], batch: pa.RecordBatch) -> Iterator[Any]:
        """What the function returns for each row. What it raises says which row it was given."""
        for at, row in enumerate(batch.to_pylist()):
            told = f"in row {at} of its batch: {row!r:.500}"
            try:
                made = function(row, *self.args, **self.kwargs)
                # A generator runs only here.
                made = list(_several(made, self.name)) if self.makes == "rows" else made
            except Exception as error:
                error.add_note(told)
                raise
            yield made

    def _batch(self, rows: list[Any]) -> pa.RecordBatch:
        """Rows as a batch. Columns are those of any row: a row that has not a value has null."""
        name, declared = self.name, self.schema
        names = dict.fromkeys(self.columns if declared is None else declared.names)
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
                kind = _objects.object_() if column in self.objects else None
                columns.append(_formats.column_of(values, kind if declared is None else declared.field(column).type))
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
                told = " ".join(map(str, error.args))
                raise TypeMismatchError(
                    f"{name} gave values of no one type in the column {column!r}: {told}"
                ) from error
        return pa.RecordBatch.from_arrays(columns, names=list(names))


def _several(made: Any, name: str) -> Iterable[Any]:
    if isinstance(made, Mapping) or not isinstance(made, Iterable):
        raise TypeMismatchError(
            f"{name} gave {type(made).__name__} for the rows of a row\n  help: return a list of dicts, or yield them"
        )
    return made
