"""``filesystem=``: readers and writers over file systems of fsspec and of PyArrow, with faults; ``hdfs://``."""

import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pytest

import sheaf as sf
from sheaf import _filesystem

fsspec = pytest.importorskip("fsspec")

from fsspec.implementations.dirfs import DirFileSystem  # noqa: E402
from fsspec.implementations.local import LocalFileSystem  # noqa: E402
from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402

ROWS = 50_000


class Faulty(LocalFileSystem):
    """Local files, of which some calls fail or wait."""

    cachable = False
    protocol = "faulty"

    def __init__(self, fails: str = "", error: Exception | None = None, waits: float = 0, after: int = 0) -> None:
        super().__init__()
        self.fails, self.error, self.waits, self.left = fails, error, waits, after
        self.calls: list[str] = []

    def _step(self, call: str) -> None:
        self.calls.append(call)
        if call == self.fails:
            self.left -= 1
            if self.left < 0:
                time.sleep(self.waits)
                if self.error is not None:
                    raise self.error

    def info(self, path: str, **kwargs: Any) -> Any:
        self._step("info")
        return super().info(path, **kwargs)

    def find(self, path: str, **kwargs: Any) -> Any:
        self._step("find")
        return super().find(path, **kwargs)

    def cat_file(self, path: str, **kwargs: Any) -> Any:
        self._step("read")
        return super().cat_file(path, **kwargs)

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        if mode != "rb":
            self._step("create" if mode == "xb" else "write")
        return super()._open(path, mode, **kwargs)


