"""Iteration: the rows of a dataset as they come, once or epoch by epoch, for one trainer or for several."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sheaf import _objects, _sheaf
from sheaf._feed import tensors
from sheaf._feed.position import Position, resumed
from sheaf._feed.source import EachEpoch, Local
from sheaf._formats import BatchFormat
from sheaf.dataset.data_iterator import DataIterator
from sheaf.dataset.plan import Plan
from sheaf.errors import InvalidInputError, TypeMismatchError

if TYPE_CHECKING:
    import tensorflow as tf
    import torch

    from sheaf.dataset import Dataset

Stop: TypeAlias = Literal["shortest", "longest", "repeat"]


class Iteration(Plan):
    """The methods of a ``Dataset`` that give its rows to a program, and to trainers."""

    def iter_batches(
        self,
        batch_size: int | None = None,
        batch_format: BatchFormat = "pyarrow",
        *,
        prefetch_batches: int = 1,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
    ) -> Iterator[Any]:
        """The rows in batches, in order, as they come: the engine runs only a little ahead.

        Args:
            batch_size: Rows of each batch but the last; by default what the engine makes.
            batch_format: As for ``map_batches``.
            prefetch_batches: Batches that are made ahead.
            drop_last: Whether a last batch with fewer rows is left out.
            local_shuffle_buffer_size: Rows within which the order is by chance; see ``iterator``.
            local_shuffle_seed: For the same order again.

        >>> import sheaf as sf
        >>> [batch.num_rows for batch in sf.range(5).iter_batches(batch_size=2)]
        [2, 2, 1]
        """
        feed = self._pass(local_shuffle_seed, local_shuffle_buffer_size)
        return feed.iter_batches(batch_size, batch_format, prefetch_batches=prefetch_batches, drop_last=drop_last)

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
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
    ) -> Iterator[Any]:
        """The rows in batches of PyTorch; the arguments are those of ``DataIterator.iter_torch_batches``.

        >>> import sheaf as sf
        >>> for batch in sf.range(2).iter_torch_batches():  # doctest: +SKIP
        ...     print(batch)
        {'id': tensor([0, 1])}
        """
        return self._pass(local_shuffle_seed, local_shuffle_buffer_size).iter_torch_batches(
            batch_size,
            dtypes=dtypes,
            device=device,
            collate_fn=collate_fn,
            pin_memory=pin_memory,
            prefetch_batches=prefetch_batches,
            drop_last=drop_last,
        )

    def iter_jax_batches(
        self,
        batch_size: int | None = 256,
        *,
        dtypes: Any = None,
        device: Any = None,
        prefetch_batches: int = 1,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The rows in batches of JAX; the arguments are those of ``DataIterator.iter_jax_batches``.

        >>> import sheaf as sf
        >>> for batch in sf.range(2).iter_jax_batches():  # doctest: +SKIP
        ...     print(batch)
        {'id': Array([0, 1], dtype=int32)}
        """
        return self._pass(local_shuffle_seed, local_shuffle_buffer_size).iter_jax_batches(
            batch_size, dtypes=dtypes, device=device, prefetch_batches=prefetch_batches, drop_last=drop_last
        )

    def to_torch(
        self,
        batch_size: int | None = None,
        *,
        dtypes: torch.dtype | Mapping[str, torch.dtype] | None = None,
        collate_fn: Callable[[dict[str, Any]], Any] | None = None,
        prefetch_batches: int = 1,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
    ) -> torch.utils.data.IterableDataset[Any]:
        """A ``torch.utils.data.IterableDataset``; the arguments are those of ``DataIterator.to_torch``.

        >>> import sheaf as sf
        >>> [int(row["id"]) for row in sf.range(2).to_torch()]  # doctest: +SKIP
        [0, 1]
        """
        return self.iterator(seed=local_shuffle_seed, local_shuffle_buffer_size=local_shuffle_buffer_size).to_torch(
            batch_size, dtypes=dtypes, collate_fn=collate_fn, prefetch_batches=prefetch_batches, drop_last=drop_last
        )

    def to_tf(
        self,
        feature_columns: tensors.Columns | None = None,
        label_columns: tensors.Columns | None = None,
        *,
        batch_size: int | None = 256,
        prefetch_batches: int = 1,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
    ) -> tf.data.Dataset:
        """A ``tf.data.Dataset`` of batches; the arguments are those of ``DataIterator.to_tf``.

        >>> import sheaf as sf
        >>> for features in sf.range(2).to_tf("id"):  # doctest: +SKIP
        ...     print(features.numpy())
        [0 1]
        """
        return self.iterator(seed=local_shuffle_seed, local_shuffle_buffer_size=local_shuffle_buffer_size).to_tf(
            feature_columns,
            label_columns,
            batch_size=batch_size,
            prefetch_batches=prefetch_batches,
            drop_last=drop_last,
        )

    def iterator(
        self,
        *,
        seed: int | None = None,
        local_shuffle_buffer_size: int | None = None,
        each_epoch: EachEpoch | None = None,
    ) -> DataIterator:
        """The dataset epoch by epoch, for a trainer: it can be saved at any row, and goes on there.

        Rows come in order, unless ``local_shuffle_buffer_size`` or ``each_epoch`` gives each epoch an order of its own.

        Args:
            seed: Decides the order of each epoch, as ``seed + epoch``; by default it is drawn. States hold it.
            local_shuffle_buffer_size: Rows of a window within which the order is by chance. One window is given out
                while the next is gathered: twice as many rows are in memory. Where windows begin is another place in
                each epoch.
            each_epoch: Makes the dataset of an epoch of this one and of ``seed + epoch``: to shuffle all rows, say.

        >>> import sheaf as sf
        >>> numbers = sf.range(4).iterator(seed=1, local_shuffle_buffer_size=4)
        >>> sorted(row["id"] for row in numbers.iter_rows())
        [0, 1, 2, 3]
        """
        source, position = self._feed(seed, local_shuffle_buffer_size, each_epoch)
        return DataIterator(source, position)

    def mix(
        self, *others: Dataset, weights: Sequence[float] | None = None, stop: Stop = "shortest", seed: int | None = None
    ) -> Dataset:
        """Rows of this dataset and others, drawn one by one by the weights of their datasets.

        Rows of one dataset keep their order. The same seed gives the same mix, so that an iterator over it goes on like
        any other; for that, give a seed. With ``each_epoch=lambda ds, seed: ds.mix(other, seed=seed)`` each epoch is
        mixed anew. The datasets have columns of the same names and types.

        Args:
            others: The other datasets.
            weights: How often rows of each are drawn, this one first; by default equally often.
            stop: ``"shortest"`` ends when a row is drawn from a dataset that has no more; ``"longest"`` draws from the
                others then, until all have ended; ``"repeat"`` begins with it again, until all have ended once.
            seed: Decides which are drawn; by default it is drawn itself, once.

        >>> import sheaf as sf
        >>> mixed = sf.range(3).mix(sf.range(10, 12), weights=[3, 1], stop="longest", seed=1)
        >>> mixed.to_pydict()["id"]
        [0, 10, 1, 2, 11]
        """
        datasets: list[Any] = [self, *others]
        parts = [dataset._inner for dataset in datasets]
        given = [1.0] * len(parts) if weights is None else [float(weight) for weight in weights]
        return self._next(self._inner.mix(parts[1:], given, stop, drawn(seed)))

    def streaming_split(
        self,
        n: int,
        *,
        equal: bool = False,
        block_rows: int = 1024,
        seed: int | None = None,
        local_shuffle_buffer_size: int | None = None,
        each_epoch: EachEpoch | None = None,
        resume: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None,
        timeout: float = 300,
        host: str | None = None,
    ) -> list[DataIterator]:
        """Iterators for so many trainers, which share the rows of one execution.

        Each may be pickled and used in another process: a task, an actor, a process of ``torch.distributed``. This
        process runs the plan, and has to live as long as they do. An epoch begins when all trainers have come to it;
        its rows are dealt in turn, ``block_rows`` to each. Which rows a trainer has depends on their places in the
        epoch alone, so that all of it can be saved and gone on with, by as many trainers or by others.

        A trainer may be a few blocks ahead of another; then it waits, at most ``timeout`` seconds. Whoever waits for a
        trainer that is gone, or for too long, has a ``FeedError`` that names it.

        Args:
            n: How many trainers there are.
            equal: Whether all get the same number of rows. The last rows, fewer than trainers, are left out; by default
                none is.
            block_rows: Rows dealt to a trainer at once. With the trainers' batch size, ``n`` batches together are the
                next rows of the dataset.
            seed: As for ``iterator``.
            local_shuffle_buffer_size: As for ``iterator``; rows are shuffled before they are dealt.
            each_epoch: As for ``iterator``.
            resume: States of the trainers that there were, of all of them: see ``DataIterator.load_state_dict``.
            timeout: Seconds that a trainer waits for another.
            host: An address of this machine at which trainers of other machines come, who know a key that the pickled
                iterators hold; rows are not encrypted. By default trainers are processes of this machine.

        >>> import sheaf as sf
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> feeds = sf.range(10).streaming_split(2, block_rows=2)
        >>> with ThreadPoolExecutor() as trainers:
        ...     list(trainers.map(lambda feed: [row["id"] for row in feed.iter_rows()], feeds))
        [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7]]
        """
        from sheaf._feed.remote import Remote
        from sheaf._feed.server import Server

        if timeout <= 0:
            raise InvalidInputError(f"timeout is {timeout}\n  help: it is the seconds that a trainer waits for another")
        if objects := _objects.names(self.schema):
            # A trainer would have to run the pickles that come in by its socket.
            raise TypeMismatchError(
                f"the column {objects[0]!r} holds Python objects, and trainers are sent values of Arrow alone\n"
                f"  help: leave it out: exclude({objects[0]!r}), or iterate in this process"
            )
        source, first = self._feed(seed, local_shuffle_buffer_size, each_epoch)
        _sheaf.Deal(n, block_rows, equal)
        shares = [
            dataclasses.replace(first, trainers=n, trainer=trainer, block=block_rows, equal=equal)
            for trainer in range(n)
        ]
        if resume is not None:
            shares = [resumed(share, resume) for share in shares]
        server = Server(source, timeout, host)
        return [DataIterator(Remote(server, source.schema()), share) for share in shares]

    def _pass(self, seed: int | None, shuffle_rows: int | None) -> DataIterator:
        """The rows once, for whoever cannot save where they are: on a cluster they come from there."""
        source, position = self._feed(seed, shuffle_rows, None)
        source.once = seed is None
        return DataIterator(source, position)

    def _feed(self, seed: int | None, shuffle_rows: int | None, each_epoch: EachEpoch | None) -> tuple[Local, Position]:
        if shuffle_rows is not None and shuffle_rows < 1:
            raise InvalidInputError(
                f"local_shuffle_buffer_size is {shuffle_rows}\n  help: it is the number of rows of a window"
            )
        plan, partitions = _sheaf.fingerprint(self._inner), _sheaf.planned_partitions(self._inner)
        dataset: Any = self
        return Local(dataset, each_epoch), Position(plan, drawn(seed), shuffle_rows, partitions)


def drawn(seed: int | None) -> int:
    """The seed that was given, or one by chance."""
    if seed is None:
        # Not a matter of secrets. JSON keeps such numbers whole everywhere.
        return random.getrandbits(48)
    if not 0 <= seed < 2**63:
        raise InvalidInputError(f"the seed is {seed}\n  help: it is a number from 0 on, of at most 63 bits")
    return seed


def mix(
    datasets: Sequence[Dataset],
    weights: Sequence[float] | None = None,
    stop: Stop = "shortest",
    seed: int | None = None,
) -> Dataset:
    """Rows of several datasets, drawn one by one by the weights of their datasets; see ``Dataset.mix``.

    >>> import sheaf as sf
    >>> sf.mix([sf.range(2), sf.range(10, 12)], stop="longest", seed=1).count()
    4
    """
    if not datasets:
        raise InvalidInputError("a mix of no datasets\n  help: give at least one")
    return datasets[0].mix(*datasets[1:], weights=weights, stop=stop, seed=seed)
