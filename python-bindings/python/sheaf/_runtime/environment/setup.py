"""What a new worker is set up with: its time, its packages, and the interpreter that it is to become, if another."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sheaf._runtime.environment import packages
from sheaf._runtime.environment.depot import Depot
from sheaf._runtime.environment.packages import Package

# As Ray.
DEFAULT_SECONDS = 600
# Ray's word for no limit; here everything has one.
NO_LIMIT, _LONGEST_SECONDS = -1, 24 * 3_600

TIMEOUT = "setup_timeout_seconds"


class Setup:
    """The state of a set-up, which the parts of an environment change one after the other."""

    def __init__(self, depot: Depot, asked: dict[str, Any]) -> None:
        self.depot = depot
        self.asked = asked
        seconds = asked.get("config", {}).get(TIMEOUT, DEFAULT_SECONDS)
        self.until = time.monotonic() + (_LONGEST_SECONDS if seconds == NO_LIMIT else seconds)
        self.interpreter: list[str] | None = None
        """The command of another interpreter that this process has to become."""

    def unpacked(self, kind: str, package: Package) -> Path:
        """The folder with what is in a package, or the copy of it that is this program's own."""

        def unpack(folder: Path) -> None:
            packages.unpack(self.depot.find(package, self.until), folder, self.until)

        key = f"{package.sha256}-{package.copy}" if package.copy else package.sha256
        return self.depot.cache.hold(kind, key, unpack, until=self.until)


def put_first(folders: Iterable[str | os.PathLike[str]]) -> None:
    """Let modules be looked for in these folders before all others."""
    sys.path[:0] = dict.fromkeys(os.fspath(folder) for folder in folders)


def put_first_in_variable(name: str, folder: str | os.PathLike[str]) -> None:
    """The same for a variable such as ``PATH``."""
    others = os.environ.get(name)
    os.environ[name] = os.fspath(folder) + (os.pathsep + others if others else "")
