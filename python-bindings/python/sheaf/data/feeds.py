"""What gives the rows of a dataset to a program, batch by batch or row by row, and to trainers."""

from __future__ import annotations

from typing import Any

from sheaf import dataset
from sheaf.data.iterator import DataIterator
from sheaf.data.passes import Passes
from sheaf.data.plan import Plan
from sheaf.errors import UnsupportedError


class Feeds(Plan, Passes):
    """The methods of a ``Dataset`` that give its rows as they come: the engine runs only a little ahead."""

    def iterator(self) -> DataIterator:
        """Passes over the rows; each loop is one.

        >>> import sheaf as sf
        >>> list(sf.data.range(2).iterator().iter_rows())
        [{'id': 0}, {'id': 1}]
        """
        return DataIterator(self._feed, self._ds)

    def _feed(self, buffer_size: int | None, seed: int | None) -> dataset.DataIterator:
        return self._ds._pass(seed, buffer_size)

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
