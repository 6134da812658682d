"""HDFS as the engine's stores call it, whichever client there is: PyArrow's (libhdfs), WebHDFS, or hdfs-native.

HDFS moves a file in one step, over what is there or only where nothing is. So a file is written under a name that
readers skip, and moved: it appears whole, and of several who create it one does. fsspec's ways over the same clients
write in sight, or move and do not ask whether it was done.
"""

from __future__ import annotations

import shutil
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sheaf._fsspec import NO_FOLDER, Filesystem, Info, Writer, innermost

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What the engine calls the data files of a folder. A manifest makes them count, and by this name it knows those that a
# writer has left behind: they are written in their place.
_DATA_FILE = "part-"

# What the names of the engine's own folders begin with. It knows files in them by name, however deep they lie.
_OWN_FOLDER = "/_sheaf"


class Hdfs(Filesystem):
    """What is common to the clients of HDFS."""

    def read(self, path: str, start: int, end: int) -> bytes:
        """The bytes from here to there."""
        if f"{_OWN_FOLDER}/" not in self._full(path):
            return super().read(path, start, end)
        # A manifest goes when the next is there, and may come again as another: what is read is of one of them.
        before = self.info(path)
        data = super().read(path, start, end)
        if before[1] < end or (start == 0 and before[1] != end) or self.info(path) != before:
            raise FileNotFoundError(f"{path} is another file than a moment ago")
        return data

    def create(self, path: str, data: bytes) -> None:
        """Create a file where there is none, whole and by one writer."""
        full = self._full(path)
        held = _beside(full)
        try:
            self._fs.pipe_file(held, data)
            self._place(held, full)
        except BaseException as error:
            self._forget(held)
            if isinstance(error, OSError | RuntimeError) and self._state(full) is not None:
                raise FileExistsError(full) from error
            raise

    def begin(self, path: str) -> Writer:
        """Begin a file that takes the place of what is there when it ends."""
        full = self._full(path)
        held = full if full.rpartition("/")[2].startswith(_DATA_FILE) else _beside(full)
        return HdfsWriter(self, full, held, self._fs.open(held, "wb"))

    def copy(self, source: str, target: str) -> None:
        """Copy a file."""
        full = self._full(target)
        held = _beside(full)
        try:
            # The clients' own copies are of no use: they move over what is there, or do not look whether they did.
            with self._fs.open(self._full(source), "rb") as old, self._fs.open(held, "wb") as new:
                shutil.copyfileobj(old, new)
            self._replace(held, full)
        except BaseException:
            self._forget(held)
            raise

    def _place(self, held: str, full: str) -> None:
        """Move a file to where none is, or raise."""
        raise NotImplementedError

    def _replace(self, held: str, full: str) -> None:
        """Move a file to its place, over what is there."""
        raise NotImplementedError

    def _forget(self, held: str) -> None:
        # The error that matters is the one before.
        with suppress(Exception):
            self._fs.rm_file(held)

    def _told(self, info: Mapping[str, Any], path: str) -> Info:
        path, size, time, tag = super()._told(info, path)
        # In milliseconds, and under names that other file systems do not use.
        millis = info.get("modificationTime") or info.get("modification_time")
        if millis is not None:
            time = int(millis) * 1000
        if info.get("fileId"):
            tag = f"{info['fileId']}-{millis}"
        return path, size, time, tag


class HdfsWriter(Writer):
    """A file that is being written, under the name where it is held."""

    def __init__(self, filesystem: Hdfs, path: str, held: str, file: Any) -> None:
        super().__init__(filesystem, path, None, file)
        self._hdfs = filesystem
        self._held = held

    def write(self, data: bytes) -> None:
        """Write the bytes that follow."""
        with _refusals_told():
            super().write(data)

    def commit(self) -> None:
        """End the file, and move it to its place."""
        with _refusals_told():
            self._file.close()
        if self._held != self._path:
            self._hdfs._replace(self._held, self._path)

    def abort(self) -> None:
        """Take away what was written."""
        try:
            self._file.close()
        finally:
            with suppress(FileNotFoundError):
                self._hdfs._fs.rm_file(self._held)


