"""What this process is to the runtime: a driver with its session, a worker, or neither yet."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import secrets
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sheaf._runtime import context, machine

if TYPE_CHECKING:
    from sheaf._runtime.environment import Depot, Head
    from sheaf._runtime.exporter import Exporter
    from sheaf._runtime.inline.client import InlineClient
    from sheaf._runtime.output import Printer
    from sheaf._sheaf import ObjectRef, Runtime, RuntimeClient

# Workers import what the driver can import: the zygote starts with the driver's path.
_ZYGOTE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from sheaf._runtime import zygote; zygote.main()"
)

# What runs the entry point of a job, once its environment is set up.
_LAUNCHER = "from sheaf._runtime import entrypoint; entrypoint.main()"

_ANONYMOUS = "anonymous-"

_PRINTED_WITHIN_SECONDS = 2.0


@dataclass
class _Session:
    """What lives from ``init`` to ``shutdown`` in a driver."""

    runtime: Runtime | None
    """``None`` where the node is a process of its own, and where calls run inline."""
    client: RuntimeClient
    printer: Printer | None
    job_id: str
    namespace: str
    env: str
    depot: Depot | None
    """``None`` where calls run inline."""
    head: Head | None = None
    """The head that others reach too."""
    exporter: Exporter | None = None


@dataclass(frozen=True)
class Listen:
    """Where the head of a driver listens, and what keeps strangers out."""

    address: str
    token_file: str | None
    tls: tuple[str, str, str] | None


# One lock for starts and ends; reading is free, since each name is set at once.
_lock = threading.RLock()
_thread = threading.local()
_numbers = itertools.count(1)
_number = 0
_client: RuntimeClient | None = None
_session: _Session | None = None
_depot: Depot | None = None
_cluster: Mapping[str, Any] = {}
_env_of_worker = ""
_forked: list[object] = []
_is_exiting = False


def client() -> RuntimeClient:
    """The connection of this process to its node; the first use in a driver starts the runtime."""
    if _client is not None:
        return _client
    hold_at_exit()
    _refuse_fork()
    if getattr(_thread, "is_helper", False):
        raise RuntimeError("the runtime that this thread worked for has ended")
    with _lock:
        if _client is None:
            from sheaf._runtime import start

            start.init()
    return client()


@contextlib.contextmanager
def starting_none() -> Iterator[None]:
    """Within it this thread, which works for the runtime that is there, starts no other one when that has ended: what
    would raises ``RuntimeError``.
    """
    was_helper = getattr(_thread, "is_helper", False)
    _thread.is_helper = True
    try:
        yield
    finally:
        _thread.is_helper = was_helper


def hold_at_exit() -> None:
    """Where the interpreter ends, let the threads go no further that it does not wait for: they would only report that
    the runtime is gone.
    """
    if _is_exiting and threading.current_thread().daemon:
        threading.Event().wait()


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


def ref_of(name: bytes) -> ObjectRef:
    """A reference to the object of this name, for whoever knows that it is there."""
    if _session is not None and _session.runtime is None:
        from sheaf._runtime.inline import reference

        return reference.restore(name)
    from sheaf._sheaf import ObjectRef

    return ObjectRef._restore(name)


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


def is_anonymous(namespace: str) -> bool:
    """Whether a namespace is one that was made up for its program."""
    return namespace.startswith(_ANONYMOUS)


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
    return _env_of_worker if terms is None else terms.env


def joined_cluster() -> tuple[RuntimeClient, Head, int] | None:
    """The connection to the cluster that this driver has joined, its head, and the number of the stay there.

    ``None`` where it has a runtime of its own, or none.
    """
    # Another thread may end it meanwhile.
    session, number = _session, _number
    if session is None or session.runtime is not None or session.head is None:
        return None
    return session.client, session.head, number


def env_of_queries() -> str:
    """The environment of the workers that run the functions of this program's queries on a cluster."""
    from sheaf._runtime import entrypoint, environment

    session = _session
    own = None if session is None or session.runtime is not None else session.env
    return environment.with_path(entrypoint.environment_of_job() if own is None else own, sys.path)


def env_of(runtime_env: Mapping[str, Any] | None) -> str:
    """The environment of a call made here that asks for this one, as ``CallOptions.env``."""
    if not runtime_env:
        return env()
    from sheaf._runtime import environment

    asked = environment.normalise(runtime_env, env())
    # Calls that run inline have no other folder than this process.
    is_inline = _session is not None and _session.depot is None
    return asked if is_inline else environment.pack(asked, packages())


def know_cluster(told: Mapping[str, Any]) -> None:
    """Let this worker know what its node tells of where packages are."""
    global _cluster
    _cluster = told


def packages() -> Depot:
    """The packages of this process; what it uses of them is kept for as long as it lives."""
    global _depot
    if _session is not None and _session.depot is not None:
        return _session.depot
    with _lock:
        if _depot is None:
            from sheaf._runtime.environment import Depot

            _depot = Depot.of(_cluster)
        return _depot


