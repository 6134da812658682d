"""The states of groups under the aggregates that users write: what the engine calls with rows, and with states.

Groups are numbered from 0. The rows of a group come together, and the last column says the group.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sheaf.aggregates import AggregateFn, Aggregation

if TYPE_CHECKING:
    import pandas as pd

# A group without a state.
_NONE: Any = object()
# States that are measured for an estimate of all, and elements of each of their containers.
_MEASURED_STATES = 32
_MEASURED_ELEMENTS = 16
# Rows of chunks' results that wait to be aggregated, beside one for each group.
_WAITING_ROWS = 50_000


class RowStates:
    """The states of an ``AggregateFn``."""

    def __init__(self, aggregate: AggregateFn, columns: int, result: pa.DataType | None) -> None:
        self._aggregate = aggregate
        self._columns = columns
        self._result = result
        self._states: list[Any] = []

    def update(self, rows: pa.RecordBatch) -> int:
        """Accumulates rows."""
        starts, groups = _runs(rows)
        keys = rows.columns[self._columns : -1]
        given = rows.select(range(self._columns))
        accumulate = self._rows(given) if self._aggregate.accumulate_row else self._blocks(given)
        ends = [*starts[1:].tolist(), rows.num_rows]
        for start, end, group in zip(starts.tolist(), ends, groups.tolist(), strict=True):
            self._states.extend([_NONE] * (group + 1 - len(self._states)))
            state = self._states[group]
            if state is _NONE:
                key = tuple(column[start].as_py() for column in keys)
                state = self._aggregate.init(key if len(key) > 1 else key[0] if key else None)
            self._states[group] = accumulate(state, start, end)
        return self._bytes()

    def _rows(self, given: pa.RecordBatch) -> Callable[[Any, int, int], Any]:
        rows = given.to_pylist()
        one = self._aggregate.accumulate_row
        assert one is not None

        def accumulate(state: Any, start: int, end: int) -> Any:
            for row in rows[start:end]:
                state = one(state, row)
            return state

        return accumulate

    def _blocks(self, given: pa.RecordBatch) -> Callable[[Any, int, int], Any]:
        block = self._aggregate.accumulate_block
        assert block is not None
        give = pa.Table.from_batches if self._aggregate._is_arrow else None

        def accumulate(state: Any, start: int, end: int) -> Any:
            rows = given.slice(start, end - start)
            return block(state, give([rows]) if give is not None else self._aggregate._give(rows))

        return accumulate

    def merge(self, states: pa.RecordBatch) -> int:
        """Merges states of other partitions."""
        for pickled, group in zip(states.column(0).to_pylist(), states.column(1).to_pylist(), strict=True):
            self._states.extend([_NONE] * (group + 1 - len(self._states)))
            if pickled is not None:
                mine, other = self._states[group], pickle.loads(pickled)
                self._states[group] = other if mine is _NONE else self._aggregate.merge(mine, other)
        return self._bytes()

    def states(self, groups: int) -> pa.Array:
        """The first groups' states as bytes."""
        pickled = [None if state is _NONE else pickle.dumps(state, protocol=5) for state in self._first(groups)]
        return pa.array(pickled, type=pa.binary())

    def results(self, groups: int) -> pa.Array:
        """The first groups' results."""
        finalize = self._aggregate.finalize or _same
        results = [None if state is _NONE else finalize(state) for state in self._first(groups)]
        return pa.array(results, type=self._result)

    def forget(self, groups: int) -> int:
        """Drops the first groups."""
        del self._states[:groups]
        return self._bytes()

    def _first(self, groups: int) -> list[Any]:
        return [*self._states[:groups], *[_NONE] * (groups - len(self._states))]

    def _bytes(self) -> int:
        return sys.getsizeof(self._states) + _estimated(self._states, _MEASURED_STATES)


