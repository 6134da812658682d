"""Aggregates that users write: ``AggregateFn``, as Ray has it, and ``Aggregation``, as Dask has it.

Both are aggregated partially before rows are exchanged, and merged after. States travel pickled, and spill when memory
is short: their size is estimated from some of them. Functions are called for many rows at a time, by several threads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from sheaf import _formats
from sheaf._formats import BatchFormat
from sheaf.errors import InvalidInputError
from sheaf.types import DataType

__all__ = ["AggregateFn", "AggregateFnV2", "Aggregation"]


class AggregateFn:
    """An aggregate made of functions over one group's state, with the arguments and the meaning of Ray's.

    Nulls are not left out: functions see them as ``None``. An empty dataset has null for a result.

    Args:
        init: ``init(key)`` makes the state of a group: of a key, of a tuple of several, of ``None`` for the whole
            dataset. It may be called several times for a group, whose states are merged.
        merge: ``merge(state, other)`` makes one state of two of the same group.
        name: The name of the result's column.
        accumulate_row: ``accumulate_row(state, row)`` gives the state with a row more, which is a dict.
        accumulate_block: ``accumulate_block(state, block)`` gives the state with rows more: a ``pyarrow.Table``, or
            what ``batch_format`` says. It or ``accumulate_row`` is given, not both.
        finalize: ``finalize(state)`` makes the result of the state; without it the state is the result.
        columns: The columns that rows and blocks have; all by default. To name them spares the others' exchange.
        return_type: The type of results. Without it the aggregate is tried now, on rows of one group that come first.
        batch_format: What ``accumulate_block`` is given: ``"pyarrow"``, ``"pandas"``, ``"polars"`` or ``"numpy"``.

    >>> import sheaf as sf
    >>> longest = sf.AggregateFn(
    ...     init=lambda key: "",
    ...     accumulate_row=lambda state, row: max(state, row["word"], key=len),
    ...     merge=lambda state, other: max(state, other, key=len),
    ...     name="longest",
    ... )
    >>> words = sf.from_pydict({"k": [1, 1, 2], "word": ["a", "bcd", "ef"]})
    >>> words.groupby("k").agg(longest).sort("k").to_pydict()
    {'k': [1, 2], 'longest': ['bcd', 'ef']}
    """

    def __init__(
        self,
        init: Callable[[Any], Any],
        merge: Callable[[Any, Any], Any],
        name: str,
        accumulate_row: Callable[[Any, dict[str, Any]], Any] | None = None,
        accumulate_block: Callable[[Any, Any], Any] | None = None,
        finalize: Callable[[Any], Any] | None = None,
        *,
        columns: Sequence[str] | None = None,
        return_type: DataType | None = None,
        batch_format: BatchFormat = "pyarrow",
    ) -> None:
        if (accumulate_row is None) == (accumulate_block is None):
            error = InvalidInputError(f"the aggregate {name!r} needs one of accumulate_row and accumulate_block")
            error.hint = (
                "accumulate_row is given one row at a time, accumulate_block the rows of a group that came together"
            )
            raise error
        self.init = init
        self.merge = merge
        self.name = name
        self.accumulate_row = accumulate_row
        self.accumulate_block = accumulate_block
        self.finalize = finalize  # type: ignore[method-assign,assignment,unused-ignore]
        self.columns = None if columns is None else list(columns)
        self.return_type = return_type
        self._give = _formats.giver(batch_format)
        self._is_arrow = batch_format == "pyarrow"

    def __repr__(self) -> str:
        return f"AggregateFn({self.name!r})"


class AggregateFnV2(AggregateFn, ABC):
    """An aggregate as a class, with the methods and the meaning of Ray's: blocks are aggregated, and results combined.

    A state of ``None`` is a null: with ``ignore_nulls`` the other one stands, else the result is null.

    Args:
        name: The name of the result's column.
        zero_factory: ``zero_factory()`` makes the state of a group without rows.
        on: The column that blocks have; all by default.
        ignore_nulls: What a state of ``None`` means.
        return_type: The type of results. Without it the aggregate is tried now, on rows of one group that come first.

    >>> import sheaf as sf
    >>> class Span(sf.AggregateFnV2):
    ...     def aggregate_block(self, block):
    ...         known = block["x"].drop_null().to_pylist()
    ...         return [min(known), max(known)] if known else None
    ...
    ...     def combine(self, current_accumulator, new):
    ...         return [min(current_accumulator[0], new[0]), max(current_accumulator[1], new[1])]
    ...
    ...     def finalize(self, accumulator):
    ...         return accumulator and accumulator[1] - accumulator[0]
    >>> data = sf.from_pydict({"k": ["a", "a", "b"], "x": [1, 5, None]})
    >>> data.groupby("k").agg(Span("span", lambda: None, on="x")).sort("k").to_pydict()
    {'k': ['a', 'b'], 'span': [4, None]}
    """

    def __init__(
        self,
        name: str,
        zero_factory: Callable[[], Any],
        *,
        on: str | None = None,
        ignore_nulls: bool = True,
        return_type: DataType | None = None,
    ) -> None:
        self._ignore_nulls = ignore_nulls
        super().__init__(
            init=lambda _key: zero_factory(),
            merge=self._combined,
            name=name,
            accumulate_block=lambda state, block: self._combined(state, self.aggregate_block(block)),
            finalize=self.finalize,
            columns=None if on is None else [on],
            return_type=return_type,
        )

    @abstractmethod
    def aggregate_block(self, block: Any) -> Any:
        """The state of these rows of a group, a ``pyarrow.Table``.

        >>> import sheaf as sf
        >>> sf.AggregateFnV2.aggregate_block.__isabstractmethod__
        True
        """

    @abstractmethod
    def combine(self, current_accumulator: Any, new: Any) -> Any:
        """One state of two of a group, none of which is ``None``.

        >>> import sheaf as sf
        >>> sf.AggregateFnV2.combine.__isabstractmethod__
        True
        """

    def finalize(self, accumulator: Any) -> Any:
        """The result of a state; by default the state itself.

        >>> import sheaf as sf
        >>> sf.AggregateFnV2.finalize(None, 3)
        3
        """
        return accumulator

    def _combined(self, state: Any, other: Any) -> Any:
        if state is not None and other is not None:
            return self.combine(state, other)
        return (other if state is None else state) if self._ignore_nulls else None


class Aggregation:
    """An aggregate made of functions over all groups at once, as pandas has them, with the arguments of Dask's.

    Columns are pandas', so that nulls of numbers are NaN, which pandas' own aggregates leave out. A result that is NaN
    is null.

    Args:
        name: What results are called: the one of a column ``x`` is ``name(x)``.
        chunk: ``chunk(grouped)`` is called with the groups of some rows: a pandas ``SeriesGroupBy``, or for several
            columns a ``DataFrameGroupBy``. It returns a Series with a value for each group, or a tuple of such.
        agg: ``agg(grouped, ...)`` is called with what chunks, or it itself before, returned for the same groups: a
            ``SeriesGroupBy`` for each Series. It returns as many Series.
        finalize: ``finalize(series, ...)`` makes the Series of results; without it the one of ``agg`` is it.
        return_type: The type of results. Without it the aggregate is tried now, on rows of one group that come first.

    >>> import sheaf as sf
    >>> mean = sf.Aggregation(
    ...     "mean",
    ...     chunk=lambda grouped: (grouped.count(), grouped.sum()),
    ...     agg=lambda count, total: (count.sum(), total.sum()),
    ...     finalize=lambda count, total: total / count,
    ... )
    >>> data = sf.from_pydict({"k": ["a", "a", "b"], "x": [1.0, 2.0, 3.0]})
    >>> data.groupby("k").agg({"x": mean}).sort("k").to_pydict()
    {'k': ['a', 'b'], 'mean(x)': [1.5, 3.0]}
    """

    def __init__(
        self,
        name: str,
        chunk: Callable[[Any], Any],
        agg: Callable[..., Any],
        finalize: Callable[..., Any] | None = None,
        *,
        return_type: DataType | None = None,
    ) -> None:
        self.name = name
        self.chunk = chunk
        self.agg = agg
        self.finalize = finalize
        self.return_type = return_type

    def __repr__(self) -> str:
        return f"Aggregation({self.name!r})"
