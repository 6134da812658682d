"""What gives the rows of a dataset to a program, batch by batch or row by row, and to trainers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sheaf import dataset
from sheaf.data.iterator import DataIterator
from sheaf.data.plan import Plan
from sheaf.errors import UnsupportedError

if TYPE_CHECKING:
    import tensorflow as tf
    import torch


class Feeds(Plan):
    """The methods of a ``Dataset`` that give its rows as they come: the engine runs only a little ahead."""

    def iterator(self) -> DataIterator:
        """Passes over the rows; each loop is one.

        >>> import sheaf as sf
        >>> list(sf.data.range(2).iterator().iter_rows())
        [{'id': 0}, {'id': 1}]
        """
        of = self._ds

        def open(buffer_size: int | None, seed: int | None) -> dataset.DataIterator:
            return of.iterator(seed=seed, local_shuffle_buffer_size=buffer_size)

        return DataIterator(open, of)

    def streaming_split(
        self,
        n: int,
        *,
        equal: bool = False,
        locality_hints: Any = None,
        local_shuffle_buffer_size: int | None = None,
        seed: int | None = None,
    ) -> list[DataIterator]:
        """Iterators for so many trainers, which share the rows of one execution; ``equal`` gives all as many rows.

        Each may be pickled and used in another process, and all have to be read for any to go on. ``locality_hints``
        have no effect. Rows are shuffled here, before they are dealt, and not by the trainers: with
        ``local_shuffle_buffer_size`` and ``seed``, which Ray does not take here.

        >>> import sheaf as sf
        >>> [numbers] = sf.data.range(3).streaming_split(1)
        >>> list(numbers.iter_rows())
        [{'id': 0}, {'id': 1}, {'id': 2}]
        """
        feeds = self._ds.streaming_split(n, equal=equal, seed=seed, local_shuffle_buffer_size=local_shuffle_buffer_size)
        return [DataIterator(Share(feed)) for feed in feeds]

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
        """The rows in batches, which are dicts of NumPy arrays by default; see ``DataIterator.iter_batches``.

        >>> import sheaf as sf
        >>> list(sf.data.range(3).iter_batches(batch_size=2))
        [{'id': array([0, 1])}, {'id': array([2])}]
        """
        return self.iterator().iter_batches(
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            batch_format=batch_format,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
        )

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        """The rows one by one, as dicts.

        >>> import sheaf as sf
        >>> list(sf.data.range(2).iter_rows())
        [{'id': 0}, {'id': 1}]
        """
        return self.iterator().iter_rows()

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
        """The rows in batches of PyTorch; see ``DataIterator.iter_torch_batches``.

        >>> import sheaf as sf
        >>> list(sf.data.range(2).iter_torch_batches())  # doctest: +SKIP
        [{'id': tensor([0, 1])}]
        """
        return self.iterator().iter_torch_batches(
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            dtypes=dtypes,
            device=device,
            collate_fn=collate_fn,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
            pin_memory=pin_memory,
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
        """The rows in batches of JAX; see ``DataIterator.iter_jax_batches``.

        >>> import sheaf as sf
        >>> list(sf.data.range(2).iter_jax_batches())  # doctest: +SKIP
        [{'id': Array([0, 1], dtype=int32)}]
        """
        return self.iterator().iter_jax_batches(
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            dtypes=dtypes,
            collate_fn=collate_fn,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
            synchronize_batches=synchronize_batches,
            paddings=paddings,
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
        """A ``tf.data.Dataset`` of pairs of features and labels; see ``DataIterator.to_tf``.

        >>> import sheaf as sf
        >>> sf.data.range(2).to_tf("id", "id")  # doctest: +SKIP
        """
        return self.iterator().to_tf(
            feature_columns,
            label_columns,
            additional_columns=additional_columns,
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
            feature_type_spec=feature_type_spec,
            label_type_spec=label_type_spec,
            additional_type_spec=additional_type_spec,
        )


class Share:
    """A trainer's feed, whose order was decided when it was made. It pickles as the feed does."""

    def __init__(self, feed: dataset.DataIterator) -> None:
        self._feed = feed

    def __call__(self, buffer_size: int | None, seed: int | None) -> dataset.DataIterator:
        """The feed; with a window to shuffle in an error."""
        if buffer_size is not None:
            error = UnsupportedError("a trainer's share is in the order in which it is dealt")
            error.hint = "shuffle before: streaming_split(n, local_shuffle_buffer_size=…)"
            raise error
        return self._feed
