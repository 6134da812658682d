"""File systems that are given, and ``hdfs://``: what the engine's stores call, and paths in them as the engine's URLs.

fsspec is imported where one is given, and for ``hdfs://``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sheaf._fsspec import Filesystem
from sheaf._hdfs import client_of
from sheaf.errors import InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    from sheaf import _sheaf

CALL_SECONDS = 300.0
"""No call of a file system is waited for longer: long enough to list a million files over a slow link."""


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
        base = inner.add_filesystem(_store(known, root), id(fs), root, CALL_SECONDS)
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
    """HDFS by PyArrow, which needs Hadoop's native client. Options with a dot in their names are Hadoop's own."""
    try:
        from fsspec.implementations.arrow import HadoopFileSystem
    except ImportError as error:
        raise _without_fsspec("hdfs:// needs") from error
    given: dict[str, Any] = {name: value for name, value in options.items() if "." not in name}
    given |= {"host": host or "default", "user": user or options.get("user")}
    for name, number in (("port", port or 0), ("replication", 3)):
        given[name] = _number(name, options.get(name, number))
    conf = {name: value for name, value in options.items() if "." in name}
    # Java would take Ctrl-C from Python, and end the program by it.
    os.environ.setdefault("LIBHDFS_OPTS", "-Xrs")
    try:
        return _store(HadoopFileSystem(**given, extra_conf=conf or None), "/")
    except OSError as error:
        missing = UnsupportedError(f"HDFS at {host or 'the default host'} cannot be opened: {error}")
        missing.hint = (
            "set HADOOP_HOME, JAVA_HOME and CLASSPATH (hadoop classpath --glob), and ARROW_LIBHDFS_DIR to the folder "
            'of libhdfs.so; without them: filesystem=fsspec.filesystem("webhdfs", host=…)'
        )
        raise missing from error


def _number(option: str, value: Any) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise InvalidInputError(f"the option {option} of hdfs:// is a number, not {value!r}") from error


def _store(fs: Any, root: str) -> Filesystem:
    client = client_of(fs)
    return Filesystem(fs, root) if client is None else client(fs, root)


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
