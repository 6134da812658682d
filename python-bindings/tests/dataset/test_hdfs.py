"""HDFS of a Hadoop that runs: ``hdfs://`` and PyArrow (libhdfs), WebHDFS, hdfs-native; and a NameNode that dies.

libhdfs makes a Java of the process that calls it, so that all but the watching is done in another one.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import hadoop
import pyarrow as pa
import pytest
from hadoop import WAYS, Hadoop, Place

import sheaf as sf
from sheaf import _filesystem, _fsspec

pytest.importorskip("fsspec")

ROWS = 50_000
# An answer that does not come is waited for as long as the client of the way does, which is some tens of seconds.
LIMIT_SECONDS = 240


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    with hadoop.running(tmp_path_factory.mktemp("hadoop")) as running:
        yield running


def set_environment(variables: dict[str, str]) -> None:
    os.environ.update(variables)


@pytest.fixture(scope="module")
def pool(cluster: Hadoop) -> Iterator[ProcessPoolExecutor]:
    """The process in which Java is."""
    pool = ProcessPoolExecutor(1, get_context("spawn"), set_environment, (cluster.environment(),))
    with pool:
        yield pool


@pytest.fixture(params=list(WAYS))
def place(request: pytest.FixtureRequest, cluster: Hadoop) -> Place:
    """A folder that nobody has used, reached in each of the ways."""
    hadoop.skip_without(request.param)
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    return Place(request.param, cluster.port, f"/tests/{name}")


Inside = Callable[..., Any]


@pytest.fixture
def inside(pool: ProcessPoolExecutor) -> Inside:
    """Runs a function in the process in which Java is."""
    return lambda check, *arguments: pool.submit(check, *arguments).result(LIMIT_SECONDS)


def ids(dataset: sf.Dataset) -> list[int]:
    return sorted(dataset.to_pydict()["id"])


def slowly(batch: pa.RecordBatch) -> pa.RecordBatch:
    time.sleep(0.05)
    return batch


def write_and_read(at: Place) -> None:
    rows = sf.range(ROWS).with_column("kind", sf.col("id") % 3)
    assert rows.write_parquet(at / "table", **at.given).rows == ROWS
    assert ids(sf.read_parquet(at / "table", **at.given)) == list(range(ROWS))
    rows.write_csv(at / "deep/one file #1.csv", **at.given)
    assert ids(sf.read_csv(at / "deep/one file #1.csv", **at.given)) == list(range(ROWS))
    assert sf.read_csv(at / "d*p/*#?.csv", parallelism=3, **at.given).sum("id") == sum(range(ROWS))
    rows.write_ipc(at / "kinds/", partition_by="kind", **at.given)
    kinds = sf.read_ipc(at / "kinds", include_file_paths="file", **at.given)
    assert kinds.filter(sf.col("kind") == 1).count() == len(range(1, ROWS, 3))
    assert all("/kinds/kind=" in file for file in kinds.unique("file"))
    sf.range(0).write_parquet(at / "nothing", **at.given)
    assert sf.read_parquet(at / "nothing", **at.given).count() == 0


def test_what_is_written_is_read(place: Place, inside: Inside) -> None:
    inside(write_and_read, place)


def replace_append_and_refuse(at: Place) -> None:
    sf.range(10).write_parquet(at / "rows", **at.given)
    with pytest.raises(sf.errors.ExistsError):
        sf.range(10).write_parquet(at / "rows", **at.given)
    sf.range(10, 20).write_parquet(at / "rows", mode="append", **at.given)
    assert ids(sf.read_parquet(at / "rows", **at.given)) == list(range(20))
    sf.range(5).write_parquet(at / "rows", mode="overwrite", **at.given)
    assert ids(sf.read_parquet(at / "rows", **at.given)) == list(range(5))
    sf.range(9).write_parquet(at / "rows", mode="ignore", **at.given)
    assert ids(sf.read_parquet(at / "rows", **at.given)) == list(range(5))
    sf.range(3).write_csv(at / "one.csv", **at.given)
    read = sf.read_csv(at / "one.csv", **at.given)
    assert ids(read) == list(range(3))
    with pytest.raises(sf.errors.ExistsError):
        sf.range(3).write_csv(at / "one.csv", **at.given)
    sf.range(4).write_csv(at / "one.csv", mode="overwrite", **at.given)
    assert ids(read) == list(range(4)), "a file that changes is read anew"


def test_writes_replace_append_and_refuse(place: Place, inside: Inside, cluster: Hadoop) -> None:
    inside(replace_append_and_refuse, place)
    assert sorted(cluster.names(place.folder)) == ["one.csv", "rows"], "nothing else is left"
    assert len(cluster.names(f"{place.folder}/rows")) == 2, "a manifest's folder, and the one file that counts"
    assert len(cluster.names(f"{place.folder}/rows/_sheaf")) == 1


def read_a_row_group(at: Place) -> None:
    columns = {"id": sf.col("id"), "noise": sf.col("id") * 7_919 % 1_000_003}
    rows = sf.range(400_000).select(**columns)
    size = rows.write_parquet(at / "x.parquet", row_group_rows=20_000, **at.given).bytes
    read: list[int] = []
    reading = _fsspec.Filesystem.read

    def counted(self: _fsspec.Filesystem, path: str, start: int, end: int) -> bytes:
        read.append(end - start)
        return reading(self, path, start, end)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_fsspec.Filesystem, "read", counted)
        found = sf.read_parquet(at / "x.parquet", **at.given).filter(sf.col("id") == 123_456)
        assert found.to_pydict() == {"id": [123_456], "noise": [123_456 * 7_919 % 1_000_003]}
    assert 0 < sum(read) < size / 5


def test_only_row_groups_that_may_match_are_read(place: Place, inside: Inside) -> None:
    inside(read_a_row_group, place)


def write_a_large_file(at: Place) -> None:
    rows = sf.range(1_500_000).with_column("other", sf.col("id") * 7_919 % 1_000_003)
    assert rows.write_ipc(at / "big.arrow", **at.given).bytes > 20_000_000
    assert sf.read_ipc(at / "big.arrow", **at.given).sum("id") == sum(range(1_500_000))


def test_files_of_many_parts(place: Place, inside: Inside, cluster: Hadoop) -> None:
    inside(write_a_large_file, place)
    assert cluster.names(place.folder) == ["big.arrow"]


def ask_for_what_is_not_there(at: Place) -> None:
    sf.range(3).write_csv(at / "folder/x.csv", **at.given)
    for path in ("nowhere.csv", "folder/nowhere.csv", "folder/*.tsv", "folder/x.csv/deeper.csv", "nowhere/"):
        with pytest.raises(sf.errors.MissingFileError, match=r"nowhere|\.tsv|deeper"):
            sf.read_csv(at / path, **at.given)


def test_what_is_not_there_is_told(place: Place, inside: Inside) -> None:
    inside(ask_for_what_is_not_there, place)


def create_at_once(at: Place) -> None:
    store: _fsspec.Filesystem
    if at.way == "url":
        store = _filesystem.open_hdfs("127.0.0.1", at.port, None, {})
    else:
        root = "" if at.way.startswith("folder") else "/"
        store = _filesystem._store(_filesystem._of_fsspec(at.given["filesystem"]), root)
    folder = "" if at.way.startswith("folder") else at.folder.strip("/") + "/"
    for number in range(5):
        path = f"{folder}t/_sheaf/{number}.json"

        def create(writer: int, path: str = path) -> bool:
            try:
                store.create(path, b"%d" % writer * 100)
            except FileExistsError:
                return False
            return True

        with ThreadPoolExecutor(8) as threads:
            created = list(threads.map(create, range(8)))
        assert created.count(True) == 1
        assert store.read(path, 0, 100) == b"%d" % created.index(True) * 100
    assert len(store.files(f"{folder}t")) == 5
    with pytest.raises(FileNotFoundError):
        store.info(f"{folder}t/_sheaf")
    store.copy(f"{folder}t/_sheaf/0.json", f"{folder}t/_sheaf/1.json")
    assert store.read(f"{folder}t/_sheaf/1.json", 0, 100) == store.read(f"{folder}t/_sheaf/0.json", 0, 100)


def test_of_many_writers_at_once_one_creates(place: Place, inside: Inside, cluster: Hadoop) -> None:
    inside(create_at_once, place)
    assert cluster.names(f"{place.folder}/t") == ["_sheaf"]
    assert sorted(cluster.names(f"{place.folder}/t/_sheaf")) == [f"{number}.json" for number in range(5)]


def append_at_once(at: Place) -> None:
    def append(part: int) -> None:
        sf.range(part * 10, part * 10 + 10).write_parquet(at / "rows", mode="append", **at.given)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(append, range(6)))
    assert ids(sf.read_parquet(at / "rows", **at.given)) == list(range(60))


def test_writers_at_once_lose_nothing(place: Place, inside: Inside) -> None:
    inside(append_at_once, place)


def be_somebody_else(at: Place) -> None:
    import fsspec

    stranger = fsspec.filesystem("webhdfs", host="127.0.0.1", port=at.port + 1, user="a-stranger")
    with pytest.raises(sf.errors.PermissionDeniedError, match="a-stranger"):
        sf.range(3).write_csv(f"{at.folder}/x.csv", filesystem=stranger)
    with pytest.raises(sf.errors.PermissionDeniedError, match="a-stranger"):
        sf.range(3).write_csv(f"hdfs://a-stranger@127.0.0.1:{at.port}{at.folder}/x.csv")


def test_what_hadoop_forbids_is_told(cluster: Hadoop, inside: Inside) -> None:
    hadoop.skip_without("webhdfs")
    inside(be_somebody_else, Place("webhdfs", cluster.port, "/tests"))


def read_by_sql(at: Place) -> None:
    sf.range(100).write_parquet(at / "rows", storage_options={"replication": "1", "dfs.blocksize": "1048576"})
    table = at / "rows"
    assert sf.sql(f"SELECT sum(id) AS total FROM '{table}'").to_pydict() == {"total": [sum(range(100))]}
    with pytest.raises(sf.errors.SheafError, match="the option replication of hdfs:// is a number, not 'two'"):
        sf.read_parquet(table, storage_options={"replication": "two"})


def test_sql_reads_urls_and_options_are_hadoops(cluster: Hadoop, inside: Inside) -> None:
    inside(read_by_sql, Place("url", cluster.port, "/tests/sql"))


def hear_of_an_interrupt(at: Place) -> None:
    sf.range(3).write_csv(at / "x.csv", **at.given)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_java_leaves_ctrl_c_to_python(cluster: Hadoop) -> None:
    with ProcessPoolExecutor(1, get_context("spawn"), set_environment, (cluster.environment(),)) as alone:
        alone.submit(hear_of_an_interrupt, Place("url", cluster.port, "/tests/interrupt")).result(LIMIT_SECONDS)


JOB = """
import sys, time
import sheaf as sf
from hadoop import Place

