"""`.list`: the elements of lists. Positions count from 0, and from the end where they are negative."""

from __future__ import annotations

from collections.abc import Callable

from sheaf._sheaf import Expr, call_function, lit, when
from sheaf.functions import lambda_expression
from sheaf.types import SortKeys, Value


class ListNamespace:
    """Functions of lists, reached as `sf.col("xs").list`.

    Called, it is the aggregate that gathers values into a list: `sf.col("x").list()` is `sf.col("x").agg_list()`.

    >>> import sheaf as sf
    >>> lists = sf.from_pydict({"xs": [[3, 1], []]})
    >>> lists.select(n=sf.col("xs").list.len(), most=sf.col("xs").list.max()).to_pydict()
    {'n': [2, 0], 'most': [3, None]}
    """

    def __init__(self, expr: Expr) -> None:
        self._expr = expr

    def __call__(self, order_by: SortKeys | None = None) -> Expr:
        """Aggregate: all values as one list, in the order of `order_by` where that is given."""
        return self._expr.agg_list(order_by)

    def _call(self, name: str, *args: Value) -> Expr:
        return call_function(name, [self._expr, *args])

    def len(self) -> Expr:
        """Return how many elements there are, nulls counted.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, None], []]}).select(sf.col("xs").list.len()).to_pydict()
        {'array_length(xs)': [2, 0]}
        """
        return self._call("array_length").cast("int64")

    def get(self, index: int | Expr) -> Expr:
        """Return the element at a position, null where the list is shorter; `sf.col("xs")[0]` is the same.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2], [3]]}).select(sf.col("xs").list.get(1)).to_pydict()
        {'array_element(xs, 2)': [2, None]}
        >>> sf.from_pydict({"xs": [[1, 2], [3]]}).select(sf.col("xs").list.get(-1)).to_pydict()
        {'array_element(xs, -1)': [2, 3]}
        """
        if isinstance(index, Expr):
            return self._call("array_element", when(index >= 0).then(index + 1).otherwise(index))
        return self._call("array_element", index + 1 if index >= 0 else index)

    def first(self) -> Expr:
        """Return the first element.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2], [3]]}).select(sf.col("xs").list.first()).to_pydict()
        {'array_element(xs, 1)': [1, 3]}
        """
        return self.get(0)

    def last(self) -> Expr:
        """Return the last element.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2], [3]]}).select(sf.col("xs").list.last()).to_pydict()
        {'array_element(xs, -1)': [2, 3]}
        """
        return self.get(-1)

    def contains(self, value: Value) -> Expr:
        """Return whether the list has an element equal to this.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2], [3]]}).select(sf.col("xs").list.contains(3)).to_pydict()
        {'array_has(xs, 3)': [False, True]}
        """
        return self._call("array_has", value)

    def index_of(self, value: Value) -> Expr:
        """Return the position of the first element equal to this, null where there is none.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2], [3]]}).select(sf.col("xs").list.index_of(2)).to_pydict()
        {'array_position(xs, 2) - 1': [1, None]}
        """
        return self._call("array_position", value).cast("int64") - 1

    def sum(self) -> Expr:
        """Return the sum of the elements, as a float.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2], [3]]}).select(sf.col("xs").list.sum()).to_pydict()
        {'array_sum(xs)': [3.0, 3.0]}
        """
        return self._call("array_sum")

    def mean(self) -> Expr:
        """Return the mean of the elements, as a float.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2], [3]]}).select(sf.col("xs").list.mean()).to_pydict()
        {'array_avg(xs)': [1.5, 3.0]}
        """
        return self._call("array_avg")

    def min(self) -> Expr:
        """Return the smallest element.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2], [3]]}).select(sf.col("xs").list.min()).to_pydict()
        {'array_min(xs)': [1, 3]}
        """
        return self._call("array_min")

    def max(self) -> Expr:
        """Return the largest element.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2], [3]]}).select(sf.col("xs").list.max()).to_pydict()
        {'array_max(xs)': [2, 3]}
        """
        return self._call("array_max")

    def sort(self, *, descending: bool = False, nulls_last: bool = False) -> Expr:
        """Return the elements in order.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[2, 1], [3]]}).select(sf.col("xs").list.sort()).to_pydict()
        {"array_sort(xs, 'ASC', 'NULLS FIRST')": [[1, 2], [3]]}
        """
        order = "DESC" if descending else "ASC"
        return self._call("array_sort", order, "NULLS LAST" if nulls_last else "NULLS FIRST")

    def reverse(self) -> Expr:
        """Return the elements from the last to the first.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2], [3]]}).select(sf.col("xs").list.reverse()).to_pydict()
        {'array_reverse(xs)': [[2, 1], [3]]}
        """
        return self._call("array_reverse")

    def unique(self) -> Expr:
        """Return each element once; which order they come in is not said.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 1], [3]]}).select(sf.col("xs").list.unique()).to_pydict()
        {'array_distinct(xs)': [[1], [3]]}
        """
        return self._call("array_distinct")

    def n_unique(self) -> Expr:
        """Return how many different elements there are, null being one.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 1], [3, 4]]}).select(sf.col("xs").list.n_unique().alias("n")).to_pydict()
        {'n': [1, 2]}
        """
        return ListNamespace(self.unique()).len()

    def drop_nulls(self) -> Expr:
        """Return the elements that are not null.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, None], [3]]}).select(sf.col("xs").list.drop_nulls()).to_pydict()
        {'array_compact(xs)': [[1], [3]]}
        """
        return self._call("array_compact")

    def join(self, separator: str) -> Expr:
        """Return the elements as one text, nulls left out.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [["a", "b"], ["c"]]}).select(sf.col("xs").list.join("-")).to_pydict()
        {"array_to_string(xs, '-')": ['a-b', 'c']}
        """
        return self._call("array_to_string", separator)

    def slice(self, offset: int, length: int | None = None) -> Expr:
        """Return so many elements from a position on, all that follow where no length is given.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2, 3], [4]]}).select(sf.col("xs").list.slice(1, 2).alias("xs")).to_pydict()
        {'xs': [[2, 3], []]}
        """
        # A slice that begins before the list begins with it.
        start = lit(offset + 1) if offset >= 0 else call_function("greatest", [self.len() + (offset + 1), 1])
        end = self.len() if length is None else start + (length - 1)
        return self._call("array_slice", start, end)

    def head(self, n: int = 5) -> Expr:
        """Return the first elements.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2, 3], [4]]}).select(sf.col("xs").list.head(2).alias("xs")).to_pydict()
        {'xs': [[1, 2], [4]]}
        """
        return self.slice(0, n)

    def tail(self, n: int = 5) -> Expr:
        """Return the last elements.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2, 3], [4]]}).select(sf.col("xs").list.tail(2).alias("xs")).to_pydict()
        {'xs': [[2, 3], [4]]}
        """
        return self.slice(-n, n)

    def concat(self, other: Value) -> Expr:
        """Return the elements of both lists.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1], [2]]}).select(sf.col("xs").list.concat([9])).to_pydict()
        {'array_concat(xs, [9])': [[1, 9], [2, 9]]}
        """
        return self._call("array_concat", other)

    def append(self, value: Value) -> Expr:
        """Return the elements with one more at the end.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1], [2]]}).select(sf.col("xs").list.append(9)).to_pydict()
        {'array_append(xs, 9)': [[1, 9], [2, 9]]}
        """
        return self._call("array_append", value)

    def set_union(self, other: Value) -> Expr:
        """Return the elements of either list, each once.

        >>> import sheaf as sf
        >>> expr = sf.col("xs").list.set_union([2, 9]).list.sort()
        >>> sf.from_pydict({"xs": [[1, 2]]}).select(expr.alias("xs")).to_pydict()
        {'xs': [[1, 2, 9]]}
        """
        return self._call("array_union", other)

    def set_intersection(self, other: Value) -> Expr:
        """Return the elements that both lists have, each once.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2]]}).select(sf.col("xs").list.set_intersection([2, 9])).to_pydict()
        {'array_intersect(xs, [2, 9])': [[2]]}
        """
        return self._call("array_intersect", other)

    def set_difference(self, other: Value) -> Expr:
        """Return the elements that the other list has not, each once.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2]]}).select(sf.col("xs").list.set_difference([2, 9])).to_pydict()
        {'array_except(xs, [2, 9])': [[1]]}
        """
        return self._call("array_except", other)

    def flatten(self) -> Expr:
        """Return the elements of the lists in the list.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[[1], [2, 3]]]}).select(sf.col("xs").list.flatten()).to_pydict()
        {'flatten(xs)': [[1, 2, 3]]}
        """
        return self._call("flatten")

    def eval(self, function: Callable[[Expr], Expr]) -> Expr:
        """Return what a function makes of each element: it is given an expression for the element.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2], [3]]}).select(sf.col("xs").list.eval(lambda x: x * 10)).to_pydict()
        {'array_transform(xs, (x) -> x * 10)': [[10, 20], [30]]}
        """
        return self._call("array_transform", lambda_expression(function))

    def filter(self, function: Callable[[Expr], Expr]) -> Expr:
        """Return the elements for which a function is true.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2], [3]]}).select(sf.col("xs").list.filter(lambda x: x > 1)).to_pydict()
        {'array_filter(xs, (x) -> x > 1)': [[2], [3]]}
        """
        return self._call("array_filter", lambda_expression(function))

    def any(self, function: Callable[[Expr], Expr]) -> Expr:
        """Return whether a function is true for some element.

        >>> import sheaf as sf
        >>> sf.from_pydict({"xs": [[1, 2], [3]]}).select(sf.col("xs").list.any(lambda x: x > 2)).to_pydict()
        {'array_any_match(xs, (x) -> x > 2)': [False, True]}
        """
        return self._call("array_any_match", lambda_expression(function))