class ArrowHdfs(Hdfs):
    """HDFS by PyArrow, that is by Hadoop's own client, in Java."""

    def info(self, path: str) -> Info:
        """What there is to know of a file."""
        try:
            return super().info(path)
        except FileNotFoundError:
            self._ask(self._full(path))
            raise

    def files(self, folder: str) -> list[Info]:
        """The files below a folder."""
        try:
            return super().files(folder)
        except OSError:
            self._ask(self._full(folder))
            raise

    def delete(self, path: str) -> None:
        """Delete a file."""
        try:
            super().delete(path)
        except OSError:
            # Of a file that is not there PyArrow says that it could not be deleted, and no more.
            self.info(path)
            raise

    def _ask(self, full: str) -> None:
        """Raise what keeps the NameNode from answering: PyArrow then says of all files that they are not there."""
        from pyarrow.fs import FileSelector

        arrow, path = self._arrow(full)
        try:
            arrow.get_file_info(FileSelector(path))
        except NO_FOLDER:
            return
        except OSError as error:
            raise OSError(f"HDFS does not answer, for a reason that Java tells on stderr: {error}") from error

    def _place(self, held: str, full: str) -> None:
        # PyArrow moves a file over another, but leaves it to HDFS to move one into a folder, where it keeps its name:
        # HDFS refuses if there is such a file.
        folder, _, name = full.rpartition("/")
        root, _, _ = full.partition(_OWN_FOLDER) if _OWN_FOLDER in full else (folder, "", "")
        arrow, room = self._arrow(f"{root}/.{uuid.uuid4().hex}")
        arrow.create_dir(room)
        try:
            arrow.move(self._arrow(held)[1], f"{room}/{name}")
            arrow.move(f"{room}/{name}", self._arrow(folder)[1])
        finally:
            with suppress(OSError):
                arrow.delete_dir(room)

    def _arrow(self, full: str) -> tuple[Any, str]:
        """PyArrow's file system, which is no folder of another, and what it calls a path."""
        wrapper, path = innermost(self._fs, full)
        arrow = wrapper.fs
        while arrow.type_name == "subtree":
            arrow, path = arrow.base_fs, f"{arrow.base_path.rstrip('/')}/{path.lstrip('/')}"
        return arrow, path.rstrip("/")

    def _replace(self, held: str, full: str) -> None:
        # Not in one step: PyArrow deletes what is there, and moves the new file to its place.
        self._fs.mv(held, full)


class WebHdfs(Hdfs):
    """HDFS over HTTP."""

    def create(self, path: str, data: bytes) -> None:
        """Create a file where there is none, whole and by one writer."""
        with _refusals_told():
            super().create(path, data)

    def _place(self, held: str, full: str) -> None:
        self._rename(held, full, "NONE")

    def _replace(self, held: str, full: str) -> None:
        self._rename(held, full, "OVERWRITE")

    def _rename(self, source: str, target: str, options: str) -> None:
        web, path = innermost(self._fs, source)
        destination = innermost(self._fs, target)[1]
        # With options the NameNode says what went wrong. Gateways that know none say no more than that it was not done.
        told = web._call("RENAME", method="put", path=path, destination=destination, renameoptions=options)
        if "json" in told.headers.get("Content-Type", "") and told.json().get("boolean") is False:
            raise OSError(f"{path} could not be moved to {destination}")


class NativeHdfs(Hdfs):
    """HDFS by hdfs-native, which needs no Java."""

    def _place(self, held: str, full: str) -> None:
        self._fs.mv(held, full, overwrite=False)

    def _replace(self, held: str, full: str) -> None:
        self._fs.mv(held, full, overwrite=True)


@contextmanager
def _refusals_told() -> Iterator[None]:
    """Raise what a DataNode says, and forbids as that: fsspec asks NameNodes alone what is behind a status of HTTP."""
    try:
        yield
    except OSError as error:
        answer = getattr(error, "response", None)
        if answer is None:
            raise
        kind = PermissionError if "AccessControlException" in answer.text else OSError
        raise kind(answer.text or str(error)) from error


def client_of(fs: Any) -> type[Hdfs] | None:
    """How to call a file system of fsspec's that is HDFS; none for others."""
    inner, _ = innermost(fs, "")
    names = {kind.__name__ for kind in type(inner).__mro__}
    if "ArrowFSWrapper" in names:
        arrow = inner.fs
        while arrow.type_name == "subtree":
            arrow = arrow.base_fs
        return ArrowHdfs if arrow.type_name == "hdfs" else None
    if "WebHDFS" in names:
        return WebHdfs
    return NativeHdfs if type(inner).__module__.startswith("hdfs_native") else None


def _beside(full: str) -> str:
    """A name in the same folder that nobody has and readers skip."""
    folder, slash, name = full.rpartition("/")
    return f"{folder}{slash}.{name}.{uuid.uuid4().hex}"
