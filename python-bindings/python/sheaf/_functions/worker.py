"""A worker of a pool: an actor that calls a user's function with the batches that it is sent."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import pyarrow as pa

import sheaf
from sheaf import _objects
from sheaf._functions.spec import Spec
from sheaf._runtime import process

STACK_SIGNAL = signal.SIGUSR2
"""What lets a worker write its stack where ``Place.stack_fd`` says."""

MADE, PUT, RAISED = "made", "put", "raised"
"""What a call ends with: tables, references to them, or what is told of an exception."""

# Data up to here goes as one text of bytes: to pickle it as arrays takes longer than to copy it.
_SMALL_BYTES = 32 * 1024

# Frames in these folders are not the user's.
_OWN_FRAMES = tuple(str(Path(sheaf.__file__).parent / name) for name in ("_functions", "_runtime", "_formats.py"))


class Place(NamedTuple):
    """Where a worker is."""

    node_id: str
    pid: int
    stack_fd: int


class Worker:
    """The actor. Its constructor makes the function."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._call = spec.async_caller() if spec.is_async else spec.caller()
        self._stack = os.memfd_create("sheaf-stack")
        faulthandler.register(STACK_SIGNAL, file=self._stack, all_threads=True)

    def place(self) -> Place:
        """Where it is, now that it is there."""
        return Place(process.client().node_id, os.getpid(), self._stack)

    def call(self, sent: Any) -> tuple[str, Any]:
        """What the function makes of a batch, or what there is to tell of its failure."""
        try:
            made = self._call(batch_of(sent))
            if isinstance(made, Iterator):
                # Each leaves this process as soon as it is there.
                return PUT, [sheaf.put(packed(each)) for each in made]
            return MADE, [packed(made)]
        except Exception as error:
            return self._raised(error)

    def _raised(self, error: Exception) -> tuple[str, Any]:
        told = traceback.TracebackException.from_exception(error)
        told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(_OWN_FRAMES)]
        text = "".join(told.format())
        pickled = None
        with contextlib.suppress(Exception):
            pickled = cloudpickle.dumps(error.with_traceback(None))
            pickle.loads(pickled)
        return RAISED, (isinstance(error, self._spec.retry_on), type(error).__name__, str(error), text, pickled)


class AsyncWorker(Worker):
    """The same for coroutine functions, of which some run at once."""

    async def call(self, sent: Any) -> tuple[str, Any]:  # type: ignore[override]
        """What the function makes of a batch, or what there is to tell of its failure."""
        try:
            return MADE, [packed(each) for each in await self._call(batch_of(sent))]
        except Exception as error:
            return self._raised(error)


def packed(made: Any) -> Any:
    """Something with the Arrow C interface as it is sent: small data as an Arrow stream, other data without a copy.

    >>> import pyarrow as pa
    >>> from sheaf._functions import worker
    >>> worker.batch_of(worker.packed(pa.record_batch({"a": [1]}))).to_pydict()
    {'a': [1]}
    """
    table = made if isinstance(made, pa.RecordBatch | pa.Table) else pa.table(made)
    if table.nbytes > _SMALL_BYTES:
        return table
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return sink.getvalue().to_pybytes()


def batch_of(sent: Any) -> pa.RecordBatch:
    """The one batch that was sent."""
    return _objects.shown(pa.ipc.open_stream(sent).read_next_batch()) if isinstance(sent, bytes) else sent


def tables_of(sent: list[Any]) -> list[Any]:
    """The results that were sent."""
    return [pa.ipc.open_stream(each).read_all() if isinstance(each, bytes) else each for each in sent]
