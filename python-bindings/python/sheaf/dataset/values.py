"""What runs a plan and gives values of Python's: rows as dicts, statistics of a column, facts of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, overload

import pyarrow as pa

from sheaf import _formats
from sheaf._formats import BatchFormat
from sheaf._sheaf import Expr, col
from sheaf.dataset.columns import Columns
from sheaf.dataset.groups import Groups
from sheaf.dataset.iteration import Iteration
from sheaf.dataset.results import Results
from sheaf.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np


class Values(Iteration, Results, Columns, Groups):
    """The methods of a ``Dataset`` that run it and give values of Python's."""

    @property
    def num_columns(self) -> int:
        """How many columns there are.

        >>> import sheaf as sf
        >>> sf.range(3).num_columns
        1
        """
        return len(self.columns)

    def is_empty(self) -> bool:
        """Whether there is no row. It looks for one row alone.

        >>> import sheaf as sf
        >>> sf.range(0).is_empty(), sf.range(10).is_empty()
        (True, False)
        """
        first: int = self.head(1).num_rows
        return first == 0

    def input_files(self) -> list[str]:
        """The files that the plan reads, as they are now, each once and sorted.

        >>> import sheaf as sf, tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> _ = sf.range(3).write_parquet(f"{folder.name}/ids.parquet")
        >>> [pathlib.Path(file).name for file in sf.read_parquet(f"{folder.name}/ids.parquet").input_files()]
        ['ids.parquet']
        """
        return self._inner.input_files()

    def size_bytes(self) -> int:
        """The bytes that all rows take as Arrow columns in memory. They are counted as they go by, and not kept.

        >>> import sheaf as sf
        >>> sf.range(1000).size_bytes()
        8000
        """
        return sum(batch.nbytes for batch in self.iter_batches())

    def to_pylist(self) -> list[dict[str, Any]]:
        """All rows as dicts.

        >>> import sheaf as sf
        >>> sf.range(2).to_pylist()
        [{'id': 0}, {'id': 1}]
        """
        rows: list[dict[str, Any]] = self.to_arrow().to_pylist()
        return rows

    def take_all(self, limit: int | None = None) -> list[dict[str, Any]]:
        """All rows as dicts; more than ``limit`` of them are an error.

        >>> import sheaf as sf
        >>> sf.range(2).take_all()
        [{'id': 0}, {'id': 1}]
        """
        if limit is None:
            return self.to_pylist()
        rows = self.take(limit + 1)
        if len(rows) > limit:
            raise InvalidInputError(f"there are more than {limit} rows\n  help: take(rows) gives the first ones")
        return rows

    def take_batch(self, rows: int = 20, batch_format: BatchFormat = "pyarrow") -> Any:
        """The first rows as one batch, in a format of ``map_batches``.

        >>> import sheaf as sf
        >>> sf.range(5).take_batch(3, "numpy")
        {'id': array([0, 1, 2])}
        """
        give = _formats.giver(batch_format)
        batches = self.head(rows).combine_chunks().to_batches()
        return give(batches[0] if batches else _empty(self))

    def to_numpy(self) -> dict[str, np.ndarray[Any, Any]]:
        """All rows as NumPy arrays by column; nulls of numbers are NaN.

        >>> import sheaf as sf
        >>> sf.range(3).to_numpy()
        {'id': array([0, 1, 2])}
        """
        table = self.to_arrow().combine_chunks()
        batches = table.to_batches()
        return _formats.to_numpy(batches[0] if batches else _empty(self))

    @overload
    def iter_rows(self, *, named: Literal[True] = True) -> Iterator[dict[str, Any]]: ...

    @overload
    def iter_rows(self, *, named: Literal[False]) -> Iterator[tuple[Any, ...]]: ...

    def iter_rows(self, *, named: bool = True) -> Iterator[Any]:
        """The rows one by one, as dicts or as tuples, as they come: the engine runs only a little ahead.

        >>> import sheaf as sf
        >>> list(sf.range(2).iter_rows()), list(sf.range(2).iter_rows(named=False))
        ([{'id': 0}, {'id': 1}], [(0,), (1,)])
        """
        for batch in self.iter_batches():
            if named:
                yield from batch.to_pylist()
            else:
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    def unique(self, column: str) -> list[Any]:
        """The values of a column, each once, in no order; null is ``None``.

        >>> import sheaf as sf
        >>> sorted(sf.from_pydict({"a": [2, 1, 2]}).unique("a"))
        [1, 2]
        """
        values: list[Any] = self.select(column).distinct().to_arrow().column(0).to_pylist()
        return values

    def sum(self, *columns: str) -> Any:
        """The sum of a column, or a dict of those of several; null where there is no value.

        >>> import sheaf as sf
        >>> sf.range(4).sum("id")
        6
        """
        return self._aggregated(columns, Expr.sum)

    def min(self, *columns: str) -> Any:
        """The smallest value of a column, or a dict of those of several.

        >>> import sheaf as sf
        >>> sf.range(4).min("id")
        0
        """
        return self._aggregated(columns, Expr.min)

    def max(self, *columns: str) -> Any:
        """The largest value of a column, or a dict of those of several.

        >>> import sheaf as sf
        >>> sf.range(4).max("id")
        3
        """
        return self._aggregated(columns, Expr.max)

    def mean(self, *columns: str) -> Any:
        """The mean of a column, or a dict of those of several.

        >>> import sheaf as sf
        >>> sf.range(4).mean("id")
        1.5
        """
        return self._aggregated(columns, Expr.mean)

    def std(self, *columns: str, ddof: int = 1) -> Any:
        """The standard deviation of a column, or a dict of those of several; of a sample, or with ``ddof=0`` of all.

        >>> import sheaf as sf
        >>> sf.range(3).std("id")
        1.0
        """
        return self._aggregated(columns, lambda column: Expr.std(column, ddof))

    def _aggregated(self, columns: tuple[str, ...], aggregate: Any) -> Any:
        if not columns:
            raise InvalidInputError("name the column, or columns")
        row: dict[str, Any] = self.aggregate([aggregate(col(name)).alias(name) for name in columns]).take(1)[0]
        return row if len(columns) > 1 else row[columns[0]]


def _empty(dataset: Values) -> Any:
    return pa.RecordBatch.from_pylist([], schema=dataset.schema)
