"""Where logs are: files by name in one place, a folder of this machine or a part of an object store."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sheaf._runtime.durable.place import Place

if TYPE_CHECKING:
    from sheaf._runtime.durable.tables import Tables
    from sheaf._sheaf import Blobs


class Store(Protocol):
    """Files by name; a name is ``folder/name``. What a method has done is there after a loss of power.

    All raise ``OSError`` or the errors of the object store.
    """

    longest_journal: int
    """How many appends make a file that is slow to read."""

    def create(self, name: str, data: bytes) -> bool:
        """Write a file, whole or not at all; ``False`` where there is one."""

    def append(self, name: str, data: bytes) -> None:
        """Add to a file that nobody else writes. After an error nothing more may be appended to it."""

    def read(self, name: str) -> bytes | None:
        """What a file has; ``None`` where there is none."""

    def names(self, folder: str) -> list[str]:
        """The names in a folder, of files that are being written too; in order."""

    def delete(self, names: list[str]) -> None:
        """Delete files; those that are not there do not matter."""


def store_of(place: Place) -> Store:
    """The store of a place."""
    if "://" in place.root:
        return Objects(place)
    return Folder(Path(place.root) / place.folder)


def saved_below(root: str, storage_options: dict[str, str]) -> list[str]:
    """The folders of the actors that are saved in a store, as ``namespace/name``."""
    if "://" in root:
        names = _blobs(root, storage_options).names()
        return sorted({"/".join(name.split("/")[:2]) for name in names if name.count("/") >= 2})
    return sorted(str(found.relative_to(root)) for found in Path(root).glob("*/*") if found.is_dir())


def delete(place: Place) -> bool:
    """Delete all that is saved at a place; whether there was something."""
    if "://" in place.root:
        blobs = _blobs(str(place), place.storage_options)
        names = blobs.names()
        blobs.delete(names)
        return bool(names)
    path = Path(place.root) / place.folder
    if not path.is_dir():
        return False
    shutil.rmtree(path)
    _sync_folder(path.parent)
    return True


class Folder:
    """A folder of this machine, or one that all nodes share."""

    longest_journal = 10_000

    def __init__(self, root: Path) -> None:
        self._root = root
        # The file that was appended to last.
        self._open: tuple[str, int] | None = None

    def create(self, name: str, data: bytes) -> bool:
        path = self._root / name
        _make_folder(path.parent)
        written = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with written.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # Unlike a rename, a link never takes the place of another file.
            os.link(written, path)
        except FileExistsError:
            return False
        finally:
            with contextlib.suppress(OSError):
                written.unlink(missing_ok=True)
        _sync_folder(path.parent)
        return True

    def append(self, name: str, data: bytes) -> None:
        file = self._appended(name)
        before = os.lseek(file, 0, os.SEEK_END)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fdatasync(file)
        except OSError:
            # What is there in part, or whole and not surely on disk, was not written.
            with contextlib.suppress(OSError):
                os.ftruncate(file, before)
                os.fsync(file)
            raise

    def read(self, name: str) -> bytes | None:
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self._root / folder))
        except FileNotFoundError:
            return []

    def delete(self, names: list[str]) -> None:
        for name in names:
            (self._root / name).unlink(missing_ok=True)

    def _appended(self, name: str) -> int:
        if self._open is not None and self._open[0] == name:
            return self._open[1]
        self._close()
        path = self._root / name
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._open = name, file
        _sync_folder(path.parent)
        return file

    def _close(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def __del__(self) -> None:
        self._close()


class Objects:
    """A part of an object store: each append is an object of its own, ``name.000001`` and so on."""

    longest_journal = 100

    def __init__(self, place: Place) -> None:
        self._blobs = _blobs(str(place), place.storage_options)
        self._appended: tuple[str, int] = "", 0

    def create(self, name: str, data: bytes) -> bool:
        # A request that was tried again below us may find what it wrote itself.
        return self._blobs.create(name, data) or self._blobs.read(name) == data

    def append(self, name: str, data: bytes) -> None:
        last, count = self._appended
        count = count + 1 if last == name else 1
        self._appended = name, count
        if not self.create(f"{name}.{count:06}", data):
            raise FileExistsError(f"{name}.{count:06} is there already: another program writes to this place")

    def read(self, name: str) -> bytes | None:
        folder, _, own = name.rpartition("/")
        parts = [part for part in self.names(folder) if part.startswith(f"{own}.")]
        if not parts:
            return self._blobs.read(name)
        read = [self._blobs.read(f"{folder}/{part}") for part in parts]
        return b"".join(part for part in read if part is not None)

    def names(self, folder: str) -> list[str]:
        return sorted(name.removeprefix(f"{folder}/") for name in self._blobs.names(folder))

    def delete(self, names: list[str]) -> None:
        if names:
            self._blobs.delete(names)


def _blobs(url: str, storage_options: object) -> Blobs | Tables:
    if url.startswith("head://"):
        from sheaf._runtime.durable.tables import Tables

        return Tables(url)
    from sheaf._sheaf import Blobs

    return Blobs(url, dict(storage_options))  # type: ignore[call-overload]


def _make_folder(path: Path) -> None:
    if path.is_dir():
        return
    _make_folder(path.parent)
    path.mkdir(exist_ok=True)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
