"""Missing values: nulls and NaN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sheaf import _arguments
from sheaf._sheaf import SortKey
from sheaf.dataset.plan import Plan
from sheaf.errors import InvalidInputError
from sheaf.types import Column

if TYPE_CHECKING:
    from sheaf.dataset import Dataset

Strategy: TypeAlias = Literal["forward", "backward", "mean", "min", "max", "zero", "one"]


class Nulls(Plan):
    """The methods of a ``Dataset`` that drop and fill missing values."""

    def drop_null(self, *columns: str | Sequence[str]) -> Dataset:
        """The rows without a null in these columns, or in any for none named; in their order.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1, None, 3], "b": [None, "y", "z"]}).drop_null().to_pydict()
        {'a': [3], 'b': ['z']}
        """
        return self._next(self._inner.drop_null(_arguments.flat(columns)))

    def drop_nan(self, *columns: str | Sequence[str]) -> Dataset:
        """The rows without a NaN in these columns, or in any column of floats for none named; in their order.

        Null is not NaN, and stays.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1.0, float("nan"), None]}).drop_nan().to_pydict()
        {'a': [1.0, None]}
        """
        return self._next(self._inner.drop_nan(_arguments.flat(columns)))

    def fill_null(
        self,
        value: Any = None,
        *columns: str | Sequence[str],
        strategy: Strategy | None = None,
        order_by: Column | SortKey | Sequence[Column | SortKey] | None = None,
    ) -> Dataset:
        """The rows with nulls filled: with a value, with one for each column, or from the column's other values.

        A value without columns goes into those that hold values of its kind: a number into columns of numbers, text
        into columns of text. A value that one of the columns cannot hold as it is, as 0.5 among integers, is an error.
        A mean makes a column of integers one of floats. Rows keep their order, but for ``"forward"`` and
        ``"backward"``.

        Args:
            value: The value, or a dict of columns and their values.
            columns: The columns to fill.
            strategy: Where the values come from instead: ``"forward"`` takes the last one before, ``"backward"`` the
                next one after (both in the order of ``order_by``), ``"mean"``, ``"min"`` and ``"max"`` the column's.
            order_by: Keys as for ``sort``, for ``"forward"`` and ``"backward"``.

        >>> import sheaf as sf
        >>> delays = sf.from_pydict({"day": [1, 2, 3], "delay": [5, None, 8]})
        >>> delays.fill_null(0).to_pydict()
        {'day': [1, 2, 3], 'delay': [5, 0, 8]}
        >>> delays.fill_null(strategy="forward", order_by="day").sort("day").to_pydict()
        {'day': [1, 2, 3], 'delay': [5, 5, 8]}
        """
        names = _arguments.flat(columns)
        if (value is None) == (strategy is None):
            raise InvalidInputError("fill_null takes either a value or a strategy")
        if order_by is not None and strategy not in ("forward", "backward"):
            raise InvalidInputError('order_by is for the strategies "forward" and "backward"')
        if strategy is not None:
            keys = _arguments.flat(() if order_by is None else (order_by,))
            order = [(key, False, False) for key in keys]
            return self._next(self._inner.fill_null_by(strategy, order, names))
        if isinstance(value, Mapping):
            if names:
                raise InvalidInputError("fill_null takes a dict of columns and values, or a value and columns")
            return self._next(self._inner.fill_nulls(list(value.items())))
        return self._next(self._inner.fill_null(value, names))

    def fill_nan(self, value: float | None, *columns: str | Sequence[str]) -> Dataset:
        """The rows with this value for NaN in these columns, or in all columns of floats; in their order.

        ``None`` makes NaN null.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1.0, float("nan"), None]}).fill_nan(0).to_pydict()
        {'a': [1.0, 0.0, None]}
        """
        return self._next(self._inner.fill_nan(value, _arguments.flat(columns)))
