"""``DataIterator`` under Ray's names: a pass over a dataset, or over a trainer's share of one, for each loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from sheaf import _formats, dataset, session
from sheaf.data.passes import Passes
from sheaf.data.plan import Schema
from sheaf.data.settings import DataContext

if TYPE_CHECKING:
    from sheaf.data.dataset import MaterializedDataset

Open: TypeAlias = "Callable[[int | None, int | None], dataset.DataIterator]"
"""The feed of a pass: of the rows of a window within which the order is by chance, and of the seed of it."""


class DataIterator(Passes):
    """Passes over the rows of a dataset; made by ``iterator`` and ``streaming_split``.

    >>> import sheaf as sf
    >>> numbers = sf.data.range(3).iterator()
    >>> for epoch in range(2):
    ...     print([row["id"] for row in numbers.iter_rows()])
    [0, 1, 2]
    [0, 1, 2]
    """

    def __init__(self, open: Open, of: dataset.Dataset | None = None) -> None:
        self._open = open
        self._of = of
        self._last: dataset.DataIterator | None = None

    def _feed(self, buffer_size: int | None, seed: int | None) -> dataset.DataIterator:
        self._last = self._open(buffer_size, seed)
        return self._last

    def materialize(self) -> MaterializedDataset:
        """The rows of a pass, kept: a dataset of their own.

        >>> import sheaf as sf
        >>> sf.data.range(3).iterator().materialize().count()
        3
        """
        from sheaf.data.dataset import MaterializedDataset

        if self._of is not None:
            return MaterializedDataset(self._of.persist())
        feed = self._feed(None, None)
        table = pa.Table.from_batches(feed.iter_batches(), schema=feed.schema)
        return MaterializedDataset(session.default.from_arrow(table))

    def schema(self) -> Schema:
        """The names and types of the columns.

        >>> import sheaf as sf
        >>> sf.data.range(3).iterator().schema().names
        ['id']
        """
        schema = self._of.schema if self._of is not None else self._open(None, None).schema
        return Schema(_formats.without_views(schema))

    def stats(self) -> str:
        """Whether the trainer waits for data, of the last pass.

        >>> import sheaf as sf
        >>> numbers = sf.data.range(3).iterator()
        >>> _ = list(numbers.iter_batches())
        >>> numbers.stats()
        'FeedStats(waited_s=..., full_s=..., rows=3, batches=1)'
        """
        return "" if self._last is None else str(self._last.stats())

    def get_context(self) -> DataContext:
        """The settings of this process, which have no effect.

        >>> import sheaf as sf
        >>> sf.data.range(3).iterator().get_context() is sf.data.DataContext.get_current()
        True
        """
        return DataContext.get_current()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            hints = {"iter_tf_batches": "to_tf gives a tf.data.Dataset", "to_torch": "iter_torch_batches"}
            hint = f"\n  help: {hints[name]}" if name in hints else ""
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def __repr__(self) -> str:
        return f"DataIterator({self.schema().names})"
