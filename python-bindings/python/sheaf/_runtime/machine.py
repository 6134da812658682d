"""What this machine has for tasks and actors, unless ``init`` is told otherwise."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sheaf.errors import UnsupportedError

# The rest of the memory is the object store's.
_MEMORY_SHARE = 0.7

_GPUS = Path("/proc/driver/nvidia/gpus")
_MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


# The label that a node of a cluster has from the command ``sheaf node``.
_PYTHON_LABEL = "sheaf/python"


def python_label() -> dict[str, str]:
    """The label of a node whose workers are of this Python."""
    return {_PYTHON_LABEL: f"{sys.version_info.major}.{sys.version_info.minor}"}


def check_pythons(address: str, nodes: list[Mapping[str, Any]]) -> None:
    """Refuse a cluster whose workers are of another Python: what is pickled here may not be read there."""
    here = python_label()[_PYTHON_LABEL]
    for node in nodes:
        there = node["labels"].get(_PYTHON_LABEL, here)
        if there != here:
            raise UnsupportedError(
                f"this is Python {here}, and the workers of {node['address']}, of the cluster at {address}, are of "
                f"Python {there}\n  help: run the driver and all nodes with the same version: sheaf node --python"
            )


def cpus() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def gpus() -> int:
    """The GPUs of ``CUDA_VISIBLE_DEVICES``, or all."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return len(list(_GPUS.iterdir())) if _GPUS.is_dir() else 0
    count = 0
    for device in visible.split(","):
        # As CUDA reads it: what follows a device that does not exist is hidden too.
        if device.strip() in {"", "-1", "NoDevFiles", "none", "void"}:
            break
        count += 1
    return count


def memory() -> int:
    """Bytes for tasks that ask for ``memory``: a share of the machine's, or of the container's limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in _MEMORY_LIMITS:
        try:
            total = min(total, int(limit.read_text()))
        except (OSError, ValueError):
            # No such cgroup, or "max".
            continue
    return int(total * _MEMORY_SHARE)
