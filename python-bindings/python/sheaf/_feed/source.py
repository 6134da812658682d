"""Where an iterator's epochs come from: a dataset of this process, or a server in another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from sheaf import _sheaf
from sheaf._feed.position import Position

if TYPE_CHECKING:
    from sheaf.dataset import Dataset

EachEpoch = Callable[["Dataset", int], "Dataset"]


class Epoch(Protocol):
    """An epoch that is being read."""

    def begun(self) -> Position:
        """Where it goes on: at the position that was asked for, or after it where that had ended."""

    def next(self) -> pa.RecordBatch | None:
        """The next batch, or ``None`` at the end."""

    def stop(self) -> None:
        """End it, read or not."""

    def times(self) -> tuple[float, float]:
        """Seconds that the reader has waited for batches, and the other side for room."""

    @property
    def total(self) -> int | None:
        """Rows that are dealt to all trainers, once they are known."""


class Source(Protocol):
    """What epochs are read from."""

    def schema(self) -> pa.Schema:
        """The names and types of the columns."""

    def open(self, at: Position, batch_size: int | None, prefetch: int, drop_last: bool) -> Epoch:
        """The rest of an epoch."""


class Local:
    """A dataset of this process."""

    def __init__(self, dataset: Dataset, each_epoch: EachEpoch | None) -> None:
        self.dataset = dataset
        self._each_epoch = each_epoch
        # Whether nobody wants to go on anywhere in it.
        self.once = False

    def schema(self) -> pa.Schema:
        """The names and types of the columns."""
        return self.dataset.schema

    def open(self, at: Position, batch_size: int | None, prefetch: int, drop_last: bool) -> LocalEpoch:
        """The rest of an epoch."""
        at = at.at_epoch(at.epoch + 1) if at.ended else at
        done = at.deal.done(at.done, [at.taken], None)
        return LocalEpoch(self.feed(at, done, batch_size, prefetch, drop_last), at)

    def feed(
        self, at: Position, done: list[tuple[int, int]], batch_size: int | None, prefetch: int, drop_last: bool
    ) -> _sheaf.Feed:
        """The rows of an epoch but those that are done."""
        dataset = self.dataset
        if self._each_epoch is not None:
            dataset = self._each_epoch(dataset, at.seed + at.epoch)
        return _sheaf.Feed(
            dataset._inner,
            shuffle=at.shuffle,
            done=done,
            partitions=at.partitions,
            batch_size=batch_size,
            prefetch=prefetch,
            drop_last=drop_last,
            once=self.once,
        )


class LocalEpoch:
    """An epoch that this process runs."""

    total = None

    def __init__(self, feed: _sheaf.Feed, at: Position) -> None:
        self._feed = feed
        self._at = at

    def begun(self) -> Position:
        """Where it goes on."""
        return self._at

    def next(self) -> pa.RecordBatch | None:
        """The next batch, or ``None`` at the end."""
        return self._feed.next()

    def stop(self) -> None:
        """End it, read or not."""
        self._feed.stop()

    def times(self) -> tuple[float, float]:
        """Seconds that the reader has waited for batches, and the engine for room."""
        return self._feed.times()
