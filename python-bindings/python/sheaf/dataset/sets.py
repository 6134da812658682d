"""Verbs over several datasets of the same columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sheaf.dataset.plan import Plan

if TYPE_CHECKING:
    from sheaf.dataset import Dataset


class Sets(Plan):
    """The methods of a ``Dataset`` that put datasets together row by row."""

    def union(self, other: Dataset, *, by_name: bool = False) -> Dataset:
        """The rows of both, columns matched by position, or with ``by_name`` by name, missing ones as nulls.

        >>> import sheaf as sf
        >>> sf.range(2).union(sf.range(1)).count()
        3
        """
        return self._next(self._inner.union(other._inner, by_name))
