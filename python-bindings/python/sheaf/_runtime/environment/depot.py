"""Where packages are: in the cache of this machine, and in a cluster with its head too, from which nodes get them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from sheaf._runtime.environment import packages
from sheaf._runtime.environment.cache import COPIES, Cache
from sheaf._runtime.environment.head import Head
from sheaf._runtime.environment.packages import File, Package
from sheaf.exceptions import RuntimeEnvSetupError

_KIND = "packages"
_FILE = "package"
_PART_BYTES = 1 << 20
# How long a driver waits for others of this user that make the same package, and for the head.
_MAKE_SECONDS = 600.0
# How often a driver looks whether the head still has its packages: sooner than a node that misses one gives up.
_RENEW_SECONDS = 5.0
_END_SECONDS = 2.0


class Depot:
    """The packages that this process makes and uses. What it uses stays in the cache for as long as it lives."""

    def __init__(self, own: Cache | None = None, head: Head | None = None, *, renews: bool = False) -> None:
        """With ``renews``, the head is given again what it has lost, for as long as this is open."""
        self.cache = Cache() if own is None else own
        self._head = head
        # What was packed last, with what could be seen of the files without reading them.
        self._packed: dict[str, tuple[Any, Package]] = {}
        self._given: dict[str, Path] = {}
        self._renews = renews
        self._renewer: threading.Thread | None = None
        self._is_over = threading.Event()
        self._copy: tuple[int, str] | None = None
        self._lock = threading.Lock()

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Depot:
        """That of a worker, by what its node tells: ``{}`` where there is no head."""
        root = told.get("cache")
        return cls(Cache(Path(root) if root else None), Head.of(told))

    @property
    def told(self) -> dict[str, Any]:
        """What ``of`` makes the same of."""
        return {"cache": str(self.cache.root), **(self._head.told if self._head else {})}

    @property
    def copy(self) -> str:
        """What the copies are called that belong to this program alone: to this process, and not to what it forks."""
        if self._copy is None or self._copy[0] != os.getpid():
            self._copy = os.getpid(), secrets.token_hex(8)
        return self._copy[1]

    def pack(self, what: str, name: str, files: list[File]) -> Package:
        """A package of these files, which this process keeps, and the cluster has."""
        with self._lock:
            seen, known = self._packed.get(what, (None, None))
            if known is None or seen != files:
                known = Package(self._write(what, files), name)
                self._packed[what] = files, known
            self._give(known, what)
        return known

    def store(self, what: str, archive: Path) -> Package:
        """A package of an archive that is there, as it is."""
        with self._lock, archive.open("rb") as source:
            if archive.stat().st_size > packages.MOST_BYTES:
                raise packages.too_large(what, packages.files_of(archive))
            known = Package(self._keep(packages.hash_of(source), source), _file_name(archive.name))
            self._give(known, what)
        return known

    def find(self, package: Package, until: float) -> Path:
        """The file of a package: that in the cache, or else it is got from the head."""

        def fetch(folder: Path) -> None:
            if self._head is None:
                raise RuntimeEnvSetupError(
                    f"the package {package} is not in the cache of this machine any more ({self.cache.root})"
                )
            self._head.get(package.sha256, folder / _FILE, until)

        return self.cache.hold(_KIND, package.sha256, fetch, until=until) / _FILE

    def close(self) -> None:
        """Let go of all packages, and remove the copies of this program that no worker uses any more."""
        self._is_over.set()
        if self._renewer is not None:
            self._renewer.join(_END_SECONDS)
        self.cache.close()
        if self._copy is not None:
            self.cache.drop(COPIES, self._copy[1])

    def _write(self, what: str, files: list[File]) -> str:
        import tempfile

        try:
            self.cache.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            # It has no name, so that nothing is left of it however this ends.
            with tempfile.TemporaryFile(dir=self.cache.root) as target:
                return self._keep(packages.write(files, target, what), target)
        except OSError as error:
            raise RuntimeEnvSetupError(
                f"runtime_env: {what} cannot be packed in {self.cache.root}: {error}\n"
                "  help: make room there, or let XDG_CACHE_HOME name a folder on another disk"
            ) from error

    def _keep(self, sha256: str, source: IO[bytes]) -> str:
        def copy(folder: Path) -> None:
            source.seek(0)
            with (folder / _FILE).open("wb") as target:
                shutil.copyfileobj(source, target, _PART_BYTES)

        self.cache.hold(_KIND, sha256, copy, until=time.monotonic() + _MAKE_SECONDS)
        return sha256

    def _give(self, package: Package, what: str) -> None:
        if self._head is None or package.sha256 in self._given:
            return
        until = time.monotonic() + _MAKE_SECONDS
        file = self.find(package, until)
        self._head.give(package.sha256, file, what, until)
        self._given[package.sha256] = file
        if self._renews and self._renewer is None:
            self._renewer = threading.Thread(target=self._renew, args=[self._head], name="sheaf-packages", daemon=True)
            self._renewer.start()

    def _renew(self, head: Head) -> None:
        while not self._is_over.wait(_RENEW_SECONDS):
            for sha256, file in list(self._given.items()):
                # A head that is not there is asked the next time.
                with contextlib.suppress(RuntimeEnvSetupError, OSError):
                    head.give(sha256, file, "a package", time.monotonic())


def _file_name(name: str) -> str:
    """A name that a package may have; that of a wheel stays what it is."""
    return "".join(char if char.isascii() and (char.isalnum() or char in "._+-") else "_" for char in name)
