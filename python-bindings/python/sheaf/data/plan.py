"""What all verbs stand on: the dataset under Ray's names, and what is known of it without running it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sheaf import _formats, dataset
from sheaf._formats import BatchFormat
from sheaf.data.settings import DataContext
from sheaf.errors import UnsupportedError

if TYPE_CHECKING:
    from sheaf.data.dataset import Dataset, MaterializedDataset

On = str | Sequence[str] | None

_FORMATS: dict[str | None, BatchFormat] = {
    None: "pyarrow.Table",
    "default": "numpy",
    "numpy": "numpy",
    "pandas": "pandas",
    "pyarrow": "pyarrow.Table",
    "polars": "polars",
}


def format_of(batch_format: str | None) -> BatchFormat:
    """Ray's name of a batch format as Sheaf calls it.

    >>> from sheaf.data.plan import format_of
    >>> format_of("default"), format_of("pyarrow")
    ('numpy', 'pyarrow.Table')
    """
    try:
        return _FORMATS[batch_format]
    except KeyError:
        names = ", ".join(repr(name) for name in _FORMATS if name)
        raise ValueError(f"there is no batch format {batch_format!r}; the formats are {names}") from None


def rows_of(batch: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    """Rows as Ray gives them: dicts, with arrays of NumPy where all of a column are of one shape.

    >>> import pyarrow as pa
    >>> from sheaf.data.plan import rows_of
    >>> rows_of(pa.table({"a": [1, None]}))
    [{'a': 1}, {'a': None}]
    """
    names = batch.schema.names
    columns = [_values(column) for column in batch.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: Any) -> list[Any]:
    if pa.types.is_fixed_size_list(column.type) and column.null_count == 0:
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks or [pa.array([], column.type)])
        return list(_formats.column_to_numpy(column))
    values: list[Any] = column.to_pylist()
    return values


class Schema:
    """The names and the types of columns.

    >>> import sheaf as sf
    >>> sf.data.range(3).schema()
    Column  Type
    ------  ----
    id      int64
    """

    def __init__(self, base_schema: pa.Schema) -> None:
        self.base_schema = base_schema

    @property
    def names(self) -> list[str]:
        """The names, in order.

        >>> import sheaf as sf
        >>> sf.data.range(3).schema().names
        ['id']
        """
        return list(self.base_schema.names)

    @property
    def types(self) -> list[pa.DataType]:
        """The types, which are PyArrow's.

        >>> import sheaf as sf
        >>> sf.data.range(3).schema().types
        [DataType(int64)]
        """
        return list(self.base_schema.types)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and bool(self.base_schema.equals(other.base_schema))

    def __hash__(self) -> int:
        return hash((*self.names, *map(str, self.types)))

    def __repr__(self) -> str:
        width = max([len("Column"), *map(len, self.names)])
        lines = [
            ("Column", "Type"),
            ("-" * len("Column"), "-" * len("Type")),
            *zip(self.names, self.types, strict=True),
        ]
        return "\n".join(f"{name:<{width}}  {kind}" for name, kind in lines)


class Plan:
    """A dataset under Ray's names, and what is known of it without running it."""

    def __init__(self, of: dataset.Dataset, name: str | None = None) -> None:
        self._ds = of
        self._name = name

    def _next(self, of: dataset.Dataset) -> Dataset:
        """What a verb gives."""
        from sheaf.data.dataset import Dataset

        return Dataset(of, self._name)

    def _kept(self, of: dataset.Dataset) -> MaterializedDataset:
        """A dataset whose rows are there."""
        from sheaf.data.dataset import MaterializedDataset

        return MaterializedDataset(of, self._name)

    def schema(self, fetch_if_missing: bool = True) -> Schema:
        """The names and types of the columns, which are known without a run.

        >>> import sheaf as sf
        >>> sf.data.range(3).schema().names
        ['id']
        """
        return Schema(_formats.without_views(self._ds.schema))

    def columns(self, fetch_if_missing: bool = True) -> list[str]:
        """The names of the columns.

        >>> import sheaf as sf
        >>> sf.data.range(3).columns()
        ['id']
        """
        return self._ds.columns

    @property
    def context(self) -> DataContext:
        """The settings of this process, which have no effect.

        >>> import sheaf as sf
        >>> sf.data.range(3).context is sf.data.DataContext.get_current()
        True
        """
        return DataContext.get_current()

    @property
    def name(self) -> str | None:
        """The name that ``set_name`` gave.

        >>> import sheaf as sf
        >>> sf.data.range(3).name is None
        True
        """
        return self._name

    def set_name(self, name: str | None) -> None:
        """Give the dataset a name, which shows in ``repr``.

        >>> import sheaf as sf
        >>> numbers = sf.data.range(3)
        >>> numbers.set_name("numbers")
        >>> numbers
        Dataset(name=numbers, schema={id: int64})
        """
        self._name = name

    def copy(self, _deep_copy: bool = False, _as: type | None = None) -> Dataset:
        """The same dataset again, with a name of its own.

        >>> import sheaf as sf
        >>> sf.data.range(3).copy().count()
        3
        """
        return self._next(self._ds)

    def explain(self) -> None:
        """Print the plan: as written, as optimized, as it runs.

        >>> import sheaf as sf
        >>> sf.data.range(3).explain()
        == Logical ==
        ...
        """
        print(self._ds.explain())

    def stats(self) -> str:
        """The operators of this dataset's last run, with rows and times; empty before the first.

        >>> import sheaf as sf
        >>> sf.data.range(3).stats()
        ''
        """
        return self._ds.stats() or ""

    def input_files(self) -> list[str]:
        """The files that the plan reads.

        >>> import sheaf as sf
        >>> sf.data.range(3).input_files()
        []
        """
        return self._ds.input_files()

    def size_bytes(self) -> int:
        """The bytes that all rows take in memory; the plan runs to count them.

        >>> import sheaf as sf
        >>> sf.data.range(1000).size_bytes()
        8000
        """
        return self._ds.size_bytes()

    def num_blocks(self) -> int:
        """How many partitions there are, of a ``MaterializedDataset``; of others it is not known, as in Ray.

        >>> import sheaf as sf
        >>> sf.data.range(3).materialize().num_blocks()
        1
        """
        error = UnsupportedError("the number of blocks is known of a MaterializedDataset alone")
        error.hint = "call materialize() before"
        raise error

    def _columns_of(self, on: On, without: Sequence[str] = ()) -> list[str]:
        """The columns that are named, or all."""
        columns = [name for name in self._ds.columns if name not in without] if on is None else on
        listed = [columns] if isinstance(columns, str) else list(columns)
        if not listed:
            raise ValueError("there is no column to aggregate")
        return listed

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            hint = f"\n  help: {_NOT_THERE[name]}" if name in _NOT_THERE else ""
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def __repr__(self) -> str:
        named = "" if self._name is None else f"name={self._name}, "
        columns = ", ".join(f"{field.name}: {field.type}" for field in self._ds.schema)
        return f"{type(self).__name__}({named}schema={{{columns}}})"


