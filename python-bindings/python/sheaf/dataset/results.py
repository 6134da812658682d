"""What runs a plan and gives its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sheaf import _objects
from sheaf.dataset.rows import Rows

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


class Results(Rows):
    """The methods of a ``Dataset`` that run it."""

    def collect(self) -> pa.Table:
        """All rows as a ``pyarrow.Table``; the same as ``to_arrow``.

        >>> import sheaf as sf
        >>> table = sf.range(3).collect()
        >>> type(table).__name__, table.shape
        ('Table', (3, 1))
        """
        return self.to_arrow()

    def count(self) -> int:
        """How many rows there are.

        >>> import sheaf as sf
        >>> sf.range(5).count()
        5
        """
        return self._inner.count()

    def show(self, rows: int = 10) -> None:
        """Print the first rows as a table.

        >>> import sheaf as sf
        >>> sf.range(5).show(2)
        +----+
        | id |
        +----+
        | 0  |
        | 1  |
        +----+
        """
        print(self._inner.preview(rows))

    def head(self, rows: int = 10) -> pa.Table:
        """The first rows as a ``pyarrow.Table``.

        >>> import sheaf as sf
        >>> sf.range(5).head(2).to_pydict()
        {'id': [0, 1]}
        """
        return self.limit(rows).to_arrow()

    def take(self, rows: int = 20) -> list[dict[str, Any]]:
        """The first rows as dicts.

        >>> import sheaf as sf
        >>> sf.range(5).take(2)
        [{'id': 0}, {'id': 1}]
        """
        taken: list[dict[str, Any]] = self.head(rows).to_pylist()
        return taken

    def to_arrow(self) -> pa.Table:
        """All rows in their order as a ``pyarrow.Table`` over the engine's buffers, not copied.

        >>> import sheaf as sf
        >>> sf.range(3).to_arrow().column("id").to_pylist()
        [0, 1, 2]
        """
        return self._inner.to_arrow()

    def to_pandas(self, **options: Any) -> pd.DataFrame:
        """All rows as a ``pandas.DataFrame``; the options are those of ``pyarrow.Table.to_pandas``.

        >>> import sheaf as sf
        >>> sf.range(2).to_pandas()
           id
        0   0
        1   1
        """
        return _objects.to_pandas(self.to_arrow(), **options)

    def to_polars(self) -> pl.DataFrame:
        """All rows as a ``polars.DataFrame``.

        >>> import sheaf as sf
        >>> sf.range(2).to_polars().to_dicts()
        [{'id': 0}, {'id': 1}]
        """
        return _objects.to_polars(self.to_arrow())

    def to_pydict(self) -> dict[str, list[Any]]:
        """All rows as lists by column; null is ``None``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1, None], "b": ["x", "y"]}).to_pydict()
        {'a': [1, None], 'b': ['x', 'y']}
        """
        columns: dict[str, list[Any]] = self.to_arrow().to_pydict()
        return columns

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows in their order as an Arrow stream, which runs as it is read."""
        return self._inner.__arrow_c_stream__(requested_schema)
