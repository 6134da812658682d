"""What trainers and the process that feeds them say to each other: messages with batches, over a socket.

The socket has no name in any folder, so that nothing is left of it; who connects proves that he knows a key, which
travels with the pickled iterator alone. Messages are JSON and Arrow, so that nothing that comes in is executed.
"""

from __future__ import annotations

import json
import secrets
import socket
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any

import pyarrow as pa

# How many that connect at once wait for their turn.
BACKLOG = 128
# How long the other side may take for a connection and its proof.
GREETING_S = 30.0

Address = str | tuple[str, int]


def listen(host: str | None) -> socket.socket:
    """A socket for the trainers of this machine, or at an address of the network for those of others too."""
    if host is not None:
        return socket.create_server((host, 0), backlog=BACKLOG)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"\0sheaf-feed-{secrets.token_hex(16)}")
    listener.listen(BACKLOG)
    return listener


def address(listener: socket.socket) -> Address:
    """Where the socket is found."""
    name = listener.getsockname()
    return name.decode() if isinstance(name, bytes) else (name[0], name[1])


def connect(to: Address, key: bytes) -> Connection:
    """A connection to whoever listens there, when both have proved that they know the key."""
    peer = socket.socket(socket.AF_UNIX if isinstance(to, str) else socket.AF_INET, socket.SOCK_STREAM)
    with peer:
        peer.settimeout(GREETING_S)
        peer.connect(to)
        # A socket with a timeout would not block in the connection either.
        peer.settimeout(None)
        connection = Connection(peer.detach())
    answer_challenge(connection, key)
    deliver_challenge(connection, key)
    return connection


def welcome(peer: socket.socket, key: bytes) -> Connection:
    """The other side of ``connect``."""
    peer.settimeout(None)
    connection = Connection(peer.detach())
    try:
        deliver_challenge(connection, key)
        answer_challenge(connection, key)
    except BaseException:
        connection.close()
        raise
    return connection


def send(connection: Connection, message: dict[str, Any], batch: pa.RecordBatch | None = None) -> None:
    """Send a message, and a batch with it."""
    connection.send_bytes(json.dumps({**message, "batch": batch is not None}).encode())
    if batch is not None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        connection.send_bytes(memoryview(sink.getvalue()))


def receive(connection: Connection) -> tuple[dict[str, Any], pa.RecordBatch | None]:
    """The next message, and the batch that came with it, over the bytes that were received."""
    message: dict[str, Any] = json.loads(connection.recv_bytes())
    if not message["batch"]:
        return message, None
    with pa.ipc.open_stream(connection.recv_bytes()) as reader:
        return message, reader.read_next_batch()
