"""A file system of fsspec as the engine's stores call it.

What a file system promises the store promises: a manifest is created only where there is none as exactly as
``open("xb")`` does it, or ``pipe_file(mode="create")`` of stores, and files appear whole where
``open(autocommit=False)`` holds them back. Without these there is a look before, and a file that grows in sight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

# Where file systems say when a file was written, and what changes with it.
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_TAGS = ("ETag", "etag", "md5Hash", "content_md5")

# What a file system says where there is no such folder, or it is a file.
NO_FOLDER = (FileNotFoundError, NotADirectoryError)

Info = tuple[str, int, int | None, str | None]
"""A file's path, bytes, time in microseconds, and tag."""


class Filesystem:
    """A file system of fsspec's below a root: ``""``, or ``"/"`` where its paths begin so."""

    def __init__(self, fs: Any, root: str) -> None:
        self._fs = fs
        self._root = root
        # fsspec reads the start of PyArrow's files as what cannot be sought in, and then seeks in it.
        self._seeks = any(kind.__name__ == "ArrowFSWrapper" for kind in type(fs).__mro__)
        self._walks = _finds_by_walking(innermost(fs, "")[0])
        protocol = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
        self.name: str = protocol if protocol != "abstract" else type(fs).__name__.lower()

    def info(self, path: str) -> Info:
        """What there is to know of a file."""
        full = self._full(path)
        # What others have written meanwhile is to be seen.
        self._fs.invalidate_cache(full)
        return self._told(self._fs.info(full), path)

    def read(self, path: str, start: int, end: int) -> bytes:
        """The bytes from here to there."""
        full = self._full(path)
        if not self._seeks:
            return bytes(self._fs.cat_file(full, start=start, end=end))
        with self._fs.open(full, "rb", seekable=True) as file:
            file.seek(start)
            return bytes(file.read(end - start))

    def files(self, folder: str) -> list[Info]:
        """The files below a folder."""
        full = self._full(folder)
        self._fs.invalidate_cache(full)
        try:
            found = dict(self._walk(full)) if self._walks else self._fs.find(full, detail=True)
        except NO_FOLDER:
            return []
        files = ((self._path(name), info) for name, info in found.items())
        return [self._told({**info, "type": "file"}, path) for path, info in files if path != folder]

    def inside(self, folder: str) -> tuple[list[str], list[Info]]:
        """The folders and the files in a folder."""
        full = self._full(folder)
        self._fs.invalidate_cache(full)
        folders, files = [], []
        for info in self._fs.ls(full, detail=True):
            path = self._path(info["name"])
            if info["type"] == "directory":
                folders.append(path)
            elif path != folder:
                files.append(self._told(info, path))
        return folders, files

    def create(self, path: str, data: bytes) -> None:
        """Create a file where there is none."""
        full = self._full(path)
        if self._is_there(full):
            raise FileExistsError(full)
        # Of a folder of another file system that one decides.
        inner = getattr(self._fs, "fs", self._fs)
        try:
            if getattr(inner, "async_impl", False):
                # Stores do it with one conditional request; other file systems would look before, once more.
                self._in_folder(full, lambda: self._fs.pipe_file(full, data, mode="create"))
                return
            file = self._in_folder(full, lambda: self._fs.open(full, "xb"))
        except (TypeError, ValueError, NotImplementedError):
            # It cannot insist on being first: the look before has to do.
            self._in_folder(full, lambda: self._fs.pipe_file(full, data))
            return
        try:
            with file:
                file.write(data)
        except BaseException:
            self._fs.rm_file(full)
            raise

    def begin(self, path: str) -> Writer:
        """Begin a file in the place of what is there."""
        full = self._full(path)
        before = self._state(full)
        return Writer(self, full, before, self._in_folder(full, lambda: self._fs.open(full, "wb", autocommit=False)))

    def delete(self, path: str) -> None:
        """Delete a file."""
        full = self._full(path)
        try:
            self._fs.rm_file(full)
        except NotImplementedError:
            self._fs.rm(full)

    def copy(self, source: str, target: str) -> None:
        """Copy a file."""
        full = self._full(target)
        self._in_folder(full, lambda: self._fs.cp_file(self._full(source), full))

    def _full(self, path: str) -> str:
        return self._root + path

    def _is_there(self, full: str) -> bool:
        """Whether there is such a file or folder. fsspec's ``exists`` takes any error for a no."""
        self._fs.invalidate_cache(full)
        try:
            self._fs.info(full)
        except NO_FOLDER:
            return False
        return True

    def _walk(self, full: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The files below a folder, or an error: fsspec's ``find`` leaves out the folders that it cannot list."""
        left = [full]
        while left:
            folder = left.pop()
            with suppress(*NO_FOLDER):
                for info in self._fs.ls(folder, detail=True):
                    if info["type"] != "directory":
                        yield info["name"], info
                    elif info["name"].rstrip("/") != folder.rstrip("/"):
                        left.append(info["name"])

    def _state(self, full: str) -> Info | None:
        """What is there, to see whether it changes."""
        self._fs.invalidate_cache(full)
        try:
            return self._told(self._fs.info(full), full)
        except FileNotFoundError:
            return None

    def _path(self, name: str) -> str:
        return str(self._fs._strip_protocol(name)).strip("/")

    def _in_folder(self, path: str, write: Callable[[], Any]) -> Any:
        """Write, and where the folder is missing make it and write again."""
        try:
            return write()
        except FileNotFoundError:
            self._fs.makedirs(self._fs._parent(path), exist_ok=True)
            return write()

    def _told(self, info: Mapping[str, Any], path: str) -> Info:
        if info.get("type") == "directory":
            raise FileNotFoundError(f"{path} is a folder")
        size = info.get("size")
        if size is None:
            raise NotImplementedError(f"{self.name} does not say how large {path} is")
        tag = next((str(info[name]) for name in _TAGS if info.get(name)), None)
        return path, int(size), next((_micros(info[name]) for name in _TIMES if info.get(name)), None), tag


class Writer:
    """A file that is being written."""

    def __init__(self, filesystem: Filesystem, path: str, before: Info | None, file: Any) -> None:
        self._filesystem = filesystem
        self._path = path
        self._before = before
        self._file = file

    def write(self, data: bytes) -> None:
        """Write the bytes that follow."""
        left = memoryview(data)
        while left:
            written = self._file.write(left)
            # Some say nothing of how much they took, which is all then.
            left = left[len(left) if written is None else written :]

    def commit(self) -> None:
        """End the file, which appears now if it was held back."""
        self._file.close()
        if hasattr(self._file, "commit"):
            self._filesystem._in_folder(self._path, self._file.commit)

    def abort(self) -> None:
        """Take away what was written."""
        self._file.close()
        if hasattr(self._file, "discard"):
            self._file.discard()
        # What was held back is gone, and what was there before is as it was; what was not held back goes.
        after = self._filesystem._state(self._path)
        if after is not None and after != self._before:
            self._filesystem._fs.rm_file(self._path)


def innermost(fs: Any, path: str) -> tuple[Any, str]:
    """The file system that folders of others are in, and what it calls a path."""
    while any(kind.__name__ == "DirFileSystem" for kind in type(fs).__mro__):
        fs, path = fs.fs, fs._join(path)
    return fs, path


def _finds_by_walking(fs: Any) -> bool:
    """Whether its ``find`` is fsspec's own, over ``ls``."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    kind = type(fs)
    if issubclass(kind, AsyncFileSystem):
        return kind._find is AsyncFileSystem._find
    return getattr(kind, "find", None) is AbstractFileSystem.find


def _micros(time: Any) -> int | None:
    """A time as a file system has it, in microseconds since 1970."""
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            return None
    if isinstance(time, datetime):
        time = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return int(time * 1_000_000) if isinstance(time, int | float) else None
