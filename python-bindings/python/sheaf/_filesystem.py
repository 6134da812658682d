"""File systems of fsspec as the engine's stores call them, and paths in them as the engine's URLs.

fsspec is imported where one is given, and for ``hdfs://``. What a file system promises the store promises: a manifest
is created only where there is none as exactly as ``open("xb")`` does it, or ``pipe_file(mode="create")`` of stores, and
files appear whole where ``open(autocommit=False)`` holds them back. Without these (HDFS) there is a look before, and a
file that grows in sight.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sheaf.errors import InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    from sheaf import _sheaf

CALL_SECONDS = 300.0
"""No call of a file system is waited for longer: long enough to list a million files over a slow link."""

# Where file systems say when a file was written, and what changes with it.
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_TAGS = ("ETag", "etag", "md5Hash", "content_md5")

Info = tuple[str, int, int | None, str | None]
"""A file's path, bytes, time in microseconds, and tag."""


class Filesystem:
    """A file system of fsspec's below a root: ``""``, or ``"/"`` where its paths begin so."""

    def __init__(self, fs: Any, root: str) -> None:
        self._fs = fs
        self._root = root
        # fsspec reads the start of PyArrow's files as what cannot be sought in, and then seeks in it.
        self._seeks = any(kind.__name__ == "ArrowFSWrapper" for kind in type(fs).__mro__)
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
            found = self._fs.find(full, detail=True)
        except (FileNotFoundError, NotADirectoryError):
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
        self._fs.invalidate_cache(full)
        if self._fs.exists(full):
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


def urls(inner: _sheaf.Session | _sheaf.Dataset, fs: Any, paths: Iterable[str | os.PathLike[str]]) -> list[str]:
    """The URLs by which the engine knows paths in a file system, such as ``filesystem://memory-1/a/b.csv``."""
    if getattr(fs, "type_name", None) == "local":
        # PyArrow's local disk is the engine's.
        return [os.path.abspath(path) + ("/" if os.fspath(path).endswith("/") else "") for path in paths]
    known = _of_fsspec(fs)
    made = []
    for path in paths:
        text = os.fspath(path)
        plain = str(known._strip_protocol(text))
        if "://" in plain:
            error = InvalidInputError(f"the paths of this file system are URLs: {plain}")
            error.hint = "give the URL without filesystem="
            raise error
        root = "/" if plain.startswith("/") else ""
        base = inner.add_filesystem(Filesystem(known, root), id(fs), root, CALL_SECONDS)
        within = plain.strip("/")
        made.append(base + within + ("/" if within and text.endswith("/") else ""))
    return made


def paths_of(
    inner: _sheaf.Session, fs: Any, paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
) -> list[str]:
    """The paths of a reader's as the engine takes them."""
    several = [paths] if isinstance(paths, str | os.PathLike) else paths
    return [os.fspath(path) for path in several] if fs is None else urls(inner, fs, several)


def open_hdfs(host: str, port: int | None, user: str | None, options: Mapping[str, str]) -> Filesystem:
    """HDFS by PyArrow, which needs Hadoop's native client."""
    try:
        from fsspec.implementations.arrow import HadoopFileSystem
    except ImportError as error:
        raise _without_fsspec("hdfs:// needs") from error
    given: dict[str, Any] = {**options, "host": host or "default", "user": user or options.get("user")}
    given["port"] = int(given.get("port") or port or 0)
    try:
        return Filesystem(HadoopFileSystem(**given), "/")
    except OSError as error:
        missing = UnsupportedError(f"HDFS at {host or 'the default host'} cannot be opened: {error}")
        missing.hint = (
            "set HADOOP_HOME, JAVA_HOME and CLASSPATH (hadoop classpath --glob), and ARROW_LIBHDFS_DIR to the folder "
            'of libhdfs.so; without them: filesystem=fsspec.filesystem("webhdfs", host=…)'
        )
        raise missing from error


def _of_fsspec(fs: Any) -> Any:
    """The file system, or what fsspec makes of one of PyArrow's."""
    if not type(fs).__module__.startswith("pyarrow"):
        if not (hasattr(fs, "cat_file") and hasattr(fs, "_strip_protocol")):
            error = InvalidInputError(f"filesystem= is {type(fs).__name__}, which is no file system of fsspec")
            error.hint = "make one with fsspec.filesystem(…); pyarrow.fs file systems do too"
            raise error
        return fs
    try:
        from fsspec.implementations.arrow import ArrowFSWrapper
    except ImportError as error:
        raise _without_fsspec("file systems of PyArrow need") from error
    return ArrowFSWrapper(fs)


def _without_fsspec(what: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f"{what} fsspec, which is not installed\n  help: pip install fsspec", name="fsspec")


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
