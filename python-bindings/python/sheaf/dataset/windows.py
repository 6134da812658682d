"""Windows: verbs that look at the rows around each row."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sheaf import _arguments, _formats, _sheaf, errors
from sheaf._formats import BatchFormat, Schema
from sheaf._sheaf import Expr, Window
from sheaf.dataset.aggregates import Bound, Named
from sheaf.dataset.plan import Plan
from sheaf.types import Columns, Frame, SortKeys, Value

if TYPE_CHECKING:
    from sheaf.dataset import Dataset

Closed: TypeAlias = Literal["right", "left", "both", "neither"]


class Windows(Plan):
    """The methods of a ``Dataset`` that look at the rows around each row."""

    def window(
        self,
        partition_by: Window | Columns | None = None,
        order_by: SortKeys | None = None,
        frame: Frame | None = None,
        **named: Named,
    ) -> Dataset:
        """All columns, and expressions as columns, each computed for every row over the rows around it.

        The arguments are those of ``Expr.over``: a ``Window``, or what one is made of. A column of a name that is
        there is replaced. It does not keep the order of rows.

        Aggregates that users write stand where others do, as in ``agg``: ``total=an_aggregate_fn``, or with columns
        ``total=("x", an_aggregation)``. A whole partition has one state. Where frames differ, each row has a result:
        the rows that come are added where all frames start with the partition, else every frame is computed anew.

        >>> import sheaf as sf
        >>> sales = sf.from_pydict({"k": ["a", "a", "b"], "t": [1, 2, 1], "x": [3, 4, 5]})
        >>> ranked = sales.window("k", order_by="t", so_far=sf.col("x").sum(), rank=sf.functions.row_number())
        >>> ranked.sort("k", "t").select("so_far", "rank").to_pydict()
        {'so_far': [3, 7, 5], 'rank': [1, 2, 1]}
        """
        if isinstance(partition_by, Window):
            if order_by is not None or frame is not None:
                raise errors.InvalidInputError(
                    "a Window has its order and its frame already\n"
                    "  help: give the Window alone, or partition_by, order_by and frame"
                )
            window = partition_by
        else:
            window = _window(partition_by, order_by)
            if frame is not None:
                window = _sheaf.framed(window, frame)
        bound = Bound(functools.partial(self._inner.window_aggregate, window), self.columns, ())
        return self._next(self._inner.window(window, [(name, bound.one(item)) for name, item in named.items()]))

    def shift(
        self,
        *columns: str | Sequence[str],
        order_by: SortKeys,
        rows: int = 1,
        by: Columns | None = None,
        fill_value: Value = None,
    ) -> Dataset:
        """These columns with the values of so many rows before, each group of ``by`` by itself.

        Where there is no such row, there is ``fill_value``. A negative number looks at the rows after. To keep the
        column, use ``with_column`` and ``Expr.shift``. It does not keep the order of rows.

        >>> import sheaf as sf
        >>> sf.from_pydict({"t": [1, 2, 3], "x": [3, 5, 4]}).shift("x", order_by="t").sort("t").to_pydict()
        {'t': [1, 2, 3], 'x': [None, 3, 5]}
        """
        return self._next(self._inner.shift(_arguments.flat(columns), rows, fill_value, _window(by, order_by)))

    def diff(
        self, *columns: str | Sequence[str], order_by: SortKeys, rows: int = 1, by: Columns | None = None
    ) -> Dataset:
        """These columns less their values so many rows before, each group of ``by`` by itself.

        It does not keep the order of rows.

        >>> import sheaf as sf
        >>> sf.from_pydict({"t": [1, 2, 3], "x": [3, 5, 4]}).diff("x", order_by="t").sort("t").to_pydict()
        {'t': [1, 2, 3], 'x': [None, 2, -1]}
        """
        return self._next(self._inner.diff(_arguments.flat(columns), rows, _window(by, order_by)))

    def pct_change(
        self, *columns: str | Sequence[str], order_by: SortKeys, rows: int = 1, by: Columns | None = None
    ) -> Dataset:
        """The changes of these columns since so many rows before, as shares of the values there.

        Each group of ``by`` goes by itself. A null is no value, and is not filled. It does not keep the order of rows.

        >>> import sheaf as sf
        >>> sf.from_pydict({"t": [1, 2, 3], "x": [4, 5, 10]}).pct_change("x", order_by="t").sort("t").to_pydict()
        {'t': [1, 2, 3], 'x': [None, 0.25, 1.0]}
        """
        return self._next(self._inner.pct_change(_arguments.flat(columns), rows, _window(by, order_by)))

    def cumsum(self, *columns: str | Sequence[str], order_by: SortKeys, by: Columns | None = None) -> Dataset:
        """These columns with the sums of their values up to each row, each group of ``by`` by itself.

        A null does not count, and stays null. It does not keep the order of rows.

        >>> import sheaf as sf
        >>> sf.from_pydict({"t": [1, 2, 3], "x": [3, None, 4]}).cumsum("x", order_by="t").sort("t").to_pydict()
        {'t': [1, 2, 3], 'x': [3, None, 7]}
        """
        return self._running("sum", columns, order_by, by)

    def cumprod(self, *columns: str | Sequence[str], order_by: SortKeys, by: Columns | None = None) -> Dataset:
        """These columns with the products of their values up to each row; else as ``cumsum``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"t": [1, 2, 3], "x": [3, 2, 4]}).cumprod("x", order_by="t").sort("t").to_pydict()
        {'t': [1, 2, 3], 'x': [3, 6, 24]}
        """
        return self._running("prod", columns, order_by, by)

    def cummax(self, *columns: str | Sequence[str], order_by: SortKeys, by: Columns | None = None) -> Dataset:
        """These columns with the largest of their values up to each row; else as ``cumsum``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"t": [1, 2, 3], "x": [3, 2, 4]}).cummax("x", order_by="t").sort("t").to_pydict()
        {'t': [1, 2, 3], 'x': [3, 3, 4]}
        """
        return self._running("max", columns, order_by, by)

    def cummin(self, *columns: str | Sequence[str], order_by: SortKeys, by: Columns | None = None) -> Dataset:
        """These columns with the smallest of their values up to each row; else as ``cumsum``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"t": [1, 2, 3], "x": [3, 2, 4]}).cummin("x", order_by="t").sort("t").to_pydict()
        {'t': [1, 2, 3], 'x': [3, 2, 2]}
        """
        return self._running("min", columns, order_by, by)

    def cumcount(self, *columns: str | Sequence[str], order_by: SortKeys, by: Columns | None = None) -> Dataset:
        """These columns with how many of their values up to each row are not null; else as ``cumsum``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"t": [1, 2, 3], "x": ["a", None, "b"]}).cumcount("x", order_by="t").sort("t").to_pydict()
        {'t': [1, 2, 3], 'x': [1, 1, 2]}
        """
        return self._running("count", columns, order_by, by)

    def rolling(
        self,
        on: str,
        window: int | str | datetime.timedelta,
        *,
        by: Columns | None = None,
        min_periods: int = 1,
        closed: Closed = "right",
        center: bool = False,
    ) -> RollingDataset:
        """The rows before each row within a span, for ``agg``.

        Args:
            on: The column that orders the rows: whole numbers, dates or timestamps. Rows without a value in it have
                nulls.
            window: How far a window reaches back: a number of rows, or a span such as ``"5d"``, ``"2h30m"``, ``"1w"``,
                ``"100ms"``, ``"1mo"`` or a ``timedelta``; ``"3i"`` is a span of whole numbers. Along a span, rows of
                one value are in or out together; among a number of rows, which of them are is not said.
            by: Each group of these by itself.
            min_periods: A window with fewer values that are not null has a null.
            closed: Which ends of the window belong to it.
            center: Whether the window lies around its row instead of before it.

        >>> import sheaf as sf, datetime
        >>> days = [datetime.date(2026, 1, day) for day in (1, 2, 2, 9)]
        >>> sales = sf.from_pydict({"day": days, "x": [1, 2, 3, 4]})
        >>> sales.rolling("day", "5d").agg(last_5=sf.col("x").sum()).sort("x").select("x", "last_5").to_pydict()
        {'x': [1, 2, 3, 4], 'last_5': [1, 6, 6, 4]}
        """
        keys, inner = _arguments.columns_of(by), self._inner
        return RollingDataset(
            self, lambda aggregates: inner.rolling(on, window, keys, min_periods, closed, center, aggregates)
        )

    def group_by_dynamic(
        self,
        on: str,
        every: int | str | datetime.timedelta,
        *,
        period: int | str | datetime.timedelta | None = None,
        offset: int | str | datetime.timedelta | None = None,
        closed: Closed = "left",
        label: Literal["left", "right", "datapoint"] = "left",
        by: Columns | None = None,
    ) -> DynamicGroups:
        """Groups that are windows along a column, for ``agg``. A row is in each window that it lies in.

        Args:
            on: The column: whole numbers, dates or timestamps. A row without a value is in no window.
            every: How far the starts of windows are apart: a span as in ``rolling``, or an int along whole numbers.
                Starts are counted from 1970 in UTC; those of months from January, those of weeks from Mondays.
            period: How long a window is; by default it ends where the next one starts.
            offset: How much later windows start.
            closed: Which ends of a window belong to it.
            label: What stands for a window in the column ``on`` of the result: where it starts, where it ends, or the
                first value in it.
            by: Each group of these by itself.

        >>> import sheaf as sf, datetime
        >>> days = [datetime.date(2026, 1, day) for day in (1, 2, 9)]
        >>> weeks = sf.from_pydict({"day": days, "x": [1, 2, 3]}).group_by_dynamic("day", "1w")
        >>> weeks.agg(x=sf.col("x").sum()).sort("day").to_pydict()
        {'day': [datetime.date(2025, 12, 29), datetime.date(2026, 1, 5)], 'x': [3, 3]}
        """
        keys, inner = _arguments.columns_of(by), self._inner
        return DynamicGroups(
            self,
            lambda aggregates: inner.group_by_dynamic(on, every, period, offset, closed, label, keys, aggregates),
        )

    def map_overlap(
        self,
        fn: Callable[..., Any],
        before: int | str | datetime.timedelta,
        after: int | str | datetime.timedelta = 0,
        *,
        on: str | None = None,
        batch_size: int | None = None,
        batch_format: BatchFormat = "pyarrow",
        schema: Schema | None = None,
        fn_args: Sequence[Any] = (),
        fn_kwargs: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """What a function makes of runs of ordered rows, each with the rows before and after it.

        The rows are sorted, on disk where memory is short, or without ``on`` are in the order that they have, from
        partition to partition; they are cut into runs. The function is given a run with its margins, and returns a row
        for each row that it is given; those for the margins are cut off. So it sees all that a window needs, however
        many runs that spans. The result has as many rows, in that order. It is called from several threads.

        Args:
            fn: The function; its first argument is the batch. It may return what that of ``map_batches`` may.
            before: How far it looks back from the first row of a run: a number of rows, or along the column a span such
                as ``"5d"``, ``"3i"`` or a ``timedelta``. A margin along the column has all rows equal to its end.
            after: How far it looks ahead from the last row of a run.
            on: The column that orders the rows; those without a value come last, and are in no margin along it. Without
                it margins are numbers of rows.
            batch_size: Rows of each run but the last, without its margins; by default what suits the engine.
            batch_format: What the function is given; see ``map_batches``.
            schema: The columns that the function returns. Without it the function is called once now, on the first
                rows of the order, to see.
            fn_args: More arguments for the function.
            fn_kwargs: More arguments for the function, by name.

        >>> import sheaf as sf, datetime
        >>> days = [datetime.datetime(2026, 1, day) for day in (9, 1, 3, 2)]
        >>> sales = sf.from_pydict({"day": days, "x": [4.0, 1.0, 3.0, 2.0]})
        >>> def smooth(frame):
        ...     return frame.assign(x=frame.rolling("5D", on="day")["x"].mean())
        >>> sales.map_overlap(smooth, "5d", on="day", batch_size=2, batch_format="pandas").to_pydict()["x"]
        [1.0, 1.5, 2.0, 4.0]
        >>> def step(frame):
        ...     return frame.assign(x=frame["x"].diff())
        >>> sales.map_overlap(step, 1, batch_size=2, batch_format="pandas").to_pydict()["x"]
        [None, -3.0, 2.0, -1.0]
        """
        call = _formats.caller(fn, batch_format, fn_args, fn_kwargs or {})
        name = getattr(fn, "__qualname__", type(fn).__name__)
        columns = _formats.to_schema(schema)
        return self._next(self._inner.map_overlap(call, name, before, after, on, batch_size, columns))

    def _running(
        self, total: str, columns: tuple[str | Sequence[str], ...], order_by: SortKeys, by: Columns | None
    ) -> Dataset:
        return self._next(self._inner.running(_arguments.flat(columns), total, _window(by, order_by)))


class RollingDataset:
    """A dataset and the window around each of its rows; ``agg`` computes over these.

    >>> import sheaf as sf
    >>> sf.range(3).rolling("id", 2)
    RollingDataset: call agg(…)
    """

    def __init__(self, of: Plan, agg: Callable[[list[Any]], _sheaf.Dataset]) -> None:
        self._of = of
        self._agg = agg

    def agg(self, *aggregates: Expr | Sequence[Expr], **named: Expr) -> Dataset:
        """All columns, and these aggregates, each computed for every row over its window; named ones under their names.

        A column of a name that is there is replaced. It does not keep the order of rows.

        >>> import sheaf as sf
        >>> sf.range(4).rolling("id", 2).agg(sf.col("id").sum(), n=sf.col("id").count()).sort("id").to_pydict()
        {'id': [0, 1, 2, 3], 'sum(id)': [0, 1, 3, 5], 'n': [1, 2, 2, 2]}
        """
        return self._of._next(self._agg([*_arguments.flat(aggregates), *_arguments.named(named)]))

    def __repr__(self) -> str:
        return "RollingDataset: call agg(…)"


class DynamicGroups:
    """A dataset and its windows along a column; ``agg`` gives one row for each that has rows.

    >>> import sheaf as sf
    >>> sf.range(3).group_by_dynamic("id", 2)
    DynamicGroups: call agg(…)
    """

    def __init__(self, of: Plan, agg: Callable[[list[Any]], _sheaf.Dataset]) -> None:
        self._of = of
        self._agg = agg

    def agg(self, *aggregates: Expr | Sequence[Expr], **named: Expr) -> Dataset:
        """The keys, the windows and these aggregates, one row for each window with rows; named ones under their names.

        It does not keep the order of rows.

        >>> import sheaf as sf
        >>> sf.range(5).group_by_dynamic("id", 2, period=3).agg(n=sf.functions.count()).sort("id").to_pydict()
        {'id': [-2, 0, 2, 4], 'n': [1, 3, 3, 1]}
        """
        return self._of._next(self._agg([*_arguments.flat(aggregates), *_arguments.named(named)]))

    def __repr__(self) -> str:
        return "DynamicGroups: call agg(…)"


def _window(by: Columns | None, order_by: SortKeys | None) -> Window:
    window = Window()
    if by is not None:
        window = window.partition_by(by)
    return window if order_by is None else window.order_by(order_by)
