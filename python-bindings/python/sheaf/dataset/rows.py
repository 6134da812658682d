"""Verbs over rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from sheaf import _arguments
from sheaf._sheaf import SortKey
from sheaf.dataset.row_functions import RowFunctions, RowOptions
from sheaf.errors import InvalidInputError
from sheaf.types import Column

if TYPE_CHECKING:
    from sheaf.dataset import Dataset


class Rows(RowFunctions):
    """The methods of a ``Dataset`` that choose and order rows."""

    def filter(
        self,
        predicate: Column | Callable[..., Any],
        **options: Unpack[RowOptions],
    ) -> Dataset:
        """The rows for which the predicate is true (not false, not null), in their order.

        The predicate may be a function that is given each row as a dict, or a class whose instances are such functions,
        with the options of ``map``. An expression is faster by far.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1, 2], "ok": [True, None]}).filter("ok").to_pydict()
        {'a': [1], 'ok': [True]}
        >>> sf.range(4).filter(lambda row: row["id"] % 2).to_pydict()
        {'id': [1, 3]}
        """
        if callable(predicate):
            return self._filter_by(predicate, options)
        if options:
            raise InvalidInputError(f"{next(iter(options))} is for a function, and the predicate is an expression")
        return self._next(self._inner.filter(predicate))

    def distinct(self, *on: str | Sequence[str]) -> Dataset:
        """Each row once, in no order. With columns given, one row for each of their values; which one is not said.

        ``drop_duplicates`` says which one, and knows other ways to choose.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1, 1, 2]}).distinct().count()
        2
        """
        return self._next(self._inner.distinct(_arguments.flat(on)))

    def drop_duplicates(
        self,
        subset: str | Sequence[str] | None = None,
        *,
        keep: str = "any",
        order_by: Column | SortKey | Sequence[Column | SortKey] | None = None,
    ) -> Dataset:
        """One of the rows that are alike in these columns, or in all. Nulls are alike. Rows come in no order.

        Args:
            subset: The columns that are compared; all by default.
            keep: ``"any"`` of them, the ``"first"`` or ``"last"`` one, or with ``"none"`` only rows that no other is
                like. Any is the fastest: it looks at no order.
            order_by: Keys as for ``sort`` that say which row is the first and the last. Where they do not tell, and
                without them, it is the order of the rows.

        >>> import sheaf as sf
        >>> ds = sf.from_pydict({"k": ["a", "b", "a"], "v": [1, 2, 3]})
        >>> ds.drop_duplicates("k", keep="last").sort("k").to_pydict()
        {'k': ['a', 'b'], 'v': [3, 2]}
        >>> ds.drop_duplicates("k", keep="none").to_pydict()
        {'k': ['b'], 'v': [2]}
        """
        keys = [(key, False, False) for key in _arguments.flat(() if order_by is None else (order_by,))]
        return self._next(self._inner.drop_duplicates(_arguments.names_of(subset), keep, keys))

    def with_row_index(self, name: str = "index", offset: int = 0) -> Dataset:
        """Number the rows in their order, in a first column of 64-bit integers. Keeps the order of rows.

        The numbers are exact over all partitions, which become one; rows stream by and none is held. Filters and
        limits that follow do not change them.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": ["x", "y"]}).with_row_index(offset=1).to_pydict()
        {'index': [1, 2], 'a': ['x', 'y']}
        """
        return self._next(self._inner.with_row_index(name, offset))

    def monotonically_increasing_id(self, name: str = "id") -> Dataset:
        """Give each row a number of its own, in a first column of 64-bit integers. Keeps the order of rows.

        It grows with the rows and has gaps: the number of the partition times 2**33, and the row's place in it.
        Partitions stay as they are and run at once, which those of ``with_row_index`` cannot.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": ["x", "y"]}).repartition(rows=1).monotonically_increasing_id().to_pydict()
        {'id': [0, 8589934592], 'a': ['x', 'y']}
        """
        return self._next(self._inner.monotonically_increasing_id(name))

    def preserve_order(self) -> Dataset:
        """The rows of the last verb in the order in which they came to it.

        After a join they are in the order of the left side, and for each of its rows in that of the right one; rows
        of the right side without a match come last. Groups and distinct rows are in the order of their first rows,
        those of windows and ``drop_duplicates`` as they were. After a verb that keeps the order nothing is done.
        ``select``, ``with_column``, ``rename`` and ``filter`` may stand between. The rows are numbered and sorted for
        it, and spill.

        Raises:
            UnsupportedError: After a verb whose rows come in an order of their own, as ``random_shuffle``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"k": ["b", "a", "b"]}).groupby("k").agg(n=sf.col("k").count()).preserve_order().to_pydict()
        {'k': ['b', 'a'], 'n': [2, 1]}
        """
        return self._next(self._inner.preserve_order())

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
        return self._next(self._inner.sort(list(zip(listed, down, first, strict=True))))

    def limit(self, rows: int) -> Dataset:
        """At most this many rows, the first ones. Keeps the order of rows.

        >>> import sheaf as sf
        >>> sf.range(10).limit(2).to_pydict()
        {'id': [0, 1]}
        """
        return self._next(self._inner.limit(0, rows))

    def top_k(self, rows: int, by: Column | Sequence[Column]) -> Dataset:
        """The rows with the largest values, largest first; as ``sort`` and ``limit``, it keeps no more than it gives.

        >>> import sheaf as sf
        >>> sf.range(10).top_k(2, by="id").to_pydict()
        {'id': [9, 8]}
        """
        return self.sort(by, descending=True).limit(rows)

    def bottom_k(self, rows: int, by: Column | Sequence[Column]) -> Dataset:
        """The rows with the smallest values, smallest first.

        >>> import sheaf as sf
        >>> sf.range(10).bottom_k(2, by="id").to_pydict()
        {'id': [0, 1]}
        """
        return self.sort(by).limit(rows)

    def offset(self, rows: int) -> Dataset:
        """The rows after the first ones. Keeps the order of rows.

        >>> import sheaf as sf
        >>> sf.range(5).offset(3).to_pydict()
        {'id': [3, 4]}
        """
        return self._next(self._inner.limit(rows, None))

    def sample(
        self,
        fraction: float | None = None,
        *,
        n: int | None = None,
        seed: int | None = None,
        replace: bool = False,
        stratify_by: str | Sequence[str] = (),
    ) -> Dataset:
        """Rows drawn at random, in their order: a fraction of them, or exactly so many.

        A row is drawn by the seed, the number of its partition and its number there. So the same seed draws the same
        rows while the input has the same rows in the same partitions, however many threads run it. Files, ``range`` and
        rows in memory stay in theirs; after a verb that moves rows between partitions, and where the number of threads
        decides how many partitions there are, other rows may be drawn: ``persist()`` or ``sort`` first.

        Args:
            fraction: The probability of each row, from 0 to 1. With ``replace``, how often each row is drawn on
                average, from 0 to 100.
            n: How many rows are drawn; all of them where there are no more. They are held in memory.
            seed: What decides. Without it every call draws other rows.
            replace: Whether a row may be drawn more than once.
            stratify_by: Columns by whose values the rows are told apart, null too: of each kind the fraction is drawn,
                to the nearest row. The rows are sorted for that, spill, and do not keep their order.

        >>> import sheaf as sf
        >>> 400 < sf.range(1000).sample(0.5, seed=1).count() < 600
        True
        >>> sf.range(1000).sample(n=10, seed=1).count()
        10
        >>> people = sf.from_pydict({"sex": ["f"] * 40 + ["m"] * 60})
        >>> people.sample(0.1, seed=1, stratify_by="sex").value_counts("sex").sort("sex").to_pydict()["count"]
        [4, 6]
        """
        # Not a matter of secrets.
        seed = random.getrandbits(64) if seed is None else seed
        return self._next(self._inner.sample(fraction, n, seed, replace, _arguments.names_of(stratify_by)))
