"""``DataIterator`` under Ray's names: a pass over a dataset, or over a trainer's share of one, for each loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from sheaf import _formats, dataset, session
from sheaf._formats import BatchFormat
from sheaf.data.plan import Schema, format_of, rows_of
from sheaf.data.settings import DataContext
from sheaf.errors import UnsupportedError

if TYPE_CHECKING:
    import tensorflow as tf
    import torch

    from sheaf.data.dataset import MaterializedDataset

Open: TypeAlias = "Callable[[int | None, int | None], dataset.DataIterator]"
"""The feed of a pass: of the rows of a window within which the order is by chance, and of the seed of it."""


class DataIterator:
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

    def iter_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        batch_format: str | None = "default",
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
    ) -> Iterator[Any]:
        """A pass in batches, which are dicts of NumPy arrays by default.

        Args:
            prefetch_batches: Batches that are made ahead.
            batch_size: Rows of each batch but the last; with ``None`` what the engine makes.
            batch_format: ``"default"`` and ``"numpy"``, ``"pandas"``, ``"pyarrow"`` or ``"polars"``.
            drop_last: Whether a last batch with fewer rows is left out.
            local_shuffle_buffer_size: Rows within which the order is by chance.
            local_shuffle_seed: For the same order again.

        >>> import sheaf as sf
        >>> list(sf.data.range(3).iterator().iter_batches(batch_size=2))
        [{'id': array([0, 1])}, {'id': array([2])}]
        """
        feed = self._feed(local_shuffle_buffer_size, local_shuffle_seed)
        kind: BatchFormat = format_of(batch_format)
        return feed.iter_batches(batch_size, kind, prefetch_batches=prefetch_batches, drop_last=drop_last)

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        """A pass row by row, as dicts.

        >>> import sheaf as sf
        >>> list(sf.data.range(2).iterator().iter_rows())
        [{'id': 0}, {'id': 1}]
        """
        for batch in self._feed(None, None).iter_batches():
            yield from rows_of(batch)

    def iter_torch_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        dtypes: torch.dtype | Mapping[str, torch.dtype] | None = None,
        device: torch.device | str | None = "auto",
        collate_fn: Callable[[dict[str, Any]], Any] | None = None,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        pin_memory: bool = False,
    ) -> Iterator[Any]:
        """A pass in batches of PyTorch: dicts of tensors, or what ``collate_fn`` makes of a dict of NumPy arrays.

        ``device="auto"`` leaves tensors in the CPU's memory: there is no trainer here that has a device.

        >>> import sheaf as sf
        >>> for batch in sf.data.range(2).iterator().iter_torch_batches():  # doctest: +SKIP
        ...     print(batch)
        {'id': tensor([0, 1])}
        """
        return self._feed(local_shuffle_buffer_size, local_shuffle_seed).iter_torch_batches(
            batch_size,
            dtypes=dtypes,
            device=None if device == "auto" else device,
            collate_fn=collate_fn,
            pin_memory=pin_memory,
            prefetch_batches=prefetch_batches,
            drop_last=drop_last,
        )

    def iter_jax_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        dtypes: Any = None,
        collate_fn: Any = None,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        synchronize_batches: bool = False,
        paddings: Any = None,
    ) -> Iterator[dict[str, Any]]:
        """A pass in batches of JAX. ``collate_fn``, ``synchronize_batches`` and ``paddings`` are refused.

        >>> import sheaf as sf
        >>> for batch in sf.data.range(2).iterator().iter_jax_batches():  # doctest: +SKIP
        ...     print(batch)
        {'id': Array([0, 1], dtype=int32)}
        """
        given = {"collate_fn": collate_fn, "synchronize_batches": synchronize_batches or None, "paddings": paddings}
        _refuse("iter_jax_batches", given, "make batches with iter_batches, and arrays of them")
        return self._feed(local_shuffle_buffer_size, local_shuffle_seed).iter_jax_batches(
            batch_size, dtypes=dtypes, prefetch_batches=prefetch_batches, drop_last=drop_last
        )

    def to_tf(
        self,
        feature_columns: str | Sequence[str],
        label_columns: str | Sequence[str],
        *,
        additional_columns: str | Sequence[str] | None = None,
        prefetch_batches: int = 1,
        batch_size: int = 1,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        feature_type_spec: Any = None,
        label_type_spec: Any = None,
        additional_type_spec: Any = None,
    ) -> tf.data.Dataset:
        """A ``tf.data.Dataset`` of pairs of features and labels; ``additional_columns`` and types are refused.

        >>> import sheaf as sf
        >>> sf.data.range(2).iterator().to_tf("id", "id")  # doctest: +SKIP
        """
        given = {
            "additional_columns": additional_columns,
            "feature_type_spec": feature_type_spec,
            "label_type_spec": label_type_spec,
            "additional_type_spec": additional_type_spec,
        }
        _refuse("to_tf", given, "select and cast the columns before")
        return self._feed(local_shuffle_buffer_size, local_shuffle_seed).to_tf(
            feature_columns,
            label_columns,
            batch_size=batch_size,
            prefetch_batches=prefetch_batches,
            drop_last=drop_last,
        )

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


def _refuse(verb: str, given: Mapping[str, Any], hint: str) -> None:
    """Raise for an argument that changes what is given and is not supported."""
    for name, value in given.items():
        if value is not None:
            error = UnsupportedError(f"{verb} does not take {name}=")
            error.hint = hint
            raise error
