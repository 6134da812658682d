"""Programs that set environments up: run to their end or until it is time, and not outliving whoever started them."""

from __future__ import annotations

import collections
import ctypes
import errno
import os
import re
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sheaf.exceptions import RuntimeEnvSetupError

# The end of what a program printed, which says why it failed.
_LAST_LINES = 30
_LINE_CHARACTERS = 500
_READ_BYTES = 64 * 1024
_PR_SET_PDEATHSIG = 1
_PASSWORD = re.compile(r"://[^/@\s]+@")


def run(
    command: Sequence[str | Path],
    what: str,
    *,
    until: float,
    env: Mapping[str, str] | None = None,
    folder: Path,
) -> None:
    """Run a program in a folder of the cache, which is where it leaves what it leaves behind when it is killed.

    Raises ``RuntimeEnvSetupError`` with its last lines where it fails or takes too long, and ``OSError`` where it says
    that the disk is full.
    """
    env = {**(os.environ if env is None else env), "TMPDIR": str(folder)}
    words = [os.fspath(word) for word in command]
    try:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=folder,
            # A worker that is killed while it is set up takes this with it. It stays in the worker's process group, of
            # which nothing is left when the worker ends.
            preexec_fn=_end_with_parent,
        )
    except OSError as error:
        raise _error(f"{what}: {shlex.join(words)} cannot be run: {error}") from error
    with child:
        try:
            lines, is_over = _output(child, until)
        finally:
            # After its end this does nothing.
            child.kill()
    if child.returncode != 0 and any(os.strerror(errno.ENOSPC) in line for line in lines):
        # Whoever keeps the folder knows what could go from it.
        raise OSError(errno.ENOSPC, f"{what}: {os.strerror(errno.ENOSPC)}")
    told = "".join(f"\n  {line[:_LINE_CHARACTERS]}" for line in lines)
    if not is_over:
        raise _error(
            f"{what} took too long and was ended: {shlex.join(words)}{told}\n"
            '  help: give it more time with config={"setup_timeout_seconds": ...}'
        )
    if child.returncode != 0:
        raise _error(
            f"{what} failed: {shlex.join(words)} ended with exit code {child.returncode}:{told or ' it said nothing'}"
        )


def read(command: Sequence[str | Path], what: str, *, until: float) -> str:
    """What a program prints that tells something. Raises ``RuntimeEnvSetupError``."""
    words = [os.fspath(word) for word in command]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=max(until - time.monotonic(), 0.1),
            check=False,
            preexec_fn=_end_with_parent,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _error(f"{what}: {shlex.join(words)}: {error}") from error
    if done.returncode != 0:
        raise _error(f"{what} failed: {shlex.join(words)}: {done.stderr.strip()[-_LINE_CHARACTERS:]}")
    return done.stdout


def _output(child: subprocess.Popen[bytes], until: float) -> tuple[list[str], bool]:
    """The last lines that it prints, and whether it ended in time."""
    lines: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
    rest = b""
    assert child.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            data = os.read(child.stdout.fileno(), _READ_BYTES)
            *whole, rest = (rest + data).split(b"\n")
            # A bar of progress is one long line.
            rest = rest[-_READ_BYTES:]
            lines.extend(line.decode(errors="replace").rstrip() for line in whole)
            if not data:
                try:
                    child.wait(max(until - time.monotonic(), 0.1))
                except subprocess.TimeoutExpired:
                    return [*lines], False
                return [*lines, *([rest.decode(errors="replace")] if rest else [])], True
    return [*lines], False


def _error(text: str) -> RuntimeEnvSetupError:
    """An error that tells no passwords of URLs."""
    return RuntimeEnvSetupError(_PASSWORD.sub("://****@", text))


_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
