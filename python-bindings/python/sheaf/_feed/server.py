"""``Server``: feeds several trainers, in this process or in others, from one execution.

It listens in the process that has the dataset. The trainers of an epoch come together first; then the plan runs, its
rows are dealt, and each trainer's connection hands out what it was dealt. No wait for a trainer is without an end: one
that is gone, too slow, or never comes is an error of all the others, which says so.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
import time
import weakref
from collections.abc import Sequence
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection

from sheaf._feed import wire
from sheaf._feed.dealt import Dealt
from sheaf._feed.position import Position, position, together
from sheaf._feed.source import Local
from sheaf.errors import FeedError, SheafError

# How long a wait may be deaf to its end.
SLICE_S = 0.2
# Of the time that a trainer waits for a word, after which part it is told that its feed is alive.
SIGN_OF_LIFE = 0.25


class Server:
    """Serves the epochs of a dataset while somebody may want them.

    Args:
        source: The dataset.
        timeout: Seconds that a trainer waits for another.
        host: An address of this machine where others may come; by default only its own processes.
        counts: Whether epochs are counted here: workers of a loader are made anew for each and know none.
    """

    def __init__(self, source: Local, timeout: float, host: str | None = None, *, counts: bool = False) -> None:
        self.key = secrets.token_bytes(32)
        self.timeout = timeout
        self.epoch = 0 if counts else None
        self._source = source
        self._listener = wire.listen(host)
        self.address = wire.address(self._listener)
        self._changed = threading.Condition()
        self._gathered: dict[int, Position] = {}
        self._began: Dealt | Exception | None = None
        self._connections = 0
        self._heard = time.monotonic()
        self._handles: weakref.WeakSet[object] = weakref.WeakSet()
        threading.Thread(target=self._listen, name="sheaf-feed-server", daemon=True).start()

    def keep_for(self, handle: object) -> None:
        """Serve at least while this process holds the handle; it may be on its way to another."""
        self._handles.add(handle)

    def _listen(self) -> None:
        self._listener.settimeout(SLICE_S)
        with self._listener:
            while not self._is_over():
                with contextlib.suppress(TimeoutError):
                    peer, _ = self._listener.accept()
                    threading.Thread(target=self._attend, args=(peer,), name="sheaf-feed-peer", daemon=True).start()

    def _is_over(self) -> bool:
        """Whether nobody holds a handle here, and nobody elsewhere has come for as long as a trainer would wait."""
        with self._changed:
            if self._handles or self._connections:
                self._heard = time.monotonic()
            return time.monotonic() - self._heard > self.timeout

    def _attend(self, peer: socket.socket) -> None:
        with self._changed:
            self._connections += 1
        try:
            # Who does not know the key, or goes, is no trainer.
            with (
                contextlib.suppress(OSError, EOFError, AuthenticationError),
                wire.welcome(peer, self.key) as connection,
            ):
                self._serve(connection)
        finally:
            with self._changed:
                self._connections -= 1

    def _serve(self, connection: Connection) -> None:
        try:
            hello, _ = wire.receive(connection)
            at = position(hello["at"])
            if self.epoch is not None and not hello["loaded"] and at.epoch < self.epoch:
                at = at.at_epoch(self.epoch)
            dealt = self._gather(connection, at)
            try:
                wire.send(connection, {"begun": dealt.members[at.trainer].state()})
                self._hand_out(connection, dealt, at.trainer)
            finally:
                dealt.left(at.trainer)
        except SheafError as error:
            # Some are errors of the system too, which else tell that the trainer has gone.
            self._tell(connection, error)
        except (OSError, EOFError):
            raise
        except Exception as error:
            self._tell(connection, error)

    @staticmethod
    def _tell(connection: Connection, error: BaseException) -> None:
        wire.send(connection, {"error": [type(error).__name__, str(error), getattr(error, "hint", None)]})

    def _gather(self, connection: Connection, at: Position) -> Dealt:
        """The epoch that begins when all trainers have come."""
        until = time.monotonic() + self.timeout
        with self._changed:
            before = self._began
            # Others may have been started in another number.
            same = {one.trainer: one for one in self._gathered.values() if one.trainers == at.trainers}
            self._gathered = {**same, at.trainer: at}
            if len(self._gathered) == at.trainers:
                self._begin([self._gathered[trainer] for trainer in sorted(self._gathered)])
            told = time.monotonic()
            while self._began is before:
                if self._gathered.get(at.trainer) is not at:
                    raise FeedError(f"trainer {at.trainer} of {at.trainers} is not waited for any more: others came")
                if time.monotonic() > until:
                    missing = sorted(set(range(at.trainers)) - set(self._gathered))
                    del self._gathered[at.trainer]
                    raise FeedError(
                        f"of {at.trainers} trainers these have not come to epoch {at.epoch} within "
                        f"{self.timeout:.0f} s: {missing}\n"
                        "  help: each trainer has to iterate; a larger timeout= allows for slower ones"
                    )
                self._changed.wait(SLICE_S)
                if time.monotonic() - told > self.timeout * SIGN_OF_LIFE:
                    told = time.monotonic()
                    wire.send(connection, {"alive": True})
            began = self._began
        if isinstance(began, Dealt):
            return began
        raise began or FeedError("no epoch has begun")

    def _begin(self, members: Sequence[Position]) -> None:
        if isinstance(self._began, Dealt):
            self._began.fail(FeedError("the trainers have begun another epoch"))
        self._gathered = {}
        try:
            starts = together(members)
            self._began = Dealt(self._source, starts, self.timeout)
            if self.epoch is not None:
                self.epoch = starts[0].epoch + 1
        except Exception as error:
            self._began = error
        self._changed.notify_all()

    def _hand_out(self, connection: Connection, dealt: Dealt, trainer: int) -> None:
        more = True
        while more:
            # It asks ahead for as many blocks as it wants to hold.
            wire.receive(connection)
            while True:
                block, more = dealt.take(trainer, self.timeout * SIGN_OF_LIFE)
                if block is not None or not more:
                    break
                wire.send(connection, {"alive": True})
            wire.send(connection, {"total": dealt.total, "full": dealt.full(trainer), "end": not more}, block)