_A_STORE = "write_parquet and load the files there, or iter_batches and the client of the store"
_INTERNAL = "it is of Ray's internals; to_arrow_refs gives the partitions as objects"

# What Ray's datasets have and these have not, and what to use instead.
_NOT_THERE = {
    **dict.fromkeys(
        (
            *("write_bigquery", "write_clickhouse", "write_delta", "write_iceberg", "write_kafka", "write_lance"),
            *("write_mongo", "write_snowflake", "write_turbopuffer", "write_datasink"),
        ),
        _A_STORE,
    ),
    **dict.fromkeys(("write_images", "write_webdataset", "write_tfrecords"), "iter_rows and a writer of the format"),
    **dict.fromkeys(("get_internal_block_refs", "iter_internal_ref_bundles", "map_batches_internal"), _INTERNAL),
    "deserialize_lineage": "a plan is made again by the program that made it; write_parquet keeps rows",
    "get_dataset_id": "set_name names a dataset",
    "get_stats_summary": "stats() tells of the operators as text",
    "has_serializable_lineage": "a plan is made again by the program that made it",
    "iter_tf_batches": "to_tf gives a tf.data.Dataset",
    "serialize_lineage": "a plan is made again by the program that made it; write_parquet keeps rows",
    "streaming_train_test_split": "train_test_split",
    "summary": "the describe() of sheaf.Dataset, of which this is a view: ds.to_sheaf().describe()",
    "to_mars": "to_pandas",
    "to_modin": "to_pandas",
    "to_random_access_dataset": "materialize and filter, or to_pandas and its index",
    "to_spark": "write_parquet and spark.read.parquet",
}