at = Place(sys.argv[1], int(sys.argv[2]), sys.argv[3])

def slow(batch):
    time.sleep(0.03)
    return batch

session = sf.Session(threads=2)
sales = session.read_parquet(at / "sales", **at.given).map_batches(slow, 250)
sums = sales.groupby("k").agg(total=sf.col("id").sum(), rows=sf.col("id").count())
print(sums.map_batches(slow, 10).sort("total").write_parquet(at / "out", job="sums", **at.given).rows)
"""


def prepare_job(at: Place) -> None:
    sf.range(2_000).with_column("k", sf.col("id") * 7 % 90).repartition(4).write_parquet(at / "sales", **at.given)


def check_job(at: Place) -> None:
    found = sf.read_parquet(at / "out", **at.given).sort("k").to_pydict()
    expected = [[id_ for id_ in range(2_000) if id_ * 7 % 90 == k] for k in range(90)]
    assert found["rows"] == [len(ids) for ids in expected]
    assert found["total"] == [sum(ids) for ids in expected]


def test_a_killed_job_goes_on(place: Place, inside: Inside, cluster: Hadoop, tmp_path: Path) -> None:
    inside(prepare_job, place)
    program = tmp_path / "job.py"
    program.write_text(JOB)
    command = [sys.executable, str(program), place.way, str(place.port), place.folder]
    paths = os.pathsep.join([str(Path(hadoop.__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, **cluster.environment(), "PYTHONPATH": paths}
    recorded = f"{place.folder}/out/_sheaf_jobs/sums"
    for files in (3, 6):
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            hadoop.await_(lambda files=files: len(cluster.names(recorded)) >= files, LIMIT_SECONDS)
            assert child.poll() is None, "it was too fast to be killed"
            child.kill()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    assert (done.returncode, done.stdout) == (0, "90\n"), done.stderr
    inside(check_job, place)
    assert sorted(cluster.names(recorded)) == ["done.json", "job.json"]


def bound_calls(at: Place) -> None:
    """hdfs-native tries on and on: what ends it is the bound of all calls."""
    if at.way == "native":
        _filesystem.CALL_SECONDS = 3


def skip_what_tries_on(at: Place) -> None:
    if at.way == "native":
        pytest.skip("hdfs-native tries each call for the 300 s that it may take")


def find_nobody(at: Place) -> float:
    """Asks where nobody listens, and tells how long that took."""
    bound_calls(at)
    began = time.monotonic()
    for ask in (
        lambda: sf.read_csv(at / "x.csv", **at.given),
        lambda: sf.read_parquet(at / "folder/", **at.given),
        lambda: sf.range(3).write_csv(at / "x.csv", **at.given),
        lambda: sf.range(3).write_parquet(at / "folder", **at.given),
    ):
        with pytest.raises(sf.errors.StoreError, match=r"does not answer|Connection refused|took longer than 3 s"):
            ask()
    return time.monotonic() - began


def test_a_name_node_that_is_not_there_is_told(place: Place, cluster: Hadoop) -> None:
    nobody = Place(place.way, hadoop.free_ports(), place.folder)
    # What hangs stays in a process of its own.
    with ProcessPoolExecutor(1, get_context("spawn"), set_environment, (cluster.environment(),)) as alone:
        assert alone.submit(find_nobody, nobody).result(LIMIT_SECONDS) < LIMIT_SECONDS


def write_when_it_dies(at: Place, what: str, mode: str) -> tuple[str, str, float]:
    """Writes for some seconds; the kind and text of the error, and when it came."""
    text = sf.lit("x" * 200)
    rows = sf.range(100_000).with_column("text", text).map_batches(slowly, 1_000)
    try:
        if what == "file":
            rows.write_csv(at / "out.csv", mode=mode, **at.given)
        else:
            rows.repartition(rows=10_000).write_parquet(at / "out", mode=mode, **at.given)
    except sf.errors.SheafError as error:
        return type(error).__name__, str(error), time.time()
    return "none", "", time.time()


def killed(writing: Future[tuple[str, str, float]], cluster: Hadoop, begun: Callable[[], bool]) -> None:
    """Kills the NameNode when the write has begun, and starts it again when the write has ended."""
    hadoop.await_(begun, 60)
    assert not writing.done()
    cluster.kill_name_node()
    at = time.time()
    try:
        kind, text, ended = writing.result(LIMIT_SECONDS)
    finally:
        cluster.start()
    assert kind == "StoreError", text
    assert "out" in text
    assert ended - at < LIMIT_SECONDS


def write_first(at: Place) -> None:
    sf.range(10).write_parquet(at / "out", **at.given)
    sf.range(10).write_csv(at / "out.csv", **at.given)


def check_first(at: Place) -> None:
    assert ids(sf.read_parquet(at / "out", **at.given)) == list(range(10))
    assert ids(sf.read_csv(at / "out.csv", **at.given)) == list(range(10))
    sf.range(20).write_parquet(at / "out", mode="overwrite", **at.given)
    assert ids(sf.read_parquet(at / "out", **at.given)) == list(range(20))


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_name_node_that_dies_in_a_write_leaves_the_old_rows(
    what: str, place: Place, inside: Inside, pool: ProcessPoolExecutor, cluster: Hadoop
) -> None:
    skip_what_tries_on(place)
    inside(write_first, place)
    writing = pool.submit(write_when_it_dies, place, what, "overwrite")

    def begun() -> bool:
        if what == "file":
            return any(name.startswith(".out.csv.") for name in cluster.names(place.folder))
        return len(cluster.names(f"{place.folder}/out")) > 3

    killed(writing, cluster, begun)
    inside(check_first, place)


def find_nothing(at: Place) -> None:
    with pytest.raises(sf.errors.MissingFileError):
        sf.read_parquet(at / "out", **at.given)
    sf.range(3).write_parquet(at / "out", **at.given)
    assert ids(sf.read_parquet(at / "out", **at.given)) == [0, 1, 2], "what is left is not read"


def test_a_first_write_in_which_the_name_node_dies_leaves_no_rows(
    place: Place, inside: Inside, pool: ProcessPoolExecutor, cluster: Hadoop
) -> None:
    skip_what_tries_on(place)
    writing = pool.submit(write_when_it_dies, place, "folder", "error")
    killed(writing, cluster, lambda: len(cluster.names(f"{place.folder}/out")) > 2)
    inside(find_nothing, place)
