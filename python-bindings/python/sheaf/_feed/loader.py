"""``FeedDataset``: an iterator as PyTorch's ``DataLoader`` wants it, in its process or in workers of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sheaf._feed import tensors
from sheaf._feed.position import Position, resumed
from sheaf._feed.remote import Remote
from sheaf._feed.server import Server
from sheaf._feed.source import Local
from sheaf.errors import InvalidInputError

if TYPE_CHECKING:
    from sheaf.dataset.data_iterator import DataIterator

try:
    from torch.utils.data import IterableDataset, get_worker_info
except ModuleNotFoundError:
    # The module is there for those who look at it; to_torch says what is missing.
    IterableDataset = object
    get_worker_info = None

# Rows that a worker is dealt at once where it gives rows and not batches.
ROWS_OF_A_BLOCK = 256
# Seconds that a worker waits for another: a loader that has several asks them in turn.
TIMEOUT_S = 300.0


class FeedDataset(IterableDataset):  # type: ignore[misc]
    """Rows or batches of an iterator; workers of a loader share them."""

    def __init__(
        self, iterator: DataIterator, make: tensors.Make, batch_size: int | None, prefetch: int, drop_last: bool
    ) -> None:
        super().__init__()
        self._iterator = iterator
        self._make = make
        self._batch_size = batch_size
        self._prefetch = prefetch
        self._drop_last = drop_last
        # Workers are made by a fork, as a rule, without a word to this process: the server is there before them.
        source = iterator._source
        self._server = Server(source, TIMEOUT_S, counts=True) if isinstance(source, Local) else None
        self._shared = None if self._server is None else Remote(self._server, source.schema())
        self._worker: DataIterator | None = None

    def __iter__(self) -> Iterator[Any]:
        iterator = self._here()
        for made, rows in iterator._epoch(self._make, self._batch_size, self._prefetch, self._drop_last, 0):
            if self._batch_size is not None:
                iterator._count(rows)
                yield made
                continue
            for row in range(rows):
                iterator._count(1)
                yield {name: tensor[row] for name, tensor in made.items()}

    def _here(self) -> DataIterator:
        """The iterator of this process: a worker's share is its own."""
        from sheaf.dataset.data_iterator import DataIterator

        worker = get_worker_info()
        if worker is None:
            return self._iterator
        if self._shared is None:
            if worker.num_workers > 1:
                raise InvalidInputError(
                    f"a trainer's share cannot be shared among {worker.num_workers} workers of its loader\n"
                    "  help: num_workers is 0 or 1 for what streaming_split() gives; split among more trainers instead"
                )
            return self._iterator
        if self._worker is None:
            block = self._batch_size or ROWS_OF_A_BLOCK
            own = dataclasses.replace(self._begin, trainers=worker.num_workers, trainer=worker.id, block=block)
            at = own if self._begin.fresh else resumed(own.at_epoch(0), self._begin.state())
            self._worker = DataIterator(self._shared, at)
        return self._worker

    def set_epoch(self, epoch: int) -> None:
        """Let the next loop be the whole of this epoch."""
        self._iterator.set_epoch(epoch)
        if self._server is not None and self._server.epoch is not None:
            self._server.epoch = epoch

    def state_dict(self) -> dict[str, Any]:
        """Where this process, or this worker, is."""
        return self._here().state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on at a state of this process, or of this worker."""
        self._here().load_state_dict(state)
        if self._shared is not None:
            self._shared.is_loaded = True

    @property
    def _begin(self) -> Position:
        return self._iterator._position

    def __getstate__(self) -> dict[str, Any]:
        # Workers that are not made by a fork have the iterator's position, and not its dataset.
        from sheaf.dataset.data_iterator import DataIterator

        away = self._iterator if self._shared is None else DataIterator(self._shared, self._begin)
        return {**self.__dict__, "_server": None, "_iterator": away}
