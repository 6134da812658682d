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
from sheaf._functions.spec import Spec
from sheaf._runtime import process

STACK_SIGNAL = signal.SIGUSR2
"""What lets a worker write its stack where ``Place.stack_fd`` says."""

MADE, PUT, RAISED = "made", "put", "raised"
"""What a call ends with: tables, references to them, or what is told of an exception."""

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

    def call(self, batch: pa.RecordBatch) -> tuple[str, Any]:
        """What the function makes of a batch, or what there is to tell of its failure."""
        try:
            made = self._call(batch)
            if isinstance(made, Iterator):
                # Each leaves this process as soon as it is there.
                return PUT, [sheaf.put(table(each)) for each in made]
            return MADE, [table(made)]
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

    async def call(self, batch: pa.RecordBatch) -> tuple[str, Any]:  # type: ignore[override]
        """What the function makes of a batch, or what there is to tell of its failure."""
        try:
            return MADE, [table(each) for each in await self._call(batch)]
        except Exception as error:
            return self._raised(error)


def table(made: Any) -> Any:
    """Something with the Arrow C interface as what is sent without a copy."""
    return made if isinstance(made, pa.RecordBatch | pa.Table) else pa.table(made)
