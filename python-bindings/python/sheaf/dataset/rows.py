"""Verbs over rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sheaf import _arguments
from sheaf._sheaf import SortKey
from sheaf.dataset.plan import Plan
from sheaf.types import Column

if TYPE_CHECKING:
    from sheaf.dataset import Dataset


class Rows(Plan):
    """The methods of a ``Dataset`` that choose and order rows."""

    def filter(self, predicate: Column) -> Dataset:
        """The rows for which the predicate is true (not false, not null).

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1, 2], "ok": [True, None]}).filter("ok").to_pydict()
        {'a': [1], 'ok': [True]}
        """
        return self._next(self._inner.filter(predicate))

    def distinct(self, *on: str | Sequence[str]) -> Dataset:
        """Each row once. With columns given, one row for each of their values; which one is not said.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1, 1, 2]}).distinct().count()
        2
        """
        return self._next(self._inner.distinct(_arguments.flat(on)))

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
        """At most this many rows.

        >>> import sheaf as sf
        >>> sf.range(10).limit(2).to_pydict()
        {'id': [0, 1]}
        """
        return self._next(self._inner.limit(0, rows))

    def offset(self, rows: int) -> Dataset:
        """The rows after the first ones.

        >>> import sheaf as sf
        >>> sf.range(5).offset(3).to_pydict()
        {'id': [3, 4]}
        """
        return self._next(self._inner.limit(rows, None))

    def sample(self, fraction: float, *, seed: int | None = None) -> Dataset:
        """Each row with this probability; the same rows for the same seed.

        >>> import sheaf as sf
        >>> 400 < sf.range(1000).sample(0.5, seed=1).count() < 600
        True
        """
        # Not a matter of secrets.
        return self._next(self._inner.sample(fraction, random.getrandbits(64) if seed is None else seed))
