"""The process from which workers are forked: warm, with one thread, and the one that hears how workers end.

Nothing that starts threads may be imported here: numpy and pyarrow do, and the package loads them only when they are
used. The node speaks to it over a socket in lines of JSON: ``{"fork": number, "env": text}`` with three files (the
worker's socket, its output, its errors), and ``{"kill": number}``. It answers ``{"forked": number, "pid": pid}`` or
``{"failed": number, "error": text}``, and says ``{"exited": pid, "status": status}`` of every worker. When the socket
ends, so does it, with all workers.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import selectors
import signal
import socket
import sys
from collections import deque
from functools import partial
from typing import Any, NoReturn

from sheaf._runtime import process, worker

_FILES = 3
_READ_BYTES = 64 * 1024
# Of what a worker says of its set-up: a pipe takes so much whether it is read or not.
_ERROR_BYTES = 32 * 1024

# How often it looks whether its parent is there: a fork of the driver may hold the socket open.
_LOOK_SECONDS = 1.0

# Of 1,000: who has more is ended first. What a driver has of the memory counts as well.
_OOM_SCORE = 900
_PR_SET_PDEATHSIG = 1

# Workers need them at times; they are imported while there is nothing else to do.
_WHEN_IDLE = ("asyncio", "concurrent.futures.thread", "sheaf._runtime.environment")


def main() -> None:
    """Serve the node behind the socket that is the argument of the command line; another one tells of the cluster."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What is there now lives as long as the process; a collection in a worker would copy its pages.
    gc.disable()
    gc.freeze()
    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        print(
            f"sheaf: the process that forks workers has {threads} threads, so that its workers may hang\n"
            "  help: see what starts threads when Python starts: sitecustomize, or a .pth file",
            file=sys.stderr,
        )
    cluster = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    Zygote(socket.socket(fileno=int(sys.argv[1])), cluster).serve()


def go_on(told: dict[str, Any]) -> NoReturn:
    """Be the worker that another interpreter has become; its set-up goes on here."""
    _name_streams()
    sys.argv = ["sheaf-worker"]
    for file in (told["socket"], told["pipe"]):
        os.set_inheritable(file, False)
    _work(told["env"], told["depot"], told["socket"], told["pipe"])


