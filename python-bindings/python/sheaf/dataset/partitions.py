"""Verbs over partitions: how many there are, which rows are together in one, and in which order."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sheaf import _arguments
from sheaf.dataset.plan import Plan
from sheaf.types import Column, Value

if TYPE_CHECKING:
    from sheaf.dataset import Dataset


class Partitions(Plan):
    """The methods of a ``Dataset`` over its partitions."""

    def repartition(
        self,
        n: int | None = None,
        *,
        rows: int | None = None,
        bytes: int | str | None = None,
        by: Column | Sequence[Column] | None = None,
        sort: bool = False,
    ) -> Dataset:
        """The same rows in other partitions: in a number of them, of a size, or by keys.

        - ``repartition(8)`` deals the rows in turn, and does not keep their order; ``repartition(1)`` does.
        - ``repartition(rows=…)`` and ``repartition(bytes=…)`` keep the order of the rows. The plan runs once at the
          call, to count or to measure them.
        - ``repartition(8, by=…)`` brings rows of equal keys together, and does not keep their order. That is
          remembered: a ``groupby``, a join or a window by the same keys, in the same order, moves no row again. Other
          verbs keep what is known, but ``map_batches`` only with ``keeps_partitioning=True``.

        A write makes at least one file of each partition that has rows.

        Args:
            n: How many partitions. With ``by`` alone there are as many as the session runs at once.
            rows: Rows of each partition but the last.
            bytes: Bytes in memory of each partition but the last, about, as a number or as text: ``"128MiB"``.
            by: Keys: columns by name or by expression.
            sort: Whether each partition is sorted by the keys.

        >>> import sheaf as sf
        >>> sf.range(10).repartition(rows=4).num_partitions()
        3
        >>> by_parity = sf.range(10).repartition(2, by=sf.col("id") % 2)
        >>> by_parity.num_partitions(), by_parity.count()
        (2, 10)
        """
        keys = [] if by is None else _arguments.flat((by,))
        size = None if bytes is None else str(bytes)
        return self._next(self._inner.repartition(n, rows, size, keys, sort))

    def coalesce(self, n: int) -> Dataset:
        """At most this many partitions, of neighbours one after another: no row is moved, and their order is kept.

        >>> import sheaf as sf
        >>> fewer = sf.range(10).repartition(rows=2).coalesce(2)
        >>> fewer.num_partitions(), fewer.to_pydict()
        (2, {'id': [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]})
        """
        return self._next(self._inner.coalesce(n))

    def num_partitions(self) -> int:
        """How many partitions the plan has when it runs.

        >>> import sheaf as sf
        >>> sf.range(10).repartition(5).num_partitions()
        5
        """
        return self._inner.num_partitions()

    def set_index(
        self,
        column: str,
        divisions: Iterable[Value] | None = None,
        partitions: int | None = None,
        sorted: bool = False,
    ) -> Dataset:
        """Partitions by ranges of a column, each sorted by it: all rows are in the order of the column, nulls last.

        The ranges are remembered. A ``groupby`` or a window by the column, and a join with a dataset of the same
        divisions, move no row again; of a materialized or persisted dataset, a filter on the column reads only the
        partitions that can match. A dataset that has this index already stays as it is.

        Args:
            column: The name of the column.
            divisions: The values at which the second and the following partitions begin. Without them the plan runs
                once at the call, and a sample of the column, the same for the same rows, gives ranges of about as many
                rows.
            partitions: How many ranges the sample is to give, by default as many as the session runs at once. Values
                that many rows have give fewer.
            sorted: That the rows come in the order of the column already, so that they need no sort. It is checked
                while they are read.

        >>> import sheaf as sf
        >>> by_day = sf.from_pydict({"day": [3, 1, 2, 9]}).set_index("day", divisions=[3])
        >>> by_day.num_partitions(), by_day.to_pydict()
        (2, {'day': [1, 2, 3, 9]})
        """
        values = None if divisions is None else list(divisions)
        return self._next(self._inner.set_index(column, values, partitions, sorted))

    def divisions(self) -> list[Any] | None:
        """The values at which the second and the following partitions begin; None without known ranges.

        >>> import sheaf as sf
        >>> ids = sf.range(100).set_index("id", divisions=[20, 50])
        >>> ids.divisions(), ids.filter(sf.col("id") > 3).divisions(), sf.range(100).divisions()
        ([20, 50], [20, 50], None)
        """
        return self._inner.divisions()

    def random_shuffle(self, *, seed: int | None = None) -> Dataset:
        """All rows in a random order, each as likely at every place. What memory does not hold is on disk meanwhile.

        The same seed gives the same order while the input has the same rows in the same partitions, whatever the number
        of threads. A source may have more partitions with more threads: ``repartition(rows=…)`` fixes them.

        >>> import sheaf as sf
        >>> shuffled = sf.range(1000).random_shuffle(seed=7).to_pydict()["id"]
        >>> shuffled != sorted(shuffled), sorted(shuffled) == list(range(1000))
        (True, True)
        """
        return self._next(self._inner.random_shuffle(_seed(seed)))

    def randomize_block_order(self, *, seed: int | None = None) -> Dataset:
        """The partitions in a random order, and in each the batches that are near each other.

        Rows stay in their batch, in its order. It is much cheaper than ``random_shuffle``, and much less random.

        >>> import sheaf as sf
        >>> moved = sf.range(10).repartition(rows=1).randomize_block_order(seed=3)
        >>> moved.num_partitions(), sorted(moved.to_pydict()["id"]) == list(range(10))
        (10, True)
        """
        return self._next(self._inner.randomize_block_order(_seed(seed)))


def _seed(seed: int | None) -> int:
    # Not a matter of secrets.
    return random.getrandbits(64) if seed is None else seed
