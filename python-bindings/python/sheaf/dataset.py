"""``Dataset``: a lazy plan. Verbs give new datasets; what runs a plan says so."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pyarrow as pa

from sheaf import _arguments, _formats, _html, _sheaf, errors
from sheaf._formats import BatchFormat, Schema
from sheaf._sheaf import Expr, SortKey
from sheaf.types import Column
from sheaf.writers import Writers

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

How: TypeAlias = Literal[
    "inner", "left", "right", "outer", "full", "semi", "anti",
    "left_semi", "left_anti", "right_semi", "right_anti", "cross",
]  # fmt: skip


class Dataset(Writers):
    """A lazy, immutable plan over Arrow partitions.

    Verbs such as ``filter`` give a new dataset and run nothing. ``collect``, ``count``, ``show``, ``write_*``,
    ``to_*`` and iteration run the plan on the session's threads. Where a column is asked for, its name will do.

    >>> import sheaf as sf
    >>> flights = sf.from_pydict({"carrier": ["AA", "UA", "AA"], "delay": [5, 20, 7]})
    >>> flights.sort("delay").select("carrier").to_pydict()
    {'carrier': ['AA', 'AA', 'UA']}
    """

    def __init__(self, inner: _sheaf.Dataset, *, in_memory: bool = False) -> None:
        self._inner = inner
        self._in_memory = in_memory

    # What is known without running anything.

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns.

        >>> import sheaf as sf
        >>> sf.range(3).schema
        id: int64 not null
        """
        return self._inner.schema()

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order.

        >>> import sheaf as sf
        >>> sf.range(3).columns
        ['id']
        """
        return self._inner.columns()

    @property
    def skipped_files(self) -> list[str]:
        """Files that readers under ``ignore_errors`` have left out so far.

        >>> import sheaf as sf, tempfile, pathlib
        >>> folder = tempfile.TemporaryDirectory()
        >>> _ = sf.range(3).write_parquet(f"{folder.name}/good.parquet")
        >>> _ = pathlib.Path(folder.name, "bad.parquet").write_text("no Parquet")
        >>> ids = sf.read_parquet(f"{folder.name}/*.parquet", ignore_errors=True)
        >>> ids.count(), [pathlib.Path(file).name for file in ids.skipped_files]
        (3, ['bad.parquet'])
        """
        return self._inner.skipped_files()

    def explain(self, *, analyze: bool = False) -> str:
        """The plan as text: as written, as optimized, as it runs. With ``analyze`` it runs, and says what it did.

        >>> import sheaf as sf
        >>> print(sf.range(3).limit(1).explain().splitlines()[0])
        == Logical ==
        """
        return self._inner.explain(analyze)

    def stats(self) -> str | None:
        """The operators of this dataset's last run with their rows, times and spilled bytes; None before the first.

        >>> import sheaf as sf
        >>> numbers = sf.range(3)
        >>> _ = numbers.collect()
        >>> "output_rows=3" in numbers.stats()
        True
        """
        return self._inner.stats()

    # Verbs over columns.

    def select(self, *columns: Column | Sequence[Column], **named: Column) -> Dataset:
        """These columns and expressions, and the named ones under their names.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1], "b": [2]}).select("b", c="a").to_pydict()
        {'b': [2], 'c': [1]}
        """
        return Dataset(self._inner.select([*_arguments.flat(columns), *_arguments.named(named)]))

    def with_column(self, name: str, column: Any) -> Dataset:
        """All columns and this one: in place when there is one of that name, else last. See ``with_columns``.

        >>> import sheaf as sf
        >>> sf.range(2).with_column("copy", "id").to_pydict()
        {'id': [0, 1], 'copy': [0, 1]}
        """
        return self.with_columns({name: column})

    def with_columns(self, columns: Mapping[str, Any] | None = None, /, **named: Any) -> Dataset:
        """All columns and these. Each sees the input's columns, not the others' results.

        A string is the name of a column; numbers and other values are constants.

        >>> import sheaf as sf
        >>> sf.range(2).with_columns(copy="id", one=1).to_pydict()
        {'id': [0, 1], 'copy': [0, 1], 'one': [1, 1]}
        """
        return Dataset(self._inner.with_columns(list({**(columns or {}), **named}.items())))

    def rename(self, columns: Mapping[str, str]) -> Dataset:
        """The columns under new names: old name to new name. The others keep theirs.

        >>> import sheaf as sf
        >>> sf.range(1).rename({"id": "n"}).columns
        ['n']
        """
        return Dataset(self._inner.rename(dict(columns)))

    def drop(self, *columns: str | Sequence[str]) -> Dataset:
        """All columns but these.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1], "b": [2]}).drop("a").columns
        ['b']
        """
        return Dataset(self._inner.drop(_arguments.flat(columns)))

    def explode(self, *columns: str | Sequence[str]) -> Dataset:
        """One row for each element of these list columns; the others repeat. A null or empty list gives a null.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1, 2], "b": [["x", "y"], []]}).explode("b").to_pydict()
        {'a': [1, 1, 2], 'b': ['x', 'y', None]}
        """
        return Dataset(self._inner.explode(_arguments.flat(columns)))

    # Verbs over rows.

    def filter(self, predicate: Column) -> Dataset:
        """The rows for which the predicate is true (not false, not null).

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1, 2], "ok": [True, None]}).filter("ok").to_pydict()
        {'a': [1], 'ok': [True]}
        """
        return Dataset(self._inner.filter(predicate))

    def distinct(self, *on: str | Sequence[str]) -> Dataset:
        """Each row once. With columns given, one row for each of their values; which one is not said.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1, 1, 2]}).distinct().count()
        2
        """
        return Dataset(self._inner.distinct(_arguments.flat(on)))

    def sort(
        self,
        *keys: Column | SortKey | Sequence[Column | SortKey],
        descending: bool | Sequence[bool] = False,
        nulls_first: bool | Sequence[bool] | None = None,
    ) -> Dataset:
        """The rows in the order of these keys.

        Nulls come last, or first where ``nulls_first`` says so. A key made by ``expr.asc()`` or ``expr.desc()`` has
        its own order, whatever the arguments say.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [2, None, 1]}).sort("a", descending=True).to_pydict()
        {'a': [2, 1, None]}
        """
        listed = _arguments.flat(keys)
        down = _arguments.each(descending, len(listed), "descending")
        first = _arguments.each(bool(nulls_first) if nulls_first is None else nulls_first, len(listed), "nulls_first")
        return Dataset(self._inner.sort(list(zip(listed, down, first, strict=True))))

    def limit(self, rows: int) -> Dataset:
        """At most this many rows.

        >>> import sheaf as sf
        >>> sf.range(10).limit(2).to_pydict()
        {'id': [0, 1]}
        """
        return Dataset(self._inner.limit(0, rows))

    def offset(self, rows: int) -> Dataset:
        """The rows after the first ones.

        >>> import sheaf as sf
        >>> sf.range(5).offset(3).to_pydict()
        {'id': [3, 4]}
        """
        return Dataset(self._inner.limit(rows, None))

    def sample(self, fraction: float, *, seed: int | None = None) -> Dataset:
        """Each row with this probability; the same rows for the same seed.

        >>> import sheaf as sf
        >>> 400 < sf.range(1000).sample(0.5, seed=1).count() < 600
        True
        """
        # Not a matter of secrets.
        return Dataset(self._inner.sample(fraction, random.getrandbits(64) if seed is None else seed))

    def union(self, other: Dataset, *, by_name: bool = False) -> Dataset:
        """The rows of both, columns matched by position, or with ``by_name`` by name, missing ones as nulls.

        >>> import sheaf as sf
        >>> sf.range(2).union(sf.range(1)).count()
        3
        """
        return Dataset(self._inner.union(other._inner, by_name))

    def join(
        self,
        other: Dataset,
        on: str | Sequence[str] | None = None,
        *,
        left_on: str | Sequence[str] | None = None,
        right_on: str | Sequence[str] | None = None,
        how: How = "inner",
        suffix: str = "_right",
    ) -> Dataset:
        """Joins with another dataset on equal keys; null keys match nothing.

        The result has the left side's columns, then the right side's but for keys of the same name. Other right
        columns that the left side has too get the suffix. ``semi`` and ``anti`` joins have one side's columns only.

        Args:
            other: The right side.
            on: Keys that both sides call by the same names.
            left_on: Keys of the left side, when the names differ.
            right_on: Keys of the right side, as many as of the left.
            how: Which rows the result has. ``outer`` and ``full`` are the same, as are ``semi`` and ``left_semi``.
            suffix: Put after the name of a right column that the left side has too.

        >>> import sheaf as sf
        >>> flights = sf.from_pydict({"carrier": ["AA", "XX"], "delay": [5, 7]})
        >>> names = sf.from_pydict({"carrier": ["AA"], "name": ["American"]})
        >>> flights.join(names, on="carrier", how="left").sort("delay").to_pydict()
        {'carrier': ['AA', 'XX'], 'delay': [5, 7], 'name': ['American', None]}
        """
        both = _arguments.names_of(on)
        if both and (left_on is not None or right_on is not None):
            raise errors.InvalidInputError("a join takes either on= or left_on= and right_on=, not both")
        left, right = _arguments.names_of(left_on) or both, _arguments.names_of(right_on) or both
        if how == "cross" and (left or right):
            raise errors.InvalidInputError("a cross join has every pair of rows, and no keys")
        if not isinstance(other, Dataset):
            raise errors.TypeMismatchError(
                f"a join is with a Dataset, and this is {type(other).__name__}\n"
                "  help: make it one, as with sf.from_pandas(…), sf.from_polars(…) or sf.from_arrow(…)"
            )
        return Dataset(self._inner.join(other._inner, left, right, how, suffix))

    # Groups.

    def groupby(self, *keys: Column | Sequence[Column]) -> GroupedDataset:
        """Groups by these keys, for ``agg``; nulls are a group of their own.

        >>> import sheaf as sf
        >>> flights = sf.from_pydict({"carrier": ["AA", "UA", "AA"], "delay": [5, 20, 7]})
        >>> flights.groupby("carrier").agg(worst=sf.col("delay").max()).sort("carrier").to_pydict()
        {'carrier': ['AA', 'UA'], 'worst': [7, 20]}
        """
        return GroupedDataset(self._inner.groupby(_arguments.flat(keys)))

    def aggregate(self, *aggregates: Expr | Sequence[Expr], **named: Expr) -> Dataset:
        """One row of aggregates over all rows; named ones under their names.

        >>> import sheaf as sf
        >>> sf.range(4).aggregate(sf.col("id").sum(), most=sf.col("id").max()).to_pydict()
        {'sum(id)': [6], 'most': [3]}
        """
        return Dataset(self._inner.aggregate([*_arguments.flat(aggregates), *_arguments.named(named)]))

    def describe(self) -> Dataset:
        """One row for each statistic (count, null count, mean, std, min, max, median) of every column; runs now.

        >>> import sheaf as sf
        >>> sf.range(3).describe().limit(1).to_pydict()
        {'describe': ['count'], 'id': [3.0]}
        """
        return Dataset(self._inner.describe(), in_memory=True)

    # Functions of the user's.

    def map_batches(
        self,
        fn: Callable[..., Any],
        batch_size: int | None = None,
        batch_format: BatchFormat = "pyarrow",
        *,
        schema: Schema | None = None,
        fn_args: Sequence[Any] = (),
        fn_kwargs: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """What a function makes of each batch.

        The function may return a ``pyarrow.RecordBatch`` or ``Table``, a pandas or Polars frame, or a dict of columns,
        with more or fewer rows. It is called from several threads. NumPy arrays are views of the engine's memory:
        read them, do not write into them.

        Args:
            fn: The function; its first argument is the batch.
            batch_size: Rows of each call but a partition's last; by default what suits the engine.
            batch_format: What the function is given: ``"pyarrow"`` (RecordBatch), ``"pandas"``, ``"polars"``, or
                ``"numpy"`` (a dict of arrays).
            schema: The columns that the function returns. Without it the function is called once now, on the first
                batch, to see.
            fn_args: More arguments for the function.
            fn_kwargs: More arguments for the function, by name.

        >>> import sheaf as sf
        >>> sf.range(3).map_batches(lambda batch: {"twice": batch["id"] * 2}, batch_format="numpy").to_pydict()
        {'twice': [0, 2, 4]}
        """
        call = _formats.caller(fn, batch_format, fn_args, fn_kwargs or {})
        name = getattr(fn, "__qualname__", type(fn).__name__)
        return Dataset(self._inner.map_batches(call, name, batch_size, _formats.to_schema(schema)))

    # What runs the plan.

    def collect(self) -> pa.Table:
        """All rows as a ``pyarrow.Table``; the same as ``to_arrow``.

        >>> import sheaf as sf
        >>> table = sf.range(3).collect()
        >>> type(table).__name__, table.shape
        ('Table', (3, 1))
        """
        return self.to_arrow()

    def materialize(self) -> Dataset:
        """Runs the plan once and keeps its rows in memory, within the session's limit, for all that goes on from it.

        >>> import sheaf as sf
        >>> kept = sf.range(3).materialize()
        >>> kept.count(), kept.limit(1).count()
        (3, 1)
        """
        return Dataset(self._inner.materialize(), in_memory=True)

    def count(self) -> int:
        """How many rows there are.

        >>> import sheaf as sf
        >>> sf.range(5).count()
        5
        """
        return self._inner.count()

    def show(self, rows: int = 10) -> None:
        """Print the first rows as a table.

        >>> import sheaf as sf
        >>> sf.range(5).show(2)
        +----+
        | id |
        +----+
        | 0  |
        | 1  |
        +----+
        """
        print(self._inner.preview(rows))

    def head(self, rows: int = 10) -> pa.Table:
        """The first rows as a ``pyarrow.Table``.

        >>> import sheaf as sf
        >>> sf.range(5).head(2).to_pydict()
        {'id': [0, 1]}
        """
        return self.limit(rows).to_arrow()

    def take(self, rows: int = 20) -> list[dict[str, Any]]:
        """The first rows as dicts.

        >>> import sheaf as sf
        >>> sf.range(5).take(2)
        [{'id': 0}, {'id': 1}]
        """
        taken: list[dict[str, Any]] = self.head(rows).to_pylist()
        return taken

    def to_arrow(self) -> pa.Table:
        """All rows as a ``pyarrow.Table`` over the engine's buffers, not copied.

        >>> import sheaf as sf
        >>> sf.range(3).to_arrow().column("id").to_pylist()
        [0, 1, 2]
        """
        return self._inner.to_arrow()

    def to_pandas(self, **options: Any) -> pd.DataFrame:
        """All rows as a ``pandas.DataFrame``; the options are those of ``pyarrow.Table.to_pandas``.

        >>> import sheaf as sf
        >>> sf.range(2).to_pandas()
           id
        0   0
        1   1
        """
        frame: pd.DataFrame = self.to_arrow().to_pandas(**options)
        return frame

    def to_polars(self) -> pl.DataFrame:
        """All rows as a ``polars.DataFrame``.

        >>> import sheaf as sf
        >>> sf.range(2).to_polars().to_dicts()
        [{'id': 0}, {'id': 1}]
        """
        import polars as pl

        frame = pl.from_arrow(self.to_arrow(), rechunk=False)
        assert isinstance(frame, pl.DataFrame)
        return frame

    def to_pydict(self) -> dict[str, list[Any]]:
        """All rows as lists by column; null is ``None``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1, None], "b": ["x", "y"]}).to_pydict()
        {'a': [1, None], 'b': ['x', 'y']}
        """
        columns: dict[str, list[Any]] = self.to_arrow().to_pydict()
        return columns

    def iter_batches(self, batch_size: int | None = None, batch_format: BatchFormat = "pyarrow") -> Iterator[Any]:
        """The rows in batches, as they come: the engine runs only a little ahead.

        Args:
            batch_size: Rows of each batch but the last; by default what the engine makes.
            batch_format: As for ``map_batches``.

        >>> import sheaf as sf
        >>> [batch.num_rows for batch in sf.range(5).iter_batches(batch_size=2)]
        [2, 2, 1]
        """
        give = _formats.giver(batch_format)
        return map(give, self._inner.iter_batches(batch_size))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows as an Arrow stream, which runs as it is read."""
        return self._inner.__arrow_c_stream__(requested_schema)

    # How it looks.

    def __repr__(self) -> str:
        columns = ", ".join(f"{field.name}: {field.type}" for field in self.schema)
        return f"Dataset({columns})"

    def _repr_html_(self) -> str:
        """A table for notebooks: types, and for a dataset in memory its first rows. It never runs a long plan."""
        rows = self.take(_html.ROWS) if self._in_memory else None
        return _html.table(self.schema, rows)


class GroupedDataset:
    """A dataset and the keys it is grouped by; ``agg`` makes a dataset of it.

    >>> import sheaf as sf
    >>> sf.range(3).groupby("id")
    GroupedDataset: call agg(…)
    """

    def __init__(self, inner: _sheaf.GroupedDataset) -> None:
        self._inner = inner

    def agg(self, *aggregates: Expr | Sequence[Expr], **named: Expr) -> Dataset:
        """The keys and these aggregates, one row for each group; named ones under their names.

        >>> import sheaf as sf
        >>> grouped = sf.from_pydict({"k": ["a", "b", "a"], "x": [1, 2, 3]}).groupby("k")
        >>> grouped.agg(sf.col("x").sum(), n=sf.col("x").count()).sort("k").to_pydict()
        {'k': ['a', 'b'], 'sum(x)': [4, 2], 'n': [2, 1]}
        """
        return Dataset(self._inner.agg([*_arguments.flat(aggregates), *_arguments.named(named)]))

    def __repr__(self) -> str:
        return "GroupedDataset: call agg(…)"
