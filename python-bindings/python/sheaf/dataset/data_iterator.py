"""``DataIterator``: the epochs of a dataset, for one trainer, from any row on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sheaf import _formats
from sheaf._feed import tensors
from sheaf._feed.ahead import ahead
from sheaf._feed.position import Position, resumed
from sheaf._feed.source import Source
from sheaf._formats import BatchFormat
from sheaf.errors import InvalidInputError

if TYPE_CHECKING:
    import tensorflow as tf
    import torch


@dataclasses.dataclass(frozen=True)
class FeedStats:
    """Whether the trainer waits for data, or the data for the trainer.

    >>> import sheaf as sf
    >>> numbers = sf.range(5).iterator()
    >>> for batch in numbers.iter_batches(2):
    ...     pass
    >>> numbers.stats().rows, numbers.stats().batches
    (5, 3)
    """

    waited_s: float
    """Seconds that the trainer has waited for batches."""
    full_s: float
    """Seconds that the engine has waited, with batches ready, for the trainer to take one."""
    rows: int
    """Rows that the trainer was given."""
    batches: int
    """Batches that the trainer was given."""


class DataIterator:
    """The epochs of a dataset, or a trainer's share of them; made by ``iterator`` and ``streaming_split``.

    Each loop over it is an epoch. ``state_dict`` tells where it is, in a few numbers; ``load_state_dict`` goes on
    there, with the rows that would have followed in the order that they would have had. A loop that is left before its
    end ends its epoch: the next one begins the next.

    >>> import sheaf as sf
    >>> numbers = sf.range(6).iterator()
    >>> for batch in numbers.iter_batches(2):
    ...     break
    >>> again = sf.range(6).iterator()
    >>> again.load_state_dict(numbers.state_dict())
    >>> [batch.to_pydict()["id"] for batch in again.iter_batches(2)]
    [[2, 3], [4, 5]]
    """

    def __init__(self, source: Source, position: Position) -> None:
        self._source = source
        self._position = position
        self._is_loaded = True
        self._reading: Any = None
        self._counts = (0, 0)
        self._times = (0.0, 0.0)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns.

        >>> import sheaf as sf
        >>> sf.range(3).iterator().schema.names
        ['id']
        """
        return self._source.schema()

    @property
    def epoch(self) -> int:
        """The epoch that is being read, or that was read last; from 0.

        >>> import sheaf as sf
        >>> numbers = sf.range(3).iterator()
        >>> for epoch in range(2):
        ...     for batch in numbers.iter_batches():
        ...         pass
        >>> numbers.epoch
        1
        """
        return self._position.epoch

    def set_epoch(self, epoch: int) -> None:
        """Let the next loop be the whole of this epoch, whose order is that of ``seed + epoch``.

        >>> import sheaf as sf
        >>> numbers = sf.range(3).iterator()
        >>> numbers.set_epoch(4)
        >>> numbers.epoch
        4
        """
        self._position = self._position.at_epoch(epoch)
        self._is_loaded = True

    def state_dict(self) -> dict[str, Any]:
        """Where the iterator is: behind the batch that it gave last. Small, of plain values, fit for JSON.

        Of trainers that are fed together each saves its own; one that saves for all gathers them in a list.

        >>> import sheaf as sf
        >>> numbers = sf.range(6).iterator(seed=7)
        >>> for batch in numbers.iter_batches(4):
        ...     break
        >>> state = numbers.state_dict()
        >>> state["epoch"], state["taken"], state["seed"]
        (0, 4, 7)
        """
        return self._position.state()

    def load_state_dict(self, state: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
        """Let the next loop go on at this state: its own, or a list of those that trainers saved who were fed together.

        Their number may be another. Rows that none of them has taken are then dealt anew, in the order that they have
        in the epoch. Batch sizes may change, too. Rows that come before are not given to Python: partitions whose
        number of rows is known (files with counts, rows in memory) are not even read, others are read and thrown away.

        >>> import sheaf as sf
        >>> numbers = sf.range(4).iterator()
        >>> rows = numbers.iter_rows()
        >>> next(rows)
        {'id': 0}
        >>> again = sf.range(4).iterator()
        >>> again.load_state_dict(numbers.state_dict())
        >>> list(again.iter_rows())
        [{'id': 1}, {'id': 2}, {'id': 3}]
        """
        self._position = resumed(self._position, state)
        self._is_loaded = True

    def stats(self) -> FeedStats:
        """Seconds waited on either side, rows and batches, of all epochs so far.

        >>> import sheaf as sf
        >>> numbers = sf.range(10).iterator()
        >>> _ = [batch for batch in numbers.iter_batches(batch_size=5)]
        >>> numbers.stats().batches
        2
        """
        waited, full = self._times
        if self._reading is not None:
            waited, full = (before + now for before, now in zip(self._times, self._reading.times(), strict=True))
        return FeedStats(waited, full, *self._counts)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.iter_batches()

    def iter_batches(
        self,
        batch_size: int | None = None,
        batch_format: BatchFormat = "pyarrow",
        *,
        prefetch_batches: int = 1,
        drop_last: bool = False,
    ) -> Iterator[Any]:
        """An epoch in batches.

        Args:
            batch_size: Rows of each batch but the last; by default what the engine makes.
            batch_format: As for ``map_batches``.
            prefetch_batches: Batches that are made ahead.
            drop_last: Whether a last batch with fewer rows is left out.

        >>> import sheaf as sf
        >>> [len(batch["id"]) for batch in sf.range(5).iterator().iter_batches(2, "numpy", drop_last=True)]
        [2, 2]
        """
        give = _formats.giver(batch_format)
        return self._batches(give, batch_size, prefetch_batches, drop_last)

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        """An epoch row by row, as dicts.

        >>> import sheaf as sf
        >>> list(sf.range(2).iterator().iter_rows())
        [{'id': 0}, {'id': 1}]
        """
        for rows in self._epoch(lambda batch: batch.to_pylist(), None, 1, False, 0):
            for row in rows[0]:
                self._count(1)
                yield row

    def iter_torch_batches(
        self,
        batch_size: int | None = 256,
        *,
        dtypes: torch.dtype | Mapping[str, torch.dtype] | None = None,
        device: torch.device | str | None = None,
        collate_fn: Callable[[dict[str, Any]], Any] | None = None,
        pin_memory: bool = False,
        prefetch_batches: int = 1,
        drop_last: bool = False,
    ) -> Iterator[Any]:
        """An epoch in batches of PyTorch: dicts of tensors, or what ``collate_fn`` makes of a dict of NumPy arrays.

        Args:
            batch_size: As for ``iter_batches``.
            dtypes: The type of all tensors, or of those of some columns.
            device: Where tensors go.
            collate_fn: Makes a batch; it runs in a thread, ahead of the trainer.
            pin_memory: Whether tensors lie in pinned memory first, from which they are copied while the trainer works.
            prefetch_batches: Batches that are made ahead.
            drop_last: Whether a last batch with fewer rows is left out.

        >>> import sheaf as sf
        >>> for batch in sf.range(2).iterator().iter_torch_batches():  # doctest: +SKIP
        ...     print(batch)
        {'id': tensor([0, 1])}
        """
        make = tensors.TorchMaker(dtypes, device, collate_fn, pin_memory, "iter_torch_batches")
        is_work = collate_fn is not None or device is not None or pin_memory
        return self._batches(make, batch_size, prefetch_batches, drop_last, ahead=prefetch_batches if is_work else 0)

    def iter_jax_batches(
        self,
        batch_size: int | None = 256,
        *,
        dtypes: Any = None,
        device: Any = None,
        prefetch_batches: int = 1,
        drop_last: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """An epoch in batches of JAX: dicts of arrays, on a device or with a sharding where one is given.

        >>> import sheaf as sf
        >>> for batch in sf.range(2).iterator().iter_jax_batches():  # doctest: +SKIP
        ...     print(batch)
        {'id': Array([0, 1], dtype=int32)}
        """
        return self._batches(tensors.jax_maker(dtypes, device), batch_size, prefetch_batches, drop_last)

    def to_torch(
        self,
        batch_size: int | None = None,
        *,
        dtypes: torch.dtype | Mapping[str, torch.dtype] | None = None,
        collate_fn: Callable[[dict[str, Any]], Any] | None = None,
        prefetch_batches: int = 1,
        drop_last: bool = False,
    ) -> torch.utils.data.IterableDataset[Any]:
        """A ``torch.utils.data.IterableDataset``, for a ``DataLoader``.

        It gives rows, as dicts of tensors without a dimension, which the loader puts together to batches; or with
        ``batch_size`` whole batches, for ``DataLoader(…, batch_size=None)``, which is faster. With ``num_workers`` each
        worker has its share of the rows, of one execution that runs in this process. It has ``set_epoch``,
        ``state_dict`` and ``load_state_dict`` as the iterator has, for this process and for workers that ask
        (``torchdata``'s ``StatefulDataLoader``).

        >>> import sheaf as sf
        >>> rows = sf.range(2).iterator().to_torch()  # doctest: +SKIP
        >>> [int(row["id"]) for row in rows]  # doctest: +SKIP
        [0, 1]
        """
        make = tensors.TorchMaker(dtypes, None, collate_fn, False, "to_torch")
        from sheaf._feed.loader import FeedDataset

        if batch_size is None and collate_fn is not None:
            raise InvalidInputError("collate_fn makes batches\n  help: give it to the DataLoader, or give batch_size")
        return FeedDataset(self, make, batch_size, prefetch_batches, drop_last)

    def to_tf(
        self,
        feature_columns: tensors.Columns | None = None,
        label_columns: tensors.Columns | None = None,
        *,
        batch_size: int | None = 256,
        prefetch_batches: int = 1,
        drop_last: bool = False,
    ) -> tf.data.Dataset:
        """A ``tf.data.Dataset`` of batches: features, or pairs of features and labels where these are named.

        One column named by a text is a tensor, several are a dict of them. Each pass over it is an epoch.

        >>> import sheaf as sf
        >>> for features in sf.range(2).iterator().to_tf("id"):  # doctest: +SKIP
        ...     print(features.numpy())
        [0 1]
        """
        tf = tensors.library("tensorflow", "tensorflow", "to_tf")
        features = self.schema.names if feature_columns is None else feature_columns
        wanted = [features] if label_columns is None else [features, label_columns]
        signature = tuple(tensors.tf_signature(tf, self.schema, columns) for columns in wanted)

        def make(batch: pa.RecordBatch) -> Any:
            values = [tensors.tf_values(batch, *pair) for pair in zip(wanted, signature, strict=True)]
            return values[0] if label_columns is None else tuple(values)

        return tf.data.Dataset.from_generator(
            lambda: self._batches(make, batch_size, prefetch_batches, drop_last),
            output_signature=signature[0] if label_columns is None else signature,
        )

    def _batches(
        self, make: tensors.Make, batch_size: int | None, prefetch: int, drop_last: bool, ahead: int = 0
    ) -> Iterator[Any]:
        return self._counted(self._epoch(make, batch_size, prefetch, drop_last, ahead))

    def _counted(self, made: Iterator[tuple[Any, int]]) -> Iterator[Any]:
        for item, rows in made:
            self._count(rows)
            yield item

    def _count(self, rows: int) -> None:
        """Rows are the trainer's from here on."""
        self._position = self._position.after(rows)
        self._counts = (self._counts[0] + rows, self._counts[1])

    def _epoch(
        self, make: tensors.Make, batch_size: int | None, prefetch: int, drop_last: bool, depth: int
    ) -> Iterator[tuple[Any, int]]:
        """An epoch as what is made of its batches, with their rows. What is wrong with the plan is raised at once."""
        if batch_size is not None and batch_size < 1:
            raise InvalidInputError(f"batch_size is {batch_size}\n  help: a batch has at least one row")
        if prefetch < 0:
            raise InvalidInputError(f"prefetch_batches is {prefetch}\n  help: it is a number of batches, or 0")
        at = self._position
        if not (self._is_loaded or at.ended or at.fresh):
            at = at.at_epoch(at.epoch + 1)
        return self._read(at, self._source.open(at, batch_size, prefetch, drop_last), make, depth)

    def _read(self, at: Position, epoch: Any, make: tensors.Make, depth: int) -> Iterator[tuple[Any, int]]:
        self._is_loaded = False
        self._reading = epoch
        try:
            self._position = epoch.begun()
            made = ((make(batch), batch.num_rows) for batch in iter(epoch.next, None))
            for item, rows in ahead(made, depth) if depth else made:
                if epoch.total is not None:
                    self._position = dataclasses.replace(self._position, total=epoch.total)
                self._counts = (self._counts[0], self._counts[1] + 1)
                yield item, rows
            self._position = dataclasses.replace(self._position, ended=True, total=epoch.total)
        finally:
            epoch.stop()
            waited, full = epoch.times()
            self._times = (self._times[0] + waited, self._times[1] + full)
            self._reading = None
