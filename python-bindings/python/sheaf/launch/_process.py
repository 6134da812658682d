"""``sheaf head`` and ``sheaf node`` as children of this process: started, heard, ended, and never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

_CHILD = "from sheaf.launch import _child; _child.main()"
# The last lines that a process wrote, for the error that tells of its end.
_LAST_LINES = 20
# How long the last words of a process that ended are waited for: what it started may hold its output open.
_WORDS_SECONDS = 1.0
# How long a process may take to be gone that was killed.
_KILL_SECONDS = 5.0


@dataclass(frozen=True)
class State:
    """What is known of a process."""

    pid: int | None
    """``None`` before it is started."""
    place: str | None
    """Its host and port, once it listens."""
    ended: str | None
    """How it ended; ``None`` while it runs."""
    words: str
    """The last lines that it wrote to standard error."""


class TokenFile:
    """A file without a name that has the token. Processes of this user find it by ``path`` while this one lives."""

    def __init__(self, token: str) -> None:
        self.number = os.memfd_create("sheaf-token", os.MFD_CLOEXEC)
        os.fchmod(self.number, 0o600)
        os.write(self.number, f"{token}\n".encode())

    @property
    def path(self) -> str:
        """Where it is read."""
        return f"/proc/{os.getpid()}/fd/{self.number}"

    def close(self) -> None:
        """Let go of it."""
        if self.number >= 0:
            os.close(self.number)
            self.number = -1


class Process:
    """A node of a cluster, or its head, that cannot outlive this process.

    Args:
        command: That of ``sheaf`` with its flags, without the token's.
        token: The secret of the cluster, which goes to the process in a file without a name.
    """

    def __init__(self, command: Sequence[str], token: str) -> None:
        self._command = list(command)
        self._token = token
        self._child: subprocess.Popen[str] | None = None
        self._place: str | None = None
        self._ended: str | None = None
        self._is_stopped = False
        self._words: deque[str] = deque(maxlen=_LAST_LINES)
        self._changed = threading.Condition()
        # The kernel ends the process with the thread that started it: this one, which waits for its end.
        threading.Thread(target=self._keep, name=f"sheaf-{command[0]}", daemon=True).start()

    @property
    def state(self) -> State:
        """What is known of it now."""
        with self._changed:
            pid = None if self._child is None else self._child.pid
            return State(pid, self._place, self._ended, "\n".join(self._words))

    def await_start(self, seconds: float) -> State:
        """Its state once it listens or has ended, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._place is not None or self._ended is not None, max(seconds, 0.0))
        return self.state

    def stop(self, seconds: float) -> State:
        """Ask it to end, and kill it if it has not within so many seconds."""
        with self._changed:
            self._is_stopped = True
            # One that is not started yet is asked by the thread that starts it.
            self._send(signal.SIGTERM)
            if not self._changed.wait_for(lambda: self._ended is not None, max(seconds, 0.0)):
                self._send(signal.SIGKILL)
                self._changed.wait_for(lambda: self._ended is not None, _KILL_SECONDS)
        return self.state

    def _send(self, number: signal.Signals) -> None:
        if self._child is not None and self._ended is None:
            # Which looks first whether it has ended.
            self._child.send_signal(number)

    def _keep(self) -> None:
        try:
            with contextlib.closing(TokenFile(self._token)) as token:
                child = self._start(token)
        except OSError as error:
            return self._end(f"it cannot be started: {error}")
        reader = threading.Thread(target=self._hear, args=(child.stderr,), daemon=True)
        reader.start()
        assert child.stdout is not None
        line = child.stdout.readline()
        if "runs at" in line:
            with self._changed:
                self._place = line.strip().rsplit("/", 1)[1]
                self._changed.notify_all()
        status = child.wait()
        reader.join(_WORDS_SECONDS)
        return self._end(_how(status))

    def _start(self, token: TokenFile) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", _CHILD, str(os.getpid()), str(token.number), *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            pass_fds=(token.number,),
            # Ctrl-C in a terminal is the program's, which then ends its cluster.
            start_new_session=True,
        )
        with self._changed:
            self._child = child
            if self._is_stopped:
                self._send(signal.SIGTERM)
        return child

    def _hear(self, lines: IO[str]) -> None:
        for line in lines:
            with self._changed:
                self._words.append(line.rstrip("\n"))
            with contextlib.suppress(OSError, ValueError):
                # Who started this may have closed it.
                print(line, end="", file=sys.stderr, flush=True)

    def _end(self, how: str) -> None:
        with self._changed:
            self._ended = how
            self._changed.notify_all()
            is_news, place = not self._is_stopped and self._place is not None, self._place
        if is_news:
            print(f"sheaf: the {self._command[0]} at {place} has ended: {how}", file=sys.stderr, flush=True)


def seconds_until(moment: float) -> float:
    """What is left of the time until then, of the clock that never goes back."""
    return max(moment - time.monotonic(), 0.0)


def _how(status: int) -> str:
    if status == 0:
        return "it was drained, or asked to end"
    if status > 0:
        return f"exit code {status}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"
