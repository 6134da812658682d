"""``Dealt``: an epoch that is dealt to trainers as it is computed, each at its own pace within a bound."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

import pyarrow as pa

from sheaf import _sheaf
from sheaf._feed.position import Position
from sheaf._feed.source import Local
from sheaf.errors import FeedError

# Blocks that wait for a trainer before the others wait for it: enough for its jitter, few enough to be held.
WAITING_BLOCKS = 4
# How long a wait may be deaf to its end.
SLICE_S = 0.2


class Dealt:
    """One epoch for the trainers that began it together."""

    def __init__(self, source: Local, members: Sequence[Position], timeout: float) -> None:
        first = members[0]
        self.members = members
        self._timeout = timeout
        self._deal = first.deal
        taken = [one.taken for one in members]
        rounds = self._deal.rounds(taken)
        # What is left of the first round that not all have taken whole.
        self._had = [one.taken - rounds * one.block for one in members]
        self._rows = rounds * self._deal.round()
        done = self._deal.done(first.done, [rounds * first.block] * len(members), None)
        self._feed = source.feed(first, done, self._deal.round(), prefetch=1, drop_last=False)
        self._changed = threading.Condition()
        self._blocks: list[deque[pa.RecordBatch]] = [deque() for _ in members]
        self._full = [0.0] * len(members)
        self._here = [True] * len(members)
        self._late: tuple[int, float] | None = None
        self._total: int | None = None
        self._ended = False
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="sheaf-feed-deal", daemon=True)
        self._thread.start()

    def take(self, trainer: int, within: float) -> tuple[pa.RecordBatch | None, bool]:
        """The trainer's next block, and whether there is more: no block and more is a wait that took too long.

        Raises the error that ended the plan, or that of a trainer for which this one would wait in vain.
        """
        until = time.monotonic() + within
        with self._changed:
            while True:
                if self._failed is not None:
                    raise self._failed
                if self._blocks[trainer]:
                    block = self._blocks[trainer].popleft()
                    self._changed.notify_all()
                    return block, True
                if self._ended:
                    return None, False
                self._check(trainer)
                left = until - time.monotonic()
                if left <= 0:
                    return None, True
                self._changed.wait(min(left, SLICE_S))

    @property
    def total(self) -> int | None:
        """Rows that are dealt to all, once they are known."""
        return self._total

    def full(self, trainer: int) -> float:
        """Seconds that the plan has waited for this trainer."""
        return self._full[trainer]

    def left(self, trainer: int) -> None:
        """The trainer takes no more. The last one that goes ends the epoch."""
        with self._changed:
            self._here[trainer] = False
            everybody = not any(self._here)
            self._changed.notify_all()
        if everybody:
            self.fail(FeedError("the epoch was left by all trainers"))

    def fail(self, error: BaseException) -> None:
        """End the epoch with an error for whoever still reads it."""
        with self._changed:
            self._failed = self._failed or error
            self._changed.notify_all()
        self._feed.stop()

    def _check(self, waiting: int) -> None:
        """Fails where this trainer waits for one that is gone, or that has not taken anything for too long."""
        if self._late is None or self._late[0] == waiting:
            return
        late, since = self._late
        waited = time.monotonic() - since
        if self._here[late] and waited < self._timeout:
            return
        what = "takes no rows" if self._here[late] else "is gone"
        error = FeedError(
            f"trainer {late} of {len(self.members)} {what}: trainer {waiting} has waited {waited:.1f} s for it, "
            f"with {WAITING_BLOCKS} blocks of {self.members[late].block} rows dealt to the one and none left for the "
            "other\n  help: start all trainers again, each with the state that it saved; a larger timeout= allows for "
            "slower ones"
        )
        self._failed = error
        self._changed.notify_all()
        raise error

    def _run(self) -> None:
        try:
            while (batch := self._feed.next()) is not None and self._failed is None:
                self._rows += batch.num_rows
                if batch.num_rows < self._deal.round():
                    self._total = self._rows
                for trainer, (start, end) in enumerate(self._deal.shares(batch.num_rows)):
                    had = min(self._had[trainer], end - start)
                    self._had[trainer] -= had
                    if start + had < end:
                        self._put(trainer, _sheaf.compact(batch.slice(start + had, end - start - had)))
            with self._changed:
                self._total = self._rows
                self._ended = True
                self._changed.notify_all()
        except BaseException as error:
            self.fail(error)

    def _put(self, trainer: int, block: pa.RecordBatch) -> None:
        since = time.monotonic()
        with self._changed:
            while len(self._blocks[trainer]) >= WAITING_BLOCKS and self._failed is None:
                self._late = (trainer, since)
                self._changed.wait(SLICE_S)
            if self._late is not None:
                self._full[trainer] += time.monotonic() - since
                self._late = None
            self._blocks[trainer].append(block)
            self._changed.notify_all()
