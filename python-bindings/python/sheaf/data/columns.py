"""Verbs over columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sheaf._sheaf import Expr
from sheaf.data.plan import Plan

if TYPE_CHECKING:
    from sheaf.data.dataset import Dataset


class Columns(Plan):
    """The methods of a ``Dataset`` that choose and compute columns; all keep the order of rows.

    Arguments that say where Ray runs tasks (``compute``, ``concurrency``, ``num_cpus`` and the like) are taken and have
    no effect: these verbs call no function.
    """

    def select_columns(self, cols: str | Sequence[str], **ray_options: Any) -> Dataset:
        """These columns, in this order.

        >>> import sheaf as sf
        >>> sf.data.from_items([{"a": 1, "b": 2}]).select_columns(["b"]).take_all()
        [{'b': 2}]
        """
        names = [cols] if isinstance(cols, str) else list(cols)
        if len(set(names)) < len(names):
            raise ValueError(f"select_columns names a column twice: {names}")
        return self._next(self._ds.select(names))

    def drop_columns(self, cols: Sequence[str], **ray_options: Any) -> Dataset:
        """All columns but these.

        >>> import sheaf as sf
        >>> sf.data.from_items([{"a": 1, "b": 2}]).drop_columns(["b"]).take_all()
        [{'a': 1}]
        """
        names = [cols] if isinstance(cols, str) else list(cols)
        if len(set(names)) < len(names):
            raise ValueError(f"drop_columns names a column twice: {names}")
        return self._next(self._ds.exclude(names))

    def rename_columns(self, names: Sequence[str] | Mapping[str, str], **ray_options: Any) -> Dataset:
        """The columns under new names: a dict of old names and new ones, or all new names in order.

        >>> import sheaf as sf
        >>> sf.data.range(1).rename_columns({"id": "n"}).columns(), sf.data.range(1).rename_columns(["m"]).columns()
        (['n'], ['m'])
        """
        if isinstance(names, Mapping):
            renamed = dict(names)
        elif isinstance(names, list | tuple):
            if len(names) != len(self._ds.columns):
                raise ValueError(f"there are {len(names)} names for {len(self._ds.columns)} columns")
            renamed = dict(zip(self._ds.columns, names, strict=True))
        else:
            raise TypeError(f"names are a list or a dict, not {type(names).__name__}")
        if not renamed:
            raise ValueError("rename_columns has no names")
        if len(set(renamed.values())) < len(renamed):
            raise ValueError(f"rename_columns gives a name twice: {list(renamed.values())}")
        return self._next(self._ds.rename(renamed))

    def with_column(self, column_name: str, expr: Expr, **ray_options: Any) -> Dataset:
        """All columns and this one, an expression of ``sheaf.data.expressions``.

        >>> import sheaf as sf
        >>> from sheaf.data.expressions import col
        >>> sf.data.range(2).with_column("next", col("id") + 1).take_all()
        [{'id': 0, 'next': 1}, {'id': 1, 'next': 2}]
        """
        return self.with_columns({column_name: expr})

    def with_columns(
        self, exprs: Mapping[str, Expr] | None = None, *more_exprs: Mapping[str, Expr], **ray_options: Any
    ) -> Dataset:
        """All columns and these. Each sees the input's columns, not the others' results.

        >>> import sheaf as sf
        >>> from sheaf.data.expressions import col, lit
        >>> sf.data.range(1).with_columns({"next": col("id") + 1, "one": lit(1)}).take_all()
        [{'id': 0, 'next': 1, 'one': 1}]
        """
        columns: dict[str, Expr] = {}
        for several in (exprs or {}, *more_exprs):
            columns |= several
        for name, expr in columns.items():
            if not isinstance(expr, Expr):
                raise TypeError(f"the column {name!r} is {type(expr).__name__}, and has to be an expression")
        return self._next(self._ds.with_columns(columns))
