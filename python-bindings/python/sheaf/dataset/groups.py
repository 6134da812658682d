"""Groups and aggregates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from sheaf import _arguments, _formats
from sheaf._formats import BatchFormat
from sheaf._sheaf import Expr
from sheaf.dataset.aggregates import Aggregate, Named
from sheaf.dataset.grouped import GroupedDataset
from sheaf.dataset.plan import Plan
from sheaf.types import Column

if TYPE_CHECKING:
    from sheaf.dataset import Dataset

Key: TypeAlias = "Column | Callable[[Any], Any]"


class Groups(Plan):
    """The methods of a ``Dataset`` that aggregate it."""

    def groupby(self, *keys: Key | Sequence[Key] | None, batch_format: BatchFormat | None = None) -> GroupedDataset:
        """Groups by these keys, for ``agg`` and functions over groups; nulls are a group of their own.

        A key is a column, an expression, or a function. ``None``, or no key, makes one group of the whole dataset.

        A function is called with each row, a dict, and returns its key. With ``batch_format`` it is called with batches
        instead, and returns a column of keys, as many as the batch has rows. It is called once now, on the first batch,
        to see the type of its keys; they are a column of the function's name, of ``agg``'s result too (``key`` for a
        lambda), but functions over groups are not given it. Results come in no order.

        Args:
            keys: The keys.
            batch_format: What functions among the keys are given, as in ``map_batches``; by default rows.

        >>> import sheaf as sf
        >>> flights = sf.from_pydict({"carrier": ["AA", "UA", "AA"], "delay": [5, 20, 7]})
        >>> flights.groupby("carrier").agg(worst=sf.col("delay").max()).sort("carrier").to_pydict()
        {'carrier': ['AA', 'UA'], 'worst': [7, 20]}
        >>> flights.groupby(lambda row: row["delay"] > 6).count().sort("key").to_pydict()
        {'key': [False, True], 'count()': [1, 2]}
        """
        columns: list[Column] = []
        made: list[str] = []
        dataset: Plan = self
        for key in _arguments.flat(keys):
            if key is None:
                continue
            if callable(key) and not isinstance(key, Expr):
                name = _free_name(key, dataset.columns)
                dataset = _with_key(dataset, key, name, batch_format)
                made.append(name)
                columns.append(name)
            else:
                columns.append(key)
        grouped = dataset._inner.groupby(columns)
        return GroupedDataset(grouped.hiding(made) if made else grouped, dataset, columns, made)

    def rollup(self, *keys: Column | Sequence[Column]) -> GroupedDataset:
        """Groups by these keys, by these without the last one, and so on to none: subtotals and the total.

        A key that a row is not grouped by is null in it; ``sf.functions.grouping(key)`` is 1 there, and 0 where the
        null is a value. Results come in no order.

        >>> import sheaf as sf
        >>> sales = sf.from_pydict({"k": ["a", "b"], "x": [1, 2]})
        >>> sales.rollup("k").agg(x=sf.col("x").sum()).sort("x").to_pydict()
        {'k': ['a', 'b', None], 'x': [1, 2, 3]}
        """
        columns = _arguments.flat(keys)
        return GroupedDataset(self._inner.rollup(columns), self, columns)

    def cube(self, *keys: Column | Sequence[Column]) -> GroupedDataset:
        """Groups by every subset of these keys; see ``rollup``. Results come in no order.

        >>> import sheaf as sf
        >>> sales = sf.from_pydict({"k": ["a", "b"], "y": [1, 1], "x": [1, 2]})
        >>> sales.cube("k", "y").agg(x=sf.col("x").sum()).count()
        6
        """
        columns = _arguments.flat(keys)
        return GroupedDataset(self._inner.cube(columns), self, columns)

    def grouping_sets(self, sets: Sequence[Sequence[Column]]) -> GroupedDataset:
        """Groups by each of these sets of keys; see ``rollup``. Results come in no order.

        >>> import sheaf as sf
        >>> sales = sf.from_pydict({"k": ["a", "b"], "y": [1, 1], "x": [1, 2]})
        >>> sales.grouping_sets([["k"], ["y"], []]).agg(x=sf.col("x").sum()).sort("x", "y").to_pydict()
        {'k': ['a', 'b', None, None], 'y': [None, None, 1, None], 'x': [1, 2, 3, 3]}
        """
        listed = [[keys] if isinstance(keys, str | Expr) else list(keys) for keys in sets]
        return GroupedDataset(self._inner.grouping_sets(listed), self, [key for keys in listed for key in keys])

    def aggregate(self, *aggregates: Aggregate | Sequence[Aggregate], **named: Named) -> Dataset:
        """One row of aggregates over all rows; named ones under their names. See ``GroupedDataset.agg``.

        >>> import sheaf as sf
        >>> sf.range(4).aggregate(sf.col("id").sum(), most=sf.col("id").max()).to_pydict()
        {'sum(id)': [6], 'most': [3]}
        """
        return GroupedDataset(self._inner.groupby([]), self, []).agg(*aggregates, **named)

    def describe(self, percentiles: Sequence[float] | None = None) -> Dataset:
        """One row for each statistic of every column, in the order count, null_count, mean, std, min, percentiles, max.

        Numbers are told as floats, everything else as text, with count, null_count, min and max alone. NaN is counted
        and left out of the others. Percentiles are approximate, so that they need little memory.

        Args:
            percentiles: Shares between 0 and 1; by default 0.25, 0.5 and 0.75.

        >>> import sheaf as sf
        >>> sf.range(3).describe().limit(1).to_pydict()
        {'describe': ['count'], 'id': [3.0]}
        """
        return self._next(self._inner.describe(None if percentiles is None else list(percentiles)))

    def value_counts(
        self,
        *columns: str | Sequence[str],
        sort: bool = True,
        normalize: bool = False,
        dropna: bool = False,
        name: str = "count",
    ) -> Dataset:
        """Each value of a column, or of several together, once, and how many rows have it.

        Args:
            columns: The column, or columns.
            sort: The most frequent first, equal counts in the order of their values; else in no order.
            normalize: Shares of all the rows instead of their numbers.
            dropna: Leave out rows with a null in one of the columns.
            name: The column of the counts.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": ["x", "y", "y", None]}).value_counts("a").to_pydict()
        {'a': ['y', 'x', None], 'count': [2, 1, 1]}
        """
        return self._next(self._inner.value_counts(_arguments.flat(columns), sort, normalize, dropna, name))


def _free_name(key: Callable[..., Any], columns: Sequence[str]) -> str:
    """The name of the column of a function's keys."""
    name: str = getattr(key, "__name__", "key")
    name = name if name.isidentifier() else "key"
    while name in columns:
        name += "_key"
    return name


def _with_key(dataset: Plan, key: Callable[[Any], Any], name: str, batch_format: BatchFormat | None) -> Dataset:
    """The dataset with the keys that a function makes, as its last column."""
    give = _formats.giver(batch_format) if batch_format is not None else None

    def add(batch: pa.RecordBatch) -> pa.RecordBatch:
        keys = key(give(batch)) if give is not None else [key(row) for row in batch.to_pylist()]
        column = _formats.column_from(keys)
        if len(column) != batch.num_rows:
            raise ValueError(f"{name} returned {len(column)} keys for {batch.num_rows} rows")
        return pa.RecordBatch.from_arrays([*batch.columns, column], names=[*batch.schema.names, name])

    return dataset._next(dataset._inner.map_batches(add, name, None, None))
