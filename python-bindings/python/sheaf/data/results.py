"""What runs a plan and gives values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sheaf import _formats, dataset
from sheaf.aggregates import AggregateFn
from sheaf.data import aggregate as aggregates
from sheaf.data.aggregate import Aggregate
from sheaf.data.feeds import Feeds
from sheaf.data.plan import On, format_of, rows_of

if TYPE_CHECKING:
    import pandas as pd

    from sheaf._runtime.api import ObjectRef
    from sheaf.data.dataset import MaterializedDataset


class Results(Feeds):
    """The methods of a ``Dataset`` that run it and give values of Python's, or keep its rows."""

    def count(self) -> int:
        """How many rows there are.

        >>> import sheaf as sf
        >>> sf.data.range(5).count()
        5
        """
        return self._ds.count()

    def take(self, limit: int = 20) -> list[dict[str, Any]]:
        """The first rows as dicts.

        >>> import sheaf as sf
        >>> sf.data.range(5).take(2)
        [{'id': 0}, {'id': 1}]
        """
        return rows_of(self._ds.head(limit))

    def take_all(self, limit: int | None = None) -> list[dict[str, Any]]:
        """All rows as dicts; more than ``limit`` of them are an error.

        >>> import sheaf as sf
        >>> sf.data.range(2).take_all()
        [{'id': 0}, {'id': 1}]
        """
        rows = rows_of(self._ds.to_arrow() if limit is None else self._ds.head(limit + 1))
        if limit is not None and len(rows) > limit:
            raise ValueError(f"there are more than {limit} rows; take({limit}) gives the first ones")
        return rows

    def take_batch(self, batch_size: int = 20, *, batch_format: str | None = "default") -> Any:
        """The first rows as one batch, a dict of NumPy arrays by default.

        >>> import sheaf as sf
        >>> sf.data.range(5).take_batch(3)
        {'id': array([0, 1, 2])}
        """
        give = _formats.giver(format_of(batch_format))
        batches = self._ds.head(batch_size).combine_chunks().to_batches()
        if not batches:
            raise ValueError("the dataset has no rows, and so no batch")
        return give(batches[0])

    def show(self, limit: int = 20) -> None:
        """Print the first rows as dicts.

        >>> import sheaf as sf
        >>> sf.data.range(2).show()
        {'id': 0}
        {'id': 1}
        """
        for row in self.take(limit):
            print(row)

    def materialize(self) -> MaterializedDataset:
        """Runs the plan and keeps its rows: in memory, and on disk what does not fit.

        >>> import sheaf as sf
        >>> sf.data.range(3).materialize()
        MaterializedDataset(schema={id: int64})
        """
        return self._kept(self._ds.persist())

    def aggregate(self, *aggs: Aggregate | AggregateFn) -> dict[str, Any] | None:
        """Aggregates of all rows, as a dict.

        >>> import sheaf as sf
        >>> from sheaf.data.aggregate import Count, Mean
        >>> sf.data.range(3).aggregate(Mean("id"), Count())
        {'mean(id)': 1.0, 'count()': 3}
        """
        schema = self._ds.schema
        made = self._ds.aggregate(*(aggregates.expr_of(each, schema) for each in aggs))
        return next(iter(rows_of(made.head(1))), None)

    def sum(self, on: On = None, ignore_nulls: bool = True) -> Any:
        """The sum of a column, or a dict of those of several; of all columns by default.

        >>> import sheaf as sf
        >>> sf.data.range(4).sum("id")
        6
        """
        return self._aggregated(aggregates.Sum, on, ignore_nulls=ignore_nulls)

    def min(self, on: On = None, ignore_nulls: bool = True) -> Any:
        """The least value of a column, or a dict of those of several; of all columns by default.

        >>> import sheaf as sf
        >>> sf.data.range(4).min("id")
        0
        """
        return self._aggregated(aggregates.Min, on, ignore_nulls=ignore_nulls)

    def max(self, on: On = None, ignore_nulls: bool = True) -> Any:
        """The greatest value of a column, or a dict of those of several; of all columns by default.

        >>> import sheaf as sf
        >>> sf.data.range(4).max(["id"])
        3
        """
        return self._aggregated(aggregates.Max, on, ignore_nulls=ignore_nulls)

    def mean(self, on: On = None, ignore_nulls: bool = True) -> Any:
        """The mean of a column, or a dict of those of several; of all columns by default.

        >>> import sheaf as sf
        >>> sf.data.range(4).mean("id")
        1.5
        """
        return self._aggregated(aggregates.Mean, on, ignore_nulls=ignore_nulls)

    def std(self, on: On = None, ddof: int = 1, ignore_nulls: bool = True) -> Any:
        """The standard deviation of a column, or a dict of those of several; NaN of one row.

        >>> import sheaf as sf
        >>> sf.data.range(3).std("id"), sf.data.range(1).std("id")
        (1.0, nan)
        """
        return self._aggregated(aggregates.Std, on, ddof=ddof, ignore_nulls=ignore_nulls)

    def unique(self, column: str, ignore_nulls: bool = False) -> list[Any]:
        """The values of a column, each once, in no order.

        >>> import sheaf as sf
        >>> sorted(sf.data.from_items([2, 1, 2]).unique("item"))
        [1, 2]
        """
        values = self._ds.unique(column)
        return [value for value in values if value is not None] if ignore_nulls else values

    def to_pandas(self, limit: int | None = None) -> pd.DataFrame:
        """All rows as a ``pandas.DataFrame``; more than ``limit`` of them are an error.

        >>> import sheaf as sf
        >>> sf.data.range(2).to_pandas()
           id
        0   0
        1   1
        """
        if limit is None:
            return self._ds.to_pandas()
        table = self._ds.head(limit + 1)
        if table.num_rows > limit:
            raise ValueError(f"there are more than {limit} rows; limit({limit}).to_pandas() gives the first ones")
        return table.to_pandas()

    def to_arrow_refs(self) -> list[ObjectRef]:
        """The partitions as objects of the runtime, each a ``pyarrow.Table``.

        >>> import sheaf as sf
        >>> sum(table.num_rows for table in sf.get(sf.data.range(3).to_arrow_refs()))
        3
        """
        plain = _formats.without_views(self._ds.schema)
        views = {field.name: field.type for field in plain if field.type != self._ds.schema.field(field.name).type}
        return (self._ds.cast(views) if views else self._ds).to_arrow_refs()

    def to_pandas_refs(self) -> list[ObjectRef]:
        """The partitions as objects of the runtime, each a ``pandas.DataFrame``.

        >>> import sheaf as sf
        >>> sum(len(frame) for frame in sf.get(sf.data.range(3).to_pandas_refs()))
        3
        """
        return self._ds.to_pandas_refs()

    def to_numpy_refs(self, *, column: str | None = None) -> list[ObjectRef]:
        """The partitions as objects of the runtime, each a dict of NumPy arrays, or the array of one column.

        >>> import sheaf as sf
        >>> sum(len(array) for array in sf.get(sf.data.range(3).to_numpy_refs(column="id")))
        3
        """
        return self._ds.to_numpy_refs(column=column)

    def to_daft(self) -> Any:
        """All rows as a DataFrame of Daft.

        >>> import sheaf as sf
        >>> sf.data.range(3).to_daft()  # doctest: +SKIP
        """
        import daft

        return daft.from_arrow(self._ds.to_arrow())

    def to_dask(self, meta: Any = None, verify_meta: bool = True) -> Any:
        """All rows as a dataframe of Dask, whose columns are this dataset's: ``meta`` and ``verify_meta`` do nothing.

        >>> import sheaf as sf
        >>> sf.data.range(3).to_dask()  # doctest: +SKIP
        """
        import dask.dataframe

        return dask.dataframe.from_pandas(self._ds.to_pandas(), npartitions=self._ds.num_partitions())

    def to_sheaf(self) -> dataset.Dataset:
        """The ``sheaf.Dataset`` of which this is a view under Ray's names; ``sheaf.data.from_sheaf`` goes back.

        >>> import sheaf as sf
        >>> sf.data.range(3).to_sheaf().filter(sf.col("id") > 1).to_pydict()
        {'id': [2]}
        """
        return self._ds

    def _aggregated(self, aggregate: Callable[..., Aggregate], on: On, **given: Any) -> Any:
        row = self.aggregate(*(aggregate(column, **given) for column in self._columns_of(on))) or {}
        return next(iter(row.values())) if len(row) == 1 else row

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows as an Arrow stream, which runs as it is read."""
        return self._ds.__arrow_c_stream__(requested_schema)
