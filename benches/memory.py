"""The resident size of a process and of all that it started: its peak as the kernel kept it, and what it is now."""

import os
import resource
import sys
from pathlib import Path

import psutil


def peak_bytes() -> int:
    """The peak of this process plus the peaks of its living descendants.

    Shared pages count in each process that touched them, so an engine of many processes looks no smaller than it is.
    """
    if not Path("/proc/self/status").exists():
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    processes = [os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))]
    return sum(high_water_mark(process) for process in processes)


def high_water_mark(process: int) -> int:
    """The kernel's VmHWM of one process; nothing when it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def shared_out_bytes() -> int:
    """What this process and its living descendants hold now; a page that several share counts once."""
    return sum(share_bytes(process) for process in [psutil.Process(), *psutil.Process().children(recursive=True)])


def own_share_bytes() -> int:
    """What this process holds of it; of a page that several share, its part."""
    return share_bytes(psutil.Process())


def share_bytes(process: psutil.Process) -> int:
    """The kernel's proportional set size of one process; nothing when it has ended."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0
