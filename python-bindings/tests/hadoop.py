"""A Hadoop on loopback that ``scripts/hadoop`` has assembled, and the ways to its HDFS.

Assembling it downloads 230 MB, which nobody wants in each build: ``scripts/hadoop assemble FOLDER`` once, and the tests
run where ``SHEAF_TEST_HADOOP=FOLDER`` is set.
"""

import functools
import getpass
import importlib.util
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "hadoop"
FOLDER = "SHEAF_TEST_HADOOP"
PORTS = 5
LIMIT_SECONDS = 120

# A NameNode that is gone is tried for less than a second at each call.
HASTY = {"ipc.client.connect.max.retries": "2", "ipc.client.connect.retry.interval": "200"}

# What each way needs besides, and who brings it.
WAYS = {
    "url": None,
    "pyarrow": None,
    "folder of pyarrow": None,
    "webhdfs": "requests",
    "folder of webhdfs": "requests",
    "native": "hdfs_native",
}


class Hadoop:
    """A NameNode and a DataNode."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data, self.port = folder, data, free_ports()

    def script(self, *arguments: object) -> str:
        command = [str(SCRIPT), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Starts what does not run."""
        self.script("start", self.folder, self.data, self.port)

    def stop(self) -> None:
        self.script("stop", self.data)

    def kill_name_node(self) -> None:
        name_node = int((self.data / "namenode.pid").read_text())
        os.kill(name_node, signal.SIGKILL)
        # One that is dead and not waited for has no command line.
        command = Path(f"/proc/{name_node}/cmdline")
        await_(lambda: not (command.exists() and command.read_bytes()), 10)

    def environment(self) -> dict[str, str]:
        """What libhdfs needs."""
        lines = self.script("env", self.folder, self.data).splitlines()
        return {**dict(line.split("=", 1) for line in lines), "no_proxy": "127.0.0.1"}

    def names(self, folder: str) -> list[str]:
        """The names in a folder, as the NameNode tells them over HTTP."""
        url = f"http://127.0.0.1:{self.port + 1}/webhdfs/v1{folder}?op=LISTSTATUS"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(url, timeout=10) as answer:
                return [file["pathSuffix"] for file in json.load(answer)["FileStatuses"]["FileStatus"]]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise


@dataclass(frozen=True)
class Place:
    """A folder of an HDFS, and the way by which a program reaches it."""

    way: str
    port: int
    folder: str

    def __truediv__(self, name: str) -> str:
        """A path in the folder."""
        if self.way.startswith("folder"):
            return name
        return f"hdfs://127.0.0.1:{self.port}{self.folder}/{name}" if self.way == "url" else f"{self.folder}/{name}"

    @property
    def given(self) -> dict[str, Any]:
        """What readers and writers are told besides the path."""
        if self.way == "url":
            return {"storage_options": HASTY}
        return {"filesystem": client(self.way, self.port, self.folder)}


@functools.cache
def client(way: str, port: int, folder: str) -> Any:
    """A file system as users make it."""
    if way == "folder of pyarrow":
        from pyarrow.fs import SubTreeFileSystem

        return SubTreeFileSystem(folder, client("pyarrow", port, ""))
    if way == "folder of webhdfs":
        from fsspec.implementations.dirfs import DirFileSystem

        return DirFileSystem(folder, client("webhdfs", port, ""))
    if way == "pyarrow":
        from pyarrow.fs import HadoopFileSystem

        return HadoopFileSystem("127.0.0.1", port, extra_conf=HASTY)
    if way == "webhdfs":
        import fsspec

        return fsspec.filesystem("webhdfs", host="127.0.0.1", port=port + 1, user=getpass.getuser())
    from hdfs_native.fsspec import HdfsFileSystem

    return HdfsFileSystem(host="127.0.0.1", port=port)


@contextmanager
def running(data: Path) -> Iterator[Hadoop]:
    """The Hadoop of this machine, with no file in it; the test is skipped where there is none."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        pytest.skip(f"{FOLDER} names no Hadoop (scripts/hadoop assemble FOLDER makes one)")
    hadoop = Hadoop(Path(folder), data)
    try:
        hadoop.start()
        yield hadoop
    finally:
        hadoop.stop()


def skip_without(way: str) -> None:
    needed = WAYS[way]
    if needed is not None and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{way} needs {needed.replace('_', '-')}")


def await_(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.02)


def free_ports() -> int:
    """The first of so many ports in a row that nobody listens at."""
    for first in range(18_000 + os.getpid() % 1_000 * 10, 32_000, PORTS):
        try:
            for port in range(first, first + PORTS):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError(f"no {PORTS} free ports in a row")
