"""Verbs over columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sheaf import _arguments
from sheaf.dataset.plan import Plan
from sheaf.types import Column

if TYPE_CHECKING:
    from sheaf.dataset import Dataset


class Columns(Plan):
    """The methods of a ``Dataset`` that choose and compute columns."""

    def select(self, *columns: Column | Sequence[Column], **named: Column) -> Dataset:
        """These columns and expressions, and the named ones under their names.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1], "b": [2]}).select("b", c="a").to_pydict()
        {'b': [2], 'c': [1]}
        """
        return self._next(self._inner.select([*_arguments.flat(columns), *_arguments.named(named)]))

    def with_column(self, name: str, column: Any) -> Dataset:
        """All columns and this one: in place when there is one of that name, else last. See ``with_columns``.

        >>> import sheaf as sf
        >>> sf.range(2).with_column("copy", "id").to_pydict()
        {'id': [0, 1], 'copy': [0, 1]}
        """
        return self.with_columns({name: column})

    def with_columns(self, columns: Mapping[str, Any] | None = None, /, **named: Any) -> Dataset:
        """All columns and these. Each sees the input's columns, not the others' results.

        A string is the name of a column; numbers and other values are constants.

        >>> import sheaf as sf
        >>> sf.range(2).with_columns(copy="id", one=1).to_pydict()
        {'id': [0, 1], 'copy': [0, 1], 'one': [1, 1]}
        """
        return self._next(self._inner.with_columns(list({**(columns or {}), **named}.items())))

    def rename(self, columns: Mapping[str, str]) -> Dataset:
        """The columns under new names: old name to new name. The others keep theirs.

        >>> import sheaf as sf
        >>> sf.range(1).rename({"id": "n"}).columns
        ['n']
        """
        return self._next(self._inner.rename(dict(columns)))

    def drop(self, *columns: str | Sequence[str]) -> Dataset:
        """All columns but these.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1], "b": [2]}).drop("a").columns
        ['b']
        """
        return self._next(self._inner.drop(_arguments.flat(columns)))

    def explode(self, *columns: str | Sequence[str]) -> Dataset:
        """One row for each element of these list columns; the others repeat. A null or empty list gives a null.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1, 2], "b": [["x", "y"], []]}).explode("b").to_pydict()
        {'a': [1, 1, 2], 'b': ['x', 'y', None]}
        """
        return self._next(self._inner.explode(_arguments.flat(columns)))
