"""``Remote``: a trainer's side of a ``Server``. It pickles, and so goes to any process that reaches the server."""

from __future__ import annotations

import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sheaf import _sheaf, errors
from sheaf._feed import wire
from sheaf._feed.position import Position, position
from sheaf.errors import FeedError

if TYPE_CHECKING:
    from sheaf._feed.server import Server


class Remote:
    """The share of a trainer, in epochs that a server runs."""

    def __init__(self, server: Server, schema: pa.Schema) -> None:
        self._address = server.address
        self._key = server.key
        self._timeout = server.timeout
        self._schema = schema
        # Whether the position was loaded by this process: a server that counts epochs takes it as it is.
        self.is_loaded = False
        server.keep_for(self)

    def schema(self) -> pa.Schema:
        """The names and types of the columns."""
        return self._schema

    def open(self, at: Position, batch_size: int | None, prefetch: int, drop_last: bool) -> RemoteEpoch:
        """The rest of an epoch, when all trainers have come to it."""
        blocks = 1 + prefetch * max(1, -(-(batch_size or 1) // at.block))
        return RemoteEpoch(self, at, _sheaf.Cut(batch_size), blocks, drop_last)

    def connect(self) -> Connection:
        """A connection to the server."""
        try:
            return wire.connect(self._address, self._key)
        except (OSError, EOFError, AuthenticationError) as error:
            raise FeedError(
                f"the process that feeds this trainer cannot be reached: {error}\n"
                "  help: it is that which called streaming_split(); it has to live as long as its trainers"
            ) from error

    def receive(self, connection: Connection) -> tuple[dict[str, Any], pa.RecordBatch | None]:
        """The next message that is more than a sign of life."""
        while True:
            try:
                if not connection.poll(self._timeout):
                    raise FeedError(f"nothing was heard from the process that feeds this trainer for {self._timeout} s")
                message, batch = wire.receive(connection)
            except (EOFError, OSError) as error:
                raise FeedError(
                    "the process that feeds this trainer is gone\n"
                    "  help: it is that which called streaming_split(); start both again, with the saved states"
                ) from error
            if "error" in message:
                raise told(*message["error"])
            if "alive" not in message:
                return message, batch


class RemoteEpoch:
    """An epoch that another process runs."""

    def __init__(self, remote: Remote, at: Position, cut: _sheaf.Cut, blocks: int, drop_last: bool) -> None:
        self._remote = remote
        self._at = at
        self._cut = cut
        self._blocks = blocks
        self._drop_last = drop_last
        self._connection: Connection | None = None
        self._ended = False
        self._waited = 0.0
        self._full = 0.0
        self.total: int | None = None

    def begun(self) -> Position:
        """Where it goes on, which all trainers agree on."""
        self._connection = self._remote.connect()
        wire.send(self._connection, {"at": self._at.state(), "loaded": self._remote.is_loaded})
        message, _ = self._remote.receive(self._connection)
        self._remote.is_loaded = False
        for _ in range(self._blocks):
            self._ask()
        return position(message["begun"])

    def next(self) -> pa.RecordBatch | None:
        """The next batch, or ``None`` at the end."""
        while (batch := self._cut.next()) is None:
            if self._ended:
                return None if self._drop_last else self._cut.rest()
            self._read()
        return batch

    def stop(self) -> None:
        """End it, read or not."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def times(self) -> tuple[float, float]:
        """Seconds that the reader has waited for batches, and the plan for this trainer."""
        return self._waited, self._full

    def _ask(self) -> None:
        try:
            wire.send(self._open(), {"want": 1})
        except OSError:
            # The server has closed behind its last message, which is still to be read.
            return

    def _read(self) -> None:
        since = time.monotonic()
        message, block = self._remote.receive(self._open())
        self._waited += time.monotonic() - since
        self._full = message["full"]
        self.total = message["total"]
        self._ended = message["end"]
        if block is not None:
            self._cut.push(block)
        if self._ended:
            self.stop()
        else:
            self._ask()

    def _open(self) -> Connection:
        if self._connection is None:
            raise FeedError("the feed was stopped")
        return self._connection


def told(kind: str, message: str, hint: str | None) -> Exception:
    """The error of another process."""
    known = kind in errors.__all__
    error = getattr(errors, kind)(message) if known else FeedError(f"the feed failed with {kind}: {message}")
    error.hint = hint
    made: Exception = error
    return made