class Zygote:
    """Forks workers for the node at the other end of a socket."""

    def __init__(self, node: socket.socket, cluster: dict[str, Any]) -> None:
        self._node = node
        self._cluster = cluster
        self._own, self._parent = os.getpid(), os.getppid()
        self._heard = b""
        # What the node does not take at once: it may be busy with asking, and neither may wait for the other.
        self._unsaid = bytearray()
        self._files: deque[int] = deque()
        # The workers that live: the number and pipe of those that are being set up, None after that.
        self._workers: dict[int, tuple[int, int] | None] = {}
        # What the node calls those that live.
        self._numbers: dict[int, int] = {}
        # Workers of which the node was told that they failed: their end is no news.
        self._failed: set[int] = set()
        self._selector = selectors.DefaultSelector()
        self._to_import = list(_WHEN_IDLE)
        self._libc = ctypes.CDLL(None)

    def serve(self) -> None:
        """Do as the node says until it is gone; then kill the workers."""
        woken, wakes = socket.socketpair()
        for each in (woken, wakes, self._node):
            each.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        self._selector.register(woken, selectors.EVENT_READ, partial(self._reap, woken))
        self._selector.register(self._node, selectors.EVENT_READ, self._hear)
        try:
            while os.getppid() == self._parent:
                for key, _ in (ready := self._selector.select(_LOOK_SECONDS)):
                    key.data()
                if not ready and self._to_import:
                    importlib.import_module(self._to_import.pop())
                    gc.freeze()
        except (EOFError, ConnectionError):
            return
        finally:
            signal.set_wakeup_fd(-1)
            for pid in self._workers:
                os.kill(pid, signal.SIGKILL)
                _kill_group(pid)

    def _hear(self) -> None:
        self._send()
        try:
            data, files, flags, _ = socket.recv_fds(self._node, _READ_BYTES, _FILES, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        if flags & socket.MSG_CTRUNC:
            raise RuntimeError("files of a new worker were lost on the way: too many are open in the zygote")
        if not data:
            raise EOFError
        # Files come with the first byte of their line, so they are here when its last one is.
        self._files.extend(files)
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            if "kill" in asked:
                # One that was reaped is none of these: another process may have its pid.
                for pid in [pid for pid, number in self._numbers.items() if number == asked["kill"]]:
                    os.kill(pid, signal.SIGKILL)
            else:
                self._fork(asked["fork"], asked["env"], [self._files.popleft() for _ in range(_FILES)])

    def _fork(self, number: int, env: str, files: list[int]) -> None:
        pipe: tuple[int, ...] = ()
        try:
            reads, writes = pipe = os.pipe()
            pid = os.fork()
        except OSError as error:
            _close(*pipe, *files)
            return self._say(failed=number, error=f"a worker cannot be forked: {error}")
        if pid == 0:
            self._become_worker(env, files, writes)
        _close(writes, *files)
        self._workers[pid] = (number, reads)
        self._numbers[pid] = number
        self._selector.register(reads, selectors.EVENT_READ, partial(self._hear_worker, pid))
        return None

    def _hear_worker(self, pid: int) -> None:
        """Hear how the set-up of a worker went: it closes its pipe, or says what failed and ends."""
        setup = self._workers.get(pid)
        if setup is None:
            # Its end was heard of first.
            return
        number, reads = setup
        self._workers[pid] = None
        self._selector.unregister(reads)
        with open(reads, encoding="utf-8", errors="replace") as pipe:
            error = pipe.read()
        if error:
            self._failed.add(pid)
            self._say(failed=number, error=error)
        else:
            self._say(forked=number, pid=pid)

    def _reap(self, woken: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            woken.recv(_READ_BYTES)
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._hear_worker(pid)
            del self._workers[pid], self._numbers[pid]
            _kill_group(pid)
            if pid in self._failed:
                self._failed.remove(pid)
            else:
                self._say(exited=pid, status=status)

    def _say(self, **what: Any) -> None:
        self._unsaid += json.dumps(what).encode() + b"\n"
        self._send()

    def _send(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._unsaid:
                del self._unsaid[: self._node.send(self._unsaid)]
        awaited = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsaid else 0)
        self._selector.modify(self._node, awaited, self._hear)

    def _become_worker(self, env: str, files: list[int], setup: int) -> NoReturn:
        """In the child: be a worker. The frames below stay as they are, so that nothing of the zygote is freed."""
        try:
            # What it starts ends with it.
            os.setpgid(0, 0)
            _go_first()
            # From here on it is killed with the zygote, unless that is gone already.
            self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self._own:
                os._exit(1)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _take_files(files, setup)
            sys.argv = ["sheaf-worker"]
            gc.enable()
            _work(env, self._cluster, files[0], setup)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)


def _go_first() -> None:
    """Let the kernel end this process, and not the driver or a node, when the machine has no memory left."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
        if int(file.read()) < _OOM_SCORE:
            file.write(str(_OOM_SCORE).encode())


def _work(env: str, cluster: dict[str, Any], node: int, setup: int) -> NoReturn:
    """Set this process up, and be a worker; or tell what failed by the pipe."""
    process.know_cluster(cluster)
    try:
        if env:
            _set_up(env, node, setup)
    except Exception as error:
        os.write(setup, str(error).encode(errors="replace")[:_ERROR_BYTES])
        os._exit(1)
    os.close(setup)
    worker.main(node)


def _set_up(env: str, node: int, setup: int) -> None:
    # Most workers have no environment, and wait for no module of it.
    from sheaf._runtime import environment
    from sheaf._runtime.environment import interpreter

    # What it uses of the cache is kept for as long as the process lives.
    made = environment.apply(env, process.packages())
    if made is not None and made.interpreter is not None:
        interpreter.become(made, made.interpreter, node, setup)


def _take_files(files: list[int], setup: int) -> None:
    """Make these the worker's files, and close all others; descriptors of the zygote's objects are only numbers."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for file, standard in zip((nothing, *files[1:]), range(_FILES), strict=True):
        os.dup2(file, standard)
    kept = {0, 1, 2, files[0], setup}
    for file in {int(name) for name in os.listdir("/proc/self/fd")} - kept:
        # The listing itself was one of them.
        with contextlib.suppress(OSError):
            os.close(file)
    _name_streams()


def _name_streams() -> None:
    """Let Python's streams be the worker's files: lines are seen as they are printed."""
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stdout = sys.__stdout__ = _lines_to(1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _lines_to(2)  # type: ignore[misc]


def _lines_to(file: int) -> io.TextIOWrapper:
    return open(file, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _kill_group(worker: int) -> None:
    """End the processes that a worker has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker, signal.SIGKILL)


def _close(*files: int) -> None:
    for file in files:
        os.close(file)
