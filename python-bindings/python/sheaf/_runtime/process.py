"""What this process is to the runtime: a driver with its session, a worker, or neither yet."""

from __future__ import annotations

import atexit
import itertools
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sheaf._runtime import context

if TYPE_CHECKING:
    from sheaf._runtime.output import Printer
    from sheaf._sheaf import Runtime, RuntimeClient

# Workers import what the driver can import: the zygote starts with the driver's path.
_ZYGOTE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from sheaf._runtime import zygote; zygote.main()"
)

_PRINTED_WITHIN_SECONDS = 2.0


@dataclass
class _Session:
    """What lives from ``init`` to ``shutdown`` in a driver."""

    runtime: Runtime
    printer: Printer
    job_id: str
    namespace: str
    env: str


# One lock for starts and ends; reading is free, since each name is set at once.
_lock = threading.RLock()
_numbers = itertools.count(1)
_number = 0
_client: RuntimeClient | None = None
_session: _Session | None = None
_forked: list[object] = []


def client() -> RuntimeClient:
    """The connection of this process to its node; the first use in a driver starts the runtime."""
    if _client is not None:
        return _client
    _refuse_fork()
    with _lock:
        if _client is None:
            from sheaf._runtime import start

            start.init()
    return client()


def number() -> int:
    """A number for each session of this process: what was put in another is gone."""
    return _number


def is_initialized() -> bool:
    """Whether the runtime runs in this process.

    >>> import sheaf
    >>> context = sheaf.init(ignore_reinit_error=True)
    >>> sheaf.is_initialized()
    True
    """
    return _client is not None


def job_id() -> str:
    """The job of this driver, or the one that the running call belongs to."""
    client()
    if _session is not None:
        return _session.job_id
    terms = context.terms()
    return "" if terms is None else terms.job_id


def namespace() -> str:
    """The namespace of this driver, or of the running call."""
    client()
    if _session is not None:
        return _session.namespace
    terms = context.terms()
    return "" if terms is None else terms.namespace


def root() -> tuple[str, int]:
    """The process with which ends what is started here: the driver, or the detached actor that this is."""
    own = client()
    terms = context.terms()
    return (terms.root if terms else None) or (own.node_id, own.client_id)


def env() -> str:
    """The environment that calls made here inherit, as ``CallOptions.env``."""
    if _session is not None:
        return _session.env
    terms = context.terms()
    return "" if terms is None else terms.env


def become_worker(new: RuntimeClient) -> None:
    """Let this process be a worker with this connection. The worker's loop calls it once."""
    global _client, _number
    _number = next(_numbers)
    _client = new


def start_session(
    *,
    resources: Mapping[str, float],
    labels: Mapping[str, str],
    object_store_memory: int | None,
    spill_dir: str | None,
    log_dir: str | None,
    shown: bool,
    namespace: str | None,
    env: str,
) -> None:
    """Start a head and node in this process and be their driver."""
    from sheaf._runtime.output import Printer
    from sheaf._sheaf import Runtime

    global _client, _number, _session
    _refuse_fork()
    with _lock:
        if _client is not None:
            raise RuntimeError("another thread has called init meanwhile")
        runtime = Runtime(
            resources=dict(resources),
            labels=dict(labels),
            object_store_memory=object_store_memory,
            spill_dir=spill_dir,
            command=_zygote(),
            log_dir=log_dir,
        )
        connected = runtime.connect()
        _number = next(_numbers)
        # Anonymous unless named: nobody else finds the names of this program.
        chosen = namespace or str(uuid.uuid4())
        _session = _Session(runtime, Printer(runtime, shown=shown), f"{_number:08x}", chosen, env)
        _client = connected


def shutdown(_exiting_interpreter: bool = False) -> None:
    """End the runtime of this driver with all its workers, actors and objects. Twice is fine.

    >>> import sheaf
    >>> sheaf.shutdown()
    >>> sheaf.is_initialized()
    False
    """
    global _client, _session
    with _lock:
        if _session is None:
            return
        ended, _session, _client = _session, None, None
        ended.runtime.shutdown()
        ended.printer.join(_PRINTED_WITHIN_SECONDS)


def _zygote() -> list[str]:
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [sys.executable, *flags, "-c", _ZYGOTE, json.dumps(sys.path), "{fd}"]


def _after_fork() -> None:
    """In a forked child the threads of the runtime are missing: nothing of it may be used, or freed."""
    global _lock, _client, _session
    _lock = threading.RLock()
    if _client is not None:
        _forked.extend((_client, _session))
        _client = _session = None


def _refuse_fork() -> None:
    if _forked:
        raise RuntimeError(
            f"process {os.getpid()} was forked from one that uses Sheaf's runtime, and cannot use it\n"
            "  help: start it another way: multiprocessing.get_context('spawn'), or a task instead of a process"
        )


os.register_at_fork(after_in_child=_after_fork)
atexit.register(shutdown)