class FrameStates:
    """The states of an ``Aggregation``: frames with a row for each group, whose index is the groups' numbers."""

    def __init__(self, aggregate: Aggregation, columns: int, result: pa.DataType | None) -> None:
        self._aggregate = aggregate
        self._columns = columns
        self._result = result
        self._parts: list[pd.DataFrame] = []
        self._waiting = 0

    def update(self, rows: pa.RecordBatch) -> int:
        """Aggregates chunks of rows."""
        frame = rows.select(range(self._columns)).to_pandas()
        groups = rows.column(rows.num_columns - 1).to_numpy().astype(np.int64)
        chosen = frame[frame.columns[0]] if self._columns == 1 else frame
        return self._add(self._frame(self._aggregate.chunk(chosen.groupby(groups)), "chunk"))

    def merge(self, states: pa.RecordBatch) -> int:
        """Adds states of other partitions."""
        import pandas as pd

        pairs = zip(states.column(0).to_pylist(), states.column(1).to_pylist(), strict=True)
        known = [(pickle.loads(pickled), group) for pickled, group in pairs if pickled is not None]
        if not known:
            return self._bytes()
        columns = zip(*(state for state, _ in known), strict=True)
        index = [group for _, group in known]
        return self._add(pd.DataFrame({at: pd.Series(column, index=index) for at, column in enumerate(columns)}))

    def _add(self, part: pd.DataFrame) -> int:
        self._parts.append(part)
        self._waiting += len(part)
        if self._waiting > _WAITING_ROWS + 2 * len(self._parts[0]):
            self._together()
        return self._bytes()

    def _together(self) -> pd.DataFrame | None:
        """One frame of all, with one row for each group."""
        import pandas as pd

        if not self._parts:
            return None
        # Copies of the index: one that parts share cannot be dealt into groups of several levels.
        whole = pd.concat(self._parts) if len(self._parts) > 1 else self._parts[0]
        told = self._aggregate.agg(*(whole[column].groupby(level=0) for column in whole.columns))
        self._parts, self._waiting = [self._frame(told, "agg")], 0
        return self._parts[0]

    def _frame(self, told: Any, function: str) -> pd.DataFrame:
        import pandas as pd

        columns = list(told) if isinstance(told, tuple | list) else [told]
        for column in columns:
            if not isinstance(column, pd.Series):
                raise TypeError(
                    f"{function} returned {type(column).__name__}, not a Series with a value for each group"
                )
        return pd.DataFrame(dict(enumerate(columns)))

    def states(self, groups: int) -> pa.Array:
        """The first groups' states as bytes."""
        pickled: list[bytes | None] = [None] * groups
        frame = self._together()
        if frame is not None:
            for group, *values in zip(frame.index, *(frame[column].tolist() for column in frame.columns), strict=True):
                if group < groups:
                    pickled[group] = pickle.dumps(tuple(values), protocol=5)
        return pa.array(pickled, type=pa.binary())

    def results(self, groups: int) -> pa.Array:
        """The first groups' results."""
        frame = self._together()
        if frame is None:
            return pa.nulls(groups, self._result)
        finalize = self._aggregate.finalize or _same
        results = finalize(*(frame[column] for column in frame.columns))
        if len(results) != groups or results.index[-1] != groups - 1:
            results = results.reindex(range(groups))
        return pa.array(results, type=self._result, from_pandas=True)

    def forget(self, groups: int) -> int:
        """Drops the first groups."""
        frame = self._together()
        if frame is not None:
            rest = frame[frame.index >= groups]
            self._parts = [rest.set_axis(rest.index - groups)] if len(rest) else []
        return self._bytes()

    def _bytes(self) -> int:
        return sum(_size_of(part) for part in self._parts)


def start(aggregate: AggregateFn | Aggregation, columns: int) -> Callable[[pa.DataType | None], Any]:
    """What starts the states of groups of as many columns, given the type of their results."""
    if isinstance(aggregate, AggregateFn):
        return lambda result: RowStates(aggregate, columns, result)
    return lambda result: FrameStates(aggregate, columns, result)


def _same(state: Any) -> Any:
    return state


def _runs(rows: pa.RecordBatch) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Where the rows of each group start, and the groups."""
    groups = rows.column(rows.num_columns - 1).to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))
    return starts, groups[starts]


def _estimated(values: Any, measured: int) -> int:
    """The bytes of all values, by those of some that stand evenly among them."""
    if len(values) <= measured:
        return sum(_size_of(value) for value in values)
    step = len(values) / measured
    some = sum(_size_of(values[int(at * step)]) for at in range(measured))
    return some * len(values) // measured


def _size_of(value: Any, depth: int = 4) -> int:
    """About the bytes of a value: what it holds is measured, of large containers some of it."""
    if value is _NONE:
        return 0
    for attribute in ("nbytes", "memory_usage"):
        told = getattr(value, attribute, None)
        if told is not None:
            return _of_library(value, told)
    size = sys.getsizeof(value)
    if depth == 0 or isinstance(value, str | bytes | bytearray | int | float | bool | None):
        return size
    if isinstance(value, dict):
        inside = [*_some(value.keys()), *_some(value.values())]
        return size + _scaled(inside, 2 * len(value), depth)
    if isinstance(value, list | tuple | set | frozenset) or (hasattr(value, "__iter__") and hasattr(value, "__len__")):
        return size + _scaled(_some(value), len(value), depth)
    return size + _size_of(vars(value), depth - 1) if hasattr(value, "__dict__") else size


def _of_library(value: Any, told: Any) -> int:
    """The bytes of an array or a frame, with the objects it refers to."""
    if not callable(told):
        is_object = getattr(value, "dtype", None) == np.dtype(object)
        return int(told) + (_scaled(_some(value), value.size, 1) if is_object else 0)
    size = int(np.sum(told()))
    columns = [value[name] for name in value.columns] if hasattr(value, "columns") else [value]
    for column in columns:
        if column.dtype == np.dtype(object):
            size += _scaled(_some(column.array), len(column), 3)
    return size


def _some(values: Any) -> list[Any]:
    """The first elements."""
    return [value for value, _ in zip(values, range(_MEASURED_ELEMENTS), strict=False)]


def _scaled(some: list[Any], of: int, depth: int) -> int:
    return sum(_size_of(value, depth - 1) for value in some) * of // max(len(some), 1)
