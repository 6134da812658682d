"""Columns into rows and rows into columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sheaf import _arguments
from sheaf._sheaf import Expr, col
from sheaf.dataset.plan import Plan
from sheaf.errors import InvalidInputError

if TYPE_CHECKING:
    from sheaf.dataset import Dataset

# The aggregates that `pivot` takes by name.
_AGGREGATES = ("sum", "mean", "min", "max", "count", "n_unique", "median", "std", "var", "any_value", "agg_list")
Aggregate: TypeAlias = Literal[
    "sum", "mean", "min", "max", "count", "n_unique", "median", "std", "var", "any_value", "agg_list",
]  # fmt: skip


class Reshape(Plan):
    """The methods of a ``Dataset`` that turn columns into rows and rows into columns."""

    def explode(self, *columns: str | Sequence[str], outer: bool = True, index: str | None = None) -> Dataset:
        """One row for each element of these columns of lists or maps; the others repeat. Elements keep their order.

        Several columns go side by side, shorter lists filled up with nulls. A map ``m`` becomes the columns ``m_key``
        and ``m_value``.

        Args:
            columns: Columns of lists or maps.
            outer: Whether a null or empty list gives a row with a null; else it gives none.
            index: A column of this name for the position of each element, from 0.

        >>> import sheaf as sf
        >>> lists = sf.from_pydict({"a": [1, 2], "b": [["x", "y"], []]})
        >>> lists.explode("b").to_pydict()
        {'a': [1, 1, 2], 'b': ['x', 'y', None]}
        >>> lists.explode("b", outer=False, index="at").to_pydict()
        {'a': [1, 1], 'b': ['x', 'y'], 'at': [0, 1]}
        """
        return self._next(self._inner.explode(_arguments.flat(columns), outer, index))

    def unnest(self, *columns: str | Sequence[str]) -> Dataset:
        """The fields of these columns of structs as columns, in their place. A null struct gives nulls.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1], "s": [{"x": 2, "y": 3}]}).unnest("s").to_pydict()
        {'a': [1], 'x': [2], 'y': [3]}
        """
        return self._next(self._inner.unnest(_arguments.flat(columns)))

    def unpivot(
        self,
        on: str | Sequence[str] | None = None,
        index: str | Sequence[str] | None = None,
        *,
        variable_name: str = "variable",
        value_name: str = "value",
    ) -> Dataset:
        """One row for each of some columns, with its name and its value. The rows of one row follow one another.

        The values must have a type in common: numbers widen, and nothing becomes text.

        Args:
            on: The columns that become rows; by default all that are not ``index``.
            index: The columns that stay beside them.
            variable_name: The column of the names.
            value_name: The column of the values.

        >>> import sheaf as sf
        >>> sf.from_pydict({"city": ["A", "B"], "jan": [1, 2], "feb": [3, 4]}).unpivot(index="city").to_pylist()[:2]
        [{'city': 'A', 'variable': 'jan', 'value': 1}, {'city': 'A', 'variable': 'feb', 'value': 3}]
        """
        names = _arguments.names_of
        return self._next(self._inner.unpivot(names(on), names(index), variable_name, value_name))

    def pivot(
        self,
        index: str | Sequence[str],
        on: str,
        values: str | Sequence[str],
        aggregate: Aggregate | Callable[[Expr], Expr],
        names: Sequence[Any] | None = None,
    ) -> Dataset:
        """One row for each value of ``index``, with a column for each value of ``on``; in no order.

        Where no row has both, the value is what the aggregate makes of no rows: null, or 0 for a count. With several
        ``values`` the columns are named after both, as in ``sales_2024``.

        Args:
            index: The columns that tell the rows apart.
            on: The column whose values become columns.
            values: The column, or columns, that the new ones are filled from.
            aggregate: What makes one value of many: a name such as ``"sum"``, or a function of an expression.
            names: The values of ``on`` that become columns, in this order. Without them the plan runs now to find
                them, and there may be 10,000.

        >>> import sheaf as sf
        >>> sales = sf.from_pydict({"shop": ["a", "a", "b"], "year": [2023, 2024, 2024], "sum": [1, 2, 3]})
        >>> sales.pivot("shop", on="year", values="sum", aggregate="sum", names=[2023, 2024]).sort("shop").to_pydict()
        {'shop': ['a', 'b'], '2023': [1, None], '2024': [2, 3]}
        """
        if not callable(aggregate) and aggregate not in _AGGREGATES:
            error = InvalidInputError(f"there is no aggregate {aggregate!r}")
            error.hint = f"name one of {', '.join(_AGGREGATES)}, or give a function: lambda column: column.first(...)"
            raise error
        columns = _arguments.names_of(values)
        made = [aggregate(col(name)) if callable(aggregate) else getattr(col(name), aggregate)() for name in columns]
        listed = None if names is None else list(names)
        pairs = list(zip(columns, made, strict=True))
        return self._next(self._inner.pivot(_arguments.names_of(index), on, pairs, listed))
