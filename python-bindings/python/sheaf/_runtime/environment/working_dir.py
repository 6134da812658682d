"""``working_dir``: a folder of the driver's, as it is when the environment is given, in which workers run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from sheaf._runtime.environment import packages, paths, setup
from sheaf._runtime.environment.cache import COPIES
from sheaf._runtime.environment.depot import Depot
from sheaf._runtime.environment.setup import Setup

_KEY = "working_dir"


def check(value: Any) -> str:
    """A folder or an archive of one."""
    return paths.check(_KEY, value, endings=(".zip",))


def pack(value: str, excludes: list[str], depot: Depot) -> str:
    """The package of what is in the folder now."""
    if packages.is_package(value):
        return value
    path = Path(value)
    if path.is_dir():
        package = depot.pack(f"{_KEY} {value!r}", packages.name_of(path), packages.files_of(path, excludes))
    else:
        package = depot.store(f"{_KEY} {value!r}", path)
    # Code may write where it runs: each program has a copy of its own on each machine, which its workers share.
    return str(replace(package, copy=depot.copy))


def apply(value: str, made: Setup) -> None:
    """Run in the copy of it that is this program's."""
    folder = made.unpacked(COPIES, packages.read(value)) if packages.is_package(value) else Path(value)
    os.chdir(folder)
    setup.put_first([folder])
