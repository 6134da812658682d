"""What processes the tests look at and start, and what the runtime leaves behind in them."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

LIMIT_SECONDS = 60


def becomes_true(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it does within this time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def descendants(pid: int | None = None) -> set[psutil.Process]:
    """The processes below this one, or this process; zombies too.

    Not Python's tracker of shared memory: it stays until the end of a program that has once started a process by spawn.
    """
    return {child for child in psutil.Process(pid).children(recursive=True) if not is_tracker(child)}


def is_tracker(process: psutil.Process) -> bool:
    try:
        return any("multiprocessing.resource_tracker" in word for word in process.cmdline())
    except psutil.Error:
        return False


def alive(processes: set[psutil.Process]) -> set[psutil.Process]:
    """Those that run. One that ended and that its new parent has not buried yet is gone."""
    return {process for process in processes if process.is_running() and state(process) != psutil.STATUS_ZOMBIE}


def running(pids: set[int]) -> set[int]:
    """Those of these processes that run."""
    return {process.pid for process in alive({process for process in psutil.process_iter() if process.pid in pids})}


def state(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_ZOMBIE)


def held() -> set[str]:
    """What this process holds: its children, threads, and open files."""
    children = {f"process {child.pid}" for child in psutil.Process().children()}
    # Libraries of numbers start threads of their own when they are first used.
    threads = {f"thread {name} {tid}" for name, tid in tasks() if "sheaf" in name}
    threads |= {f"thread {each.name}" for each in threading.enumerate()}
    return children | threads | {f"file {file.name} {target}" for file, target in open_files()}


def tasks() -> Iterator[tuple[str, str]]:
    """Name and id of every thread of this process, also of those that Python does not know."""
    for task in Path("/proc/self/task").iterdir():
        try:
            yield (task / "comm").read_text().strip(), task.name
        except (FileNotFoundError, ProcessLookupError):
            # It ended after it was listed.
            continue


def open_files() -> Iterator[tuple[Path, str]]:
    for file in Path("/proc/self/fd").iterdir():
        try:
            yield file, os.readlink(file)
        except FileNotFoundError:
            # The one that lists the folder.
            continue


def shared_maps() -> int:
    """How many objects of the store this process has mapped."""
    return sum("memfd:" in line for line in Path("/proc/self/maps").read_text().splitlines())


def memory(kind: str) -> int:
    """Bytes of this process whose name in `smaps_rollup` begins so."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


def run_driver(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A program of its own, to its end."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)


@contextmanager
def started_driver(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A program that runs beside the test, and is killed after it, or when it is overdue."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as child:
        overdue = threading.Timer(LIMIT_SECONDS, child.kill)
        overdue.start()
        try:
            yield child
        finally:
            overdue.cancel()
            child.kill()


def read_until(stream: IO[str], text: str) -> str:
    """The line with this text, or nothing when the stream ends before; the program's end is bounded."""
    return next((line for line in stream if text in line), "")