def run_queries(env: str) -> None:
    """Let this worker know what environment it was made for: parts of queries that it runs start others in the same.

    The native client calls this before each of them.
    """
    from sheaf._runtime import marks

    global _env_of_worker
    _env_of_worker = env
    marks.mark("query")


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
    listen: Listen | None,
) -> None:
    """Start a head and node in this process and be their driver."""
    from sheaf._runtime import environment
    from sheaf._runtime.environment import Depot, Head
    from sheaf._sheaf import HeadPort, Runtime

    _refuse_fork()
    with _lock:
        if _client is not None:
            raise RuntimeError("another thread has called init meanwhile")
        with contextlib.ExitStack() as stack:
            port = None if listen is None else HeadPort(listen.address, listen.token_file, listen.tls)
            head = None if listen is None or port is None else Head.at(port.place, listen.token_file, listen.tls)
            depot = Depot(head=head, renews=head is not None)
            stack.callback(depot.close)
            runtime = Runtime(
                resources=dict(resources),
                labels=dict(labels) if head is None else {**labels, **machine.python_label()},
                object_store_memory=object_store_memory,
                spill_dir=spill_dir,
                command=_zygote(depot),
                log_dir=log_dir,
                port=port,
                launcher=[] if head is None else [sys.executable, "-P", "-c", _LAUNCHER, "{fd}", json.dumps(head.told)],
            )
            stack.callback(runtime.shutdown)
            # The head takes packages when it runs.
            env = environment.pack(env, depot)
            _become_driver(runtime.connect(), runtime, depot, shown=shown, namespace=namespace, env=env, head=head)
            stack.pop_all()


def join_session(
    address: str,
    *,
    token_file: str | None,
    tls: tuple[str, str, str] | None,
    shown: bool,
    namespace: str | None,
    env: str,
) -> None:
    """Be a driver of a cluster, through the node of it that is on this machine."""
    from sheaf._runtime import environment
    from sheaf._runtime.environment import Depot, Head
    from sheaf._sheaf import join_cluster

    _refuse_fork()
    with _lock:
        if _client is not None:
            raise RuntimeError("another thread has called init meanwhile")
        connected, nodes = join_cluster(address, token_file, tls)
        with contextlib.ExitStack() as stack:
            stack.callback(connected.close)
            machine.check_pythons(address, json.loads(nodes))
            head = Head.at(address, token_file, tls)
            depot = Depot(head=head, renews=True)
            stack.callback(depot.close)
            env = environment.with_path(environment.pack(env, depot), sys.path)
            _become_driver(connected, None, depot, shown=shown, namespace=namespace, env=env, head=head)
            stack.pop_all()


def _become_driver(
    connected: RuntimeClient,
    runtime: Runtime | None,
    depot: Depot,
    *,
    shown: bool,
    namespace: str | None,
    env: str,
    head: Head | None = None,
) -> None:
    from sheaf._runtime.output import Printer

    global _client, _number, _session
    _number = next(_numbers)
    # Anonymous unless named: nobody else finds the names of this program.
    chosen = namespace or f"{_ANONYMOUS}{uuid.uuid4()}"
    printer = Printer(runtime or connected, shown=shown)
    _session = _Session(runtime, connected, printer, secrets.token_hex(4), chosen, env, depot, head)
    _client = connected


def start_inline(stand_in: InlineClient, *, namespace: str | None, env: str) -> None:
    """Be a driver whose calls run in this process, by what stands in for a connection."""
    global _client, _number, _session
    with _lock:
        if _client is not None:
            raise RuntimeError("another thread has called init meanwhile")
        _number = next(_numbers)
        # It has the methods that are called in a driver.
        connected = cast("RuntimeClient", stand_in)
        chosen = namespace or f"{_ANONYMOUS}{uuid.uuid4()}"
        _session = _Session(None, connected, None, secrets.token_hex(4), chosen, env, None)
        _client = connected


def export_metrics(port: int) -> None:
    """Serve the metrics of this driver's node on this port."""
    from sheaf._runtime.exporter import Exporter

    with _lock:
        if _session is not None:
            _session.exporter = Exporter(port)


def head() -> Head | None:
    """The head of the cluster, if others reach it too."""
    if _session is not None:
        return _session.head
    from sheaf._runtime.environment import Head

    # What a worker was told of its cluster.
    return Head.of(_cluster)


def place() -> str | None:
    """Its host and port."""
    found = head()
    return None if found is None else found.place


def metrics_port() -> int | None:
    """Where this driver serves the metrics of its node."""
    exporter = None if _session is None else _session.exporter
    return None if exporter is None else exporter.port


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
        if ended.exporter is not None:
            ended.exporter.close()
        if ended.runtime is not None:
            ended.runtime.shutdown()
        else:
            ended.client.close()
        if ended.printer is not None:
            ended.printer.join(_PRINTED_WITHIN_SECONDS)
        if ended.depot is not None:
            ended.depot.close()


def _at_exit() -> None:
    global _is_exiting
    _is_exiting = True
    shutdown()


def _zygote(depot: Depot) -> list[str]:
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [sys.executable, *flags, "-c", _ZYGOTE, json.dumps(sys.path), "{fd}", json.dumps(depot.told)]


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
atexit.register(_at_exit)