@pytest.fixture(params=["memory", "local", "folder", "arrow"])
def place(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[tuple[Any, str]]:
    """A file system, and an empty folder in it."""
    if request.param == "memory":
        MemoryFileSystem.store.clear()
        MemoryFileSystem.pseudo_dirs[:] = [""]
        yield fsspec.filesystem("memory"), "/work"
        MemoryFileSystem.store.clear()
    elif request.param == "local":
        yield LocalFileSystem(), str(tmp_path / "work")
    elif request.param == "folder":
        yield DirFileSystem(str(tmp_path), LocalFileSystem()), "work"
    else:
        yield pyarrow.fs.SubTreeFileSystem(str(tmp_path), pyarrow.fs.LocalFileSystem()), "work"


def ids(dataset: sf.Dataset) -> list[int]:
    values: list[int] = dataset.to_pydict()["id"]
    return values


def test_what_is_written_is_read(place: tuple[Any, str]) -> None:
    fs, folder = place
    rows = sf.range(ROWS).with_column("kind", sf.col("id") % 3)
    report = rows.write_parquet(f"{folder}/table", filesystem=fs)
    assert report.rows == ROWS
    assert sorted(ids(sf.read_parquet(f"{folder}/table", filesystem=fs))) == list(range(ROWS))
    assert sf.read_parquet(report.path).count() == ROWS, "the path of the report is a URL of this session"
    rows.write_csv(f"{folder}/a file #1.csv", filesystem=fs)
    assert ids(sf.read_csv(f"{folder}/a file #1.csv", filesystem=fs)) == list(range(ROWS))
    assert sf.read_csv(f"{folder}/*#?.csv", filesystem=fs, parallelism=3).sum("id") == sum(range(ROWS))
    rows.write_ipc(f"{folder}/kinds/", partition_by="kind", filesystem=fs)
    kinds = sf.read_ipc(f"{folder}/kinds", filesystem=fs, include_file_paths="file")
    assert kinds.filter(sf.col("kind") == 1).count() == len(range(1, ROWS, 3))
    assert all("work/kinds/kind=" in file and file.startswith("filesystem://") for file in kinds.unique("file"))


def test_writes_replace_append_and_refuse(place: tuple[Any, str]) -> None:
    fs, folder = place
    sf.range(10).write_parquet(folder, filesystem=fs)
    with pytest.raises(sf.errors.ExistsError):
        sf.range(10).write_parquet(folder, filesystem=fs)
    sf.range(10, 20).write_parquet(folder, filesystem=fs, mode="append")
    assert sorted(ids(sf.read_parquet(folder, filesystem=fs))) == list(range(20))
    sf.range(5).write_parquet(folder, filesystem=fs, mode="overwrite")
    assert ids(sf.read_parquet(folder, filesystem=fs)) == list(range(5))
    sf.range(3).write_csv(f"{folder}/one.csv", filesystem=fs)
    with pytest.raises(sf.errors.ExistsError):
        sf.range(3).write_csv(f"{folder}/one.csv", filesystem=fs)
    sf.range(4).write_csv(f"{folder}/one.csv", filesystem=fs, mode="overwrite")
    assert ids(sf.read_csv(f"{folder}/one.csv", filesystem=fs)) == list(range(4))


def test_local_disks_of_pyarrow_are_the_engines(tmp_path: pathlib.Path) -> None:
    local = pyarrow.fs.LocalFileSystem()
    report = sf.range(3).write_csv(tmp_path / "x.csv", filesystem=local)
    assert report.path == str(tmp_path / "x.csv")
    assert ids(sf.read_csv(tmp_path / "x.csv", filesystem=local)) == [0, 1, 2]


def test_files_of_many_parts(tmp_path: pathlib.Path) -> None:
    rows = sf.range(3_000_000).with_column("other", sf.col("id") * 7919 % 1_000_003)
    rows.write_ipc("big.arrow", filesystem=DirFileSystem(str(tmp_path), LocalFileSystem()))
    assert (tmp_path / "big.arrow").stat().st_size > 40_000_000
    assert pa.ipc.open_file(tmp_path / "big.arrow").read_all()["id"].to_pylist() == list(range(3_000_000))


def test_a_file_that_changes_is_read_anew() -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/changes.csv", b"id\n1\n")
    read = sf.read_csv("/changes.csv", filesystem=fs)
    assert ids(read) == [1]
    fs.pipe_file("/changes.csv", b"id\n2\n3\n")
    assert ids(read) == [2, 3]
    fs.rm("/changes.csv")
    with pytest.raises(sf.errors.MissingFileError, match=r"changes\.csv"):
        read.collect()


def test_faults_of_reads_are_told_with_path_and_cause(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "x.parquet"
    sf.range(ROWS).write_parquet(file)
    lost = OSError("the line is dead")
    for call in ("info", "read"):
        with pytest.raises(sf.errors.StoreError, match=r"(?s)x\.parquet.*OSError: the line is dead") as raised:
            sf.read_parquet(file, filesystem=Faulty(call, lost)).collect()
        assert raised.value.__cause__ is lost
    with pytest.raises(sf.errors.StoreError, match="the line is dead"):
        sf.read_parquet(tmp_path, filesystem=Faulty("find", lost)).collect()
    with pytest.raises(sf.errors.PermissionDeniedError, match=r"x\.parquet.*PermissionError: no"):
        sf.read_parquet(file, filesystem=Faulty("read", PermissionError("no"))).collect()
    with pytest.raises(sf.errors.MissingFileError, match="nowhere"):
        sf.read_parquet(tmp_path / "nowhere.parquet", filesystem=Faulty())


class Torn(LocalFileSystem):
    """Local files, of which one folder cannot be listed, and one file is not known to be there."""

    cachable = False
    protocol = "torn"

    def ls(self, path: str, detail: bool = False, **kwargs: Any) -> Any:
        if path.endswith("k=1"):
            raise OSError("the link is torn")
        return super().ls(path, detail, **kwargs)

    def info(self, path: str | os.DirEntry[str], **kwargs: Any) -> Any:
        if os.fspath(path).endswith("one.json"):
            raise OSError("the link is torn")
        return super().info(path, **kwargs)


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: pathlib.Path) -> None:
    for part in range(3):
        (tmp_path / f"k={part}").mkdir()
        (tmp_path / f"k={part}" / "x.csv").write_text("id\n1\n")
    assert sf.read_csv(tmp_path, filesystem=LocalFileSystem()).count() == 3
    for fs, folder in (Torn(), str(tmp_path)), (DirFileSystem(str(tmp_path), Torn()), ""):
        with pytest.raises(sf.errors.StoreError, match="the link is torn"):
            sf.read_csv(folder, filesystem=fs)


def test_a_file_of_which_nobody_knows_is_not_created_anew(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.json").write_bytes(b"first")
    store = _filesystem.Filesystem(Torn(), "/")
    with pytest.raises(OSError, match="the link is torn"):
        store.create(str(tmp_path / "one.json").lstrip("/"), b"second")
    assert (tmp_path / "one.json").read_bytes() == b"first"


@pytest.mark.parametrize(("call", "after"), [("write", 0), ("write", 2), ("create", 0), ("create", 1)])
def test_writes_that_fail_leave_no_rows(call: str, after: int, tmp_path: pathlib.Path) -> None:
    fs = Faulty(call, OSError("the disk is tired"), after=after)
    rows = sf.range(ROWS).repartition(rows=10_000)
    with pytest.raises(sf.errors.StoreError, match="OSError: the disk is tired"):
        rows.write_parquet(tmp_path / "out", filesystem=fs)
    with pytest.raises(sf.errors.MissingFileError):
        sf.read_parquet(tmp_path / "out", filesystem=LocalFileSystem())
    sf.range(3).write_parquet(tmp_path / "out", filesystem=LocalFileSystem())
    assert ids(sf.read_parquet(tmp_path / "out")) == [0, 1, 2], "what is left is not read"


def test_a_file_system_that_hangs_is_told(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sf.range(3).write_csv(tmp_path / "x.csv")
    monkeypatch.setattr(_filesystem, "CALL_SECONDS", 0.3)
    started = time.monotonic()
    with pytest.raises(sf.errors.StoreError, match=r"faulty: reading .*x\.csv took longer than 0\.3 s"):
        sf.read_csv(tmp_path / "x.csv", filesystem=Faulty("read", waits=2)).collect()
    assert time.monotonic() - started < 2


def test_a_program_may_end_while_a_call_runs(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.csv").write_text("id\n1\n")
    program = f"""
import time
import sheaf as sf
from sheaf import _filesystem
from fsspec.implementations.local import LocalFileSystem

class Slow(LocalFileSystem):
    def cat_file(self, *args, **kwargs):
        time.sleep(1)
        return super().cat_file(*args, **kwargs)

_filesystem.CALL_SECONDS = 0.2
try:
    sf.read_csv({str(tmp_path / "x.csv")!r}, filesystem=Slow())
except sf.errors.StoreError as error:
    print("told")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "told\n", "")


def test_two_writers_do_not_both_create(place: tuple[Any, str]) -> None:
    fs, folder = place
    store = _filesystem.Filesystem(_filesystem._of_fsspec(fs), "/" if folder[0] == "/" else "")
    path = f"{folder}/deep/manifest.json".lstrip("/")
    store.create(path, b"first")
    with pytest.raises(FileExistsError):
        store.create(path, b"second")
    assert store.read(path, 0, 5) == b"first"


def test_of_many_writers_at_once_one_creates(tmp_path: pathlib.Path) -> None:
    for fs in (LocalFileSystem(), DirFileSystem("/", LocalFileSystem())):
        store = _filesystem.Filesystem(fs, "/")
        path = str(tmp_path / fs.protocol[0] / "manifest.json").lstrip("/")

        def create(writer: int, store: _filesystem.Filesystem = store, path: str = path) -> bool:
            try:
                store.create(path, b"%d" % writer)
            except FileExistsError:
                return False
            return True

        with ThreadPoolExecutor(8) as threads:
            created = list(threads.map(create, range(8)))
        assert created.count(True) == 1
        assert store.read(path, 0, 1) == b"%d" % created.index(True)


def test_the_same_file_system_has_one_url() -> None:
    memory, other = fsspec.filesystem("memory"), Faulty()
    with sf.Session() as session:
        urls = [_filesystem.urls(session._inner, fs, ["/a/x", "/b/"]) for fs in (memory, other, memory)]
    assert urls[0] == urls[2] == ["filesystem://memory-1/a/x", "filesystem://memory-1/b/"]
    assert urls[1] == ["filesystem://faulty-1/a/x", "filesystem://faulty-1/b/"]


def test_programs_of_ray_give_file_systems_too(tmp_path: pathlib.Path) -> None:
    fs = DirFileSystem(str(tmp_path), LocalFileSystem())
    for _ in range(2):
        sf.data.range(3).write_parquet("rows", filesystem=fs)
    assert sf.data.read_parquet("rows", filesystem=fs).count() == 6


def test_what_is_no_file_system_is_told() -> None:
    with pytest.raises(sf.errors.InvalidInputError, match="no file system of fsspec"):
        sf.read_csv("x.csv", filesystem="memory")
    with pytest.raises(sf.errors.InvalidInputError, match="no storage options"):
        sf.read_csv("/x.csv", filesystem=fsspec.filesystem("memory"), storage_options={"anon": "true"})
    with pytest.raises(sf.errors.MissingFileError, match="filesystem= again"):
        sf.read_csv("filesystem://memory-99/x.csv")


def test_hdfs_says_what_is_missing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HADOOP_HOME", "ARROW_LIBHDFS_DIR", "JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for read in (
        lambda: sf.read_csv("hdfs://host:8020/a/b.csv"),
        lambda: sf.sql("SELECT * FROM 'hdfs:///a/b.csv'").collect(),
        lambda: sf.range(3).write_csv("hdfs://host/b.csv"),
    ):
        with pytest.raises(sf.errors.UnsupportedError, match=r"(?s)HDFS at .*cannot be opened.*HADOOP_HOME"):
            read()


def test_hdfs_is_opened_as_its_url_says(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.csv").write_text("id\n1\n")
    asked = []

    def opened(**given: Any) -> Any:
        asked.append(given)
        return DirFileSystem(str(tmp_path), LocalFileSystem())

    # In the place of a Hadoop, of which there is one in test_hdfs.py.
    monkeypatch.setattr("fsspec.implementations.arrow.HadoopFileSystem", opened)
    with sf.Session() as session:
        options = {"kerb_ticket": os.devnull, "replication": "2", "dfs.blocksize": "1048576"}
        read = session.read_csv("hdfs://me@host:8020/b.csv", storage_options=options)
        assert read.to_pydict() == {"id": [1]}
    [given] = asked
    assert given.pop("extra_conf") == {"dfs.blocksize": "1048576"}
    assert given == {"kerb_ticket": os.devnull, "host": "host", "user": "me", "port": 8020, "replication": 2}
