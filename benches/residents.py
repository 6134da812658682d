"""Engines that stay: each with its cluster in a process of its own, which answers one request after another.

Every answer has a time limit. An engine that is over it is ended with all that it started, and begins anew with the
next request.
"""

import os
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import psutil

import processes
from child import Request
from processes import child_environment, end, last_line, limit_cores

# What a cluster may take to stop when it is asked to.
STOP_SECONDS = 60
# How often it is looked whether a child lives.
LOOK_SECONDS = 0.5


class Resident:
    """One engine. Its files are in a folder, which also tells its processes from others'."""

    def __init__(self, module: str, folder: Path, threads: int) -> None:
        folder.mkdir()
        self._module, self._folder, self._threads = module, folder, threads
        self._log = folder / "child.log"
        self._running: tuple[subprocess.Popen[bytes], Connection] | None = None

    def ask(self, request: Request, timeout: float) -> dict[str, Any]:
        """The child's result: `seconds` and `peak_bytes`, or `error`."""
        if self._running is None:
            self._running = self._start()
        child, connection = self._running
        try:
            connection.send(request)
            if not is_readable(child, connection, timeout):
                self._end()
                return {"error": f"stopped after {timeout:.0f} s"}
            answer: dict[str, Any] = connection.recv()
        except (EOFError, ConnectionError):
            with suppress(subprocess.TimeoutExpired):
                child.wait(processes.GRACE_SECONDS)
            status = child.returncode
            self._end()
            return {"error": f"ended with status {status}: {last_line(self._log)}"}
        return answer

    def _start(self) -> tuple[subprocess.Popen[bytes], Connection]:
        """Its process, and the connection to it."""
        ours, theirs = Pipe()
        with theirs, self._log.open("wb") as output:
            child = subprocess.Popen(
                [sys.executable, str(processes.HERE / "cluster_child.py"), self._module, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=self._environment(),
                pass_fds=[theirs.fileno()],
            )
        limit_cores(child.pid, self._threads)
        return child, ours

    def _environment(self) -> dict[str, str]:
        """No cluster but its own, and files only in its folder: Ray tells others where its cluster is, in `/tmp`."""
        others = {"RAY_ADDRESS", "SHEAF_ADDRESS", "SPARK_HOME"}
        inherited = {name: text for name, text in os.environ.items() if name not in others}
        folders = dict.fromkeys(("RAY_TMPDIR", "TMPDIR"), str(self._folder))
        return child_environment(self._threads, inherited) | folders

    def stop(self) -> None:
        """Let it stop its cluster, and end what is left of it then."""
        if self._running is None:
            return
        child, connection = self._running
        connection.close()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"{self._module} does not stop within {STOP_SECONDS} s", file=sys.stderr, flush=True)
        self._end()

    def _end(self) -> None:
        """Kill all that came of it."""
        if self._running is not None:
            child, connection = self._running
            self._running = None
            connection.close()
            end([process for process in psutil.Process().children(recursive=True) if self._owns(process)])
            child.wait(processes.GRACE_SECONDS)

    def _owns(self, process: psutil.Process) -> bool:
        """Whether a process, which may end meanwhile, came of it; whoever its parent is by now."""
        try:
            return bool(process.environ().get("RAY_TMPDIR") == str(self._folder))
        except psutil.Error:
            return False


def is_readable(child: subprocess.Popen[bytes], connection: Connection, timeout: float) -> bool:
    """Whether an answer comes in time. The child's end is noticed, also where what it left has its connection."""
    deadline = time.monotonic() + timeout
    while not connection.poll(min(LOOK_SECONDS, max(deadline - time.monotonic(), 0.0))):
        if child.poll() is not None and not connection.poll():
            raise EOFError
        if time.monotonic() >= deadline:
            return False
    return True
