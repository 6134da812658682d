"""Passes over rows, as both a dataset and a ``DataIterator`` give them: by batch, by row, and as trainers take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sheaf import dataset
from sheaf._formats import BatchFormat
from sheaf.data.plan import format_of, rows_of
from sheaf.errors import UnsupportedError

if TYPE_CHECKING:
    import tensorflow as tf
    import torch


class Passes:
    """The methods that give rows as they come: the engine runs only a little ahead."""

    def _feed(self, buffer_size: int | None, seed: int | None) -> dataset.DataIterator:
        """The feed of a pass: of the rows of a window within which the order is by chance, and of the seed of it."""
        raise NotImplementedError

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
        >>> list(sf.data.range(3).iter_batches(batch_size=2))
        [{'id': array([0, 1])}, {'id': array([2])}]
        """
        feed = self._feed(local_shuffle_buffer_size, local_shuffle_seed)
        kind: BatchFormat = format_of(batch_format)
        return feed.iter_batches(batch_size, kind, prefetch_batches=prefetch_batches, drop_last=drop_last)

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        """A pass row by row, as dicts.

        >>> import sheaf as sf
        >>> list(sf.data.range(2).iter_rows())
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
        >>> for batch in sf.data.range(2).iter_torch_batches():  # doctest: +SKIP
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
        >>> for batch in sf.data.range(2).iter_jax_batches():  # doctest: +SKIP
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
        >>> sf.data.range(2).to_tf("id", "id")  # doctest: +SKIP
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


def _refuse(verb: str, given: Mapping[str, Any], hint: str) -> None:
    """Raise for an argument that changes what is given and is not supported."""
    for name, value in given.items():
        if value is not None:
            error = UnsupportedError(f"{verb} does not take {name}=")
            error.hint = hint
            raise error
