"""Epochs that are computed once and replayed from a folder."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sheaf as sf

ROWS = 20_000


@pytest.fixture(scope="module")
def session() -> Iterator[sf.Session]:
    with sf.Session(threads=3, batch_size=500) as session:
        yield session


class Double:
    """Doubles the ids, and counts the calls that had rows."""

    def __init__(self) -> None:
        self.calls = self.rows = 0

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        self.calls += batch.num_rows > 0
        self.rows += batch.num_rows
        return batch.append_column("twice", pa.array([2 * row for row in batch.column("id").to_pylist()]))

    def __reduce__(self) -> tuple[Any, ...]:
        # The count is no part of what the function is.
        return Double, ()


def ids(feed: Any, *how: Any) -> list[int]:
    return [row for batch in feed.iter_batches(*how) for row in batch.column("id").to_pylist()]


def files(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


def attempts(folder: Path) -> set[str]:
    return {name.split("-")[1].removesuffix(".lock") for name in files(folder) if "-" in name}


def test_the_first_epoch_is_computed_and_the_others_are_replayed(session: sf.Session, tmp_path: Path) -> None:
    double = Double()
    rows = session.range(ROWS).map_batches(double).cache_epochs(tmp_path / "cache")
    assert "RecordEpochExec" in rows.explain()
    assert "MapBatchesExec" in rows.explain().split("== Physical ==")[1], "what runs is told"
    assert files(tmp_path / "cache") == [], "nothing has run"
    feed = rows.iterator()
    assert ids(feed) == list(range(ROWS))
    calls = double.calls
    assert calls > 1
    assert "ReplayEpochExec" in rows.explain()
    for _ in range(2):
        assert ids(feed) == list(range(ROWS))
    assert rows.to_arrow().column("twice").to_pylist() == [2 * row for row in range(ROWS)]
    assert double.calls == calls
    assert len(attempts(tmp_path / "cache")) == 1
    with sf.Session(threads=1) as other:
        # The same plan in another session.
        again = other.range(ROWS).map_batches(double).cache_epochs(tmp_path / "cache")
        calls = double.calls
        assert ids(again.iterator()) == list(range(ROWS))
    assert double.calls == calls


def test_the_first_epoch_streams(session: sf.Session, tmp_path: Path) -> None:
    double = Double()
    rows = session.range(ROWS).map_batches(double, batch_size=100).cache_epochs(tmp_path)
    looked = double.rows
    batches = rows.iterator().iter_batches(100)
    assert next(batches).num_rows == 100
    assert double.calls < ROWS / 100 / 2, "what has been computed by then is a small part"
    assert sum(batch.num_rows for batch in batches) == ROWS - 100
    assert double.rows - looked == ROWS


@pytest.mark.parametrize("how", ["left", "failed", "limited"])
def test_a_run_that_is_not_read_to_its_end_leaves_no_cache(session: sf.Session, tmp_path: Path, how: str) -> None:
    def fails(batch: pa.RecordBatch) -> pa.RecordBatch:
        if how == "failed" and ROWS - 1 in batch.column("id").to_pylist():
            raise ValueError("the last row")
        return batch

    rows = session.range(ROWS).map_batches(fails, batch_size=100).cache_epochs(tmp_path)
    if how == "left":
        batches = rows.iterator().iter_batches(100)
        next(batches)
        del batches
    elif how == "failed":
        with pytest.raises(sf.UserFunctionError, match="the last row"):
            ids(rows.iterator())
    else:
        assert rows.limit(1000).count() == 1000
    deadline = time.monotonic() + 10
    while files(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert files(tmp_path) == []
    assert "RecordEpochExec" in rows.explain()


PROGRAM = """
import os, sys, time
import sheaf as sf

def slow(batch):
    # No value of the program: with another one the plan would be another.
    time.sleep(float(os.environ["DELAY"]) if batch.num_rows else 0)
    return batch

with sf.Session(threads=2, batch_size=500) as session:
    ids = session.range(20_000)
    # Without a schema the function would be called when the plan is made.
    rows = ids.map_batches(slow, batch_size=500, schema=ids.schema).cache_epochs(sys.argv[1])
    read = 0
    for batch in rows.iterator().iter_batches(500):
        assert batch.column("id").to_pylist() == list(range(read, read + 500))
        read += 500
        print(read, flush=True)
    assert read == 20_000
"""


def program(folder: Path, delay: float) -> subprocess.Popen[str]:
    arguments, env = [sys.executable, "-c", PROGRAM, str(folder)], {**os.environ, "DELAY": str(delay)}
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=env)


def test_a_run_that_is_killed_begins_anew_and_leaves_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        killed = program(tmp_path, 0.02)
        assert killed.stdout is not None
        for line in killed.stdout:
            if int(line) >= 5000:
                break
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        killed.stdout.close()
        assert len(attempts(tmp_path)) == 1, "the second has removed what the first left, and left its own"
        assert "epochs.json" not in files(tmp_path)
    whole = program(tmp_path, 0)
    assert whole.communicate()[0].split()[-1] == "20000"
    assert whole.returncode == 0
    assert len(attempts(tmp_path)) == 1
    assert not [name for name in files(tmp_path) if "#" in name]
    # What is replayed takes no time.
    again = program(tmp_path, 60)
    assert again.communicate(timeout=50)[0].split()[-1] == "20000"
    assert again.returncode == 0


LARGE = """
import resource, sys
import sheaf as sf

folder, most_file_bytes = sys.argv[1], int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (most_file_bytes, most_file_bytes))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

with sf.Session(threads=2, memory_limit="64MB", progress="off") as session:
    rows = session.range(40_000_000).with_column("x", sf.col("id") * 7).cache_epochs(folder)
    before = peak()
    for epoch in range(2):
        try:
            print(sum(batch.num_rows for batch in rows.iterator().iter_batches()), (peak() - before) >> 20, flush=True)
        except sf.errors.SheafError as error:
            sys.exit(str(error))
"""


def test_an_epoch_larger_than_memory_is_cached_in_little(tmp_path: Path) -> None:
    # 640 MB as they are, under a limit of 64.
    made = subprocess.run(
        [sys.executable, "-c", LARGE, str(tmp_path), str(1 << 40)], capture_output=True, text=True, check=True
    )
    for line in made.stdout.splitlines():
        rows, grown = map(int, line.split())
        assert rows == 40_000_000
        assert grown < 200, "MiB"
    assert len(made.stdout.splitlines()) == 2


def test_a_disk_that_takes_no_more_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    failed = subprocess.run(
        [sys.executable, "-c", LARGE, str(tmp_path), str(4 << 20)], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert f"caching an epoch in {tmp_path}" in failed.stderr, failed.stderr
    assert "File too large" in failed.stderr, failed.stderr
    assert files(tmp_path) == []


def test_processes_that_record_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    running = [program(tmp_path, delay) for delay in (0.01, 0.02, 0.015)]
    said = [process.communicate()[0].split() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert all(lines[-1] == "20000" and len(lines) == 40 for lines in said)
    assert len(attempts(tmp_path)) == 1, files(tmp_path)


def test_other_plans_and_inputs_are_told_apart(session: sf.Session, tmp_path: Path) -> None:
    cache, file = tmp_path / "cache", tmp_path / "rows.parquet"
    pq.write_table(pa.table({"id": range(100)}), file)

    def rows() -> sf.Dataset:
        return session.read_parquet(file).filter(sf.col("id") % 2 == 0)

    assert ids(rows().cache_epochs(cache).iterator()) == list(range(0, 100, 2))
    old = rows().cache_epochs(cache)
    reading = old.iterator().iter_rows()
    assert next(reading) == {"id": 0}
    with pytest.raises(sf.ExistsError, match="holds the epochs of another plan, or of other inputs") as told:
        session.read_parquet(file).cache_epochs(cache)
    assert "overwrite" in str(told.value.hint)
    pq.write_table(pa.table({"id": range(200)}), file)
    with pytest.raises(sf.ExistsError, match="another plan"):
        rows().cache_epochs(cache)
    before = attempts(cache)
    new = rows().cache_epochs(cache, overwrite=True)
    assert attempts(cache) == before, "nothing is replaced before the new rows are whole"
    assert new.limit(1).count() == 1
    assert ids(old.iterator()) == list(range(0, 100, 2))
    assert ids(new.iterator()) == list(range(0, 200, 2))
    assert "ReplayEpochExec" in new.explain()
    # Whoever reads what was replaced reads on; whoever begins is told.
    assert [row["id"] for row in reading] == list(range(2, 100, 2))
    with pytest.raises(sf.ExistsError, match="another plan"):
        ids(old.iterator())


def test_rows_in_memory_are_told_apart(session: sf.Session, tmp_path: Path) -> None:
    assert session.from_pydict({"id": [1, 2]}).cache_epochs(tmp_path).count() == 2
    assert session.from_pydict({"id": [1, 2]}).cache_epochs(tmp_path).count() == 2
    with pytest.raises(sf.ExistsError, match="another plan"):
        session.from_pydict({"id": [1, 3]}).cache_epochs(tmp_path)


def test_what_the_cache_stands_on_is_not_needed_any_more(session: sf.Session, tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"id": range(100)}), file)
    rows = session.read_parquet(file).cache_epochs(tmp_path / "cache")
    assert rows.count() == 100
    file.unlink()
    assert ids(rows.iterator()) == list(range(100))


def test_folders_that_are_no_cache_are_left_alone(session: sf.Session, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")
    for overwrite in (False, True):
        with pytest.raises(sf.ExistsError, match=r"is no cache of epochs: it holds thesis\.tex"):
            session.range(3).cache_epochs(tmp_path, overwrite=overwrite)
    with pytest.raises(sf.InvalidInputError, match="cached in a folder of this machine") as told:
        session.range(3).cache_epochs("s3://bucket/cache")
    assert "checkpoint" in str(told.value.hint)
    with pytest.raises(sf.InvalidInputError, match="a folder of this machine"):
        session.range(3).cache_epochs(str(tmp_path / "*"))
    assert files(tmp_path) == ["thesis.tex"]


TABLES: dict[str, Callable[[], pa.Table]] = {
    "nulls": lambda: pa.table({"id": [1, None, 3], "text": [None, "a", "é"], "nothing": pa.nulls(3)}),
    "nested": lambda: pa.table({"list": [[1], None, []], "struct": [{"a": 1}, None, {"a": None}]}),
    "dictionary": lambda: pa.table({"kind": pa.array(["a", "b", "a", None]).dictionary_encode()}),
    "views": lambda: pa.table({"text": pa.array([f"row {n} is a long text" for n in range(5000)], pa.string_view())}),
    "empty": lambda: pa.table({"id": pa.array([], pa.int64())}),
}


@pytest.mark.parametrize("name", TABLES)
def test_rows_of_any_type_are_replayed_as_they_were(session: sf.Session, tmp_path: Path, name: str) -> None:
    table = TABLES[name]()
    rows = session.from_arrow(table).cache_epochs(tmp_path)
    first = rows.to_arrow()
    assert "ReplayEpochExec" in rows.explain()
    second = rows.to_arrow()
    assert first.schema == second.schema
    assert first.to_pylist() == second.to_pylist() == table.to_pylist()


def test_plans_go_on_from_a_cache(session: sf.Session, tmp_path: Path) -> None:
    double = Double()
    cached = session.range(ROWS).map_batches(double).cache_epochs(tmp_path)
    both = cached.union(cached.select("id", twice=sf.col("id") * 3))
    assert both.groupby(sf.col("id") % 2).agg(sum=sf.col("twice").sum()).count() == 2
    calls = double.calls
    assert len(attempts(tmp_path)) == 1, "two scans of one run have recorded the same"
    joined = cached.join(session.range(10), on="id")
    assert sorted(joined.to_pydict()["twice"]) == list(range(0, 20, 2))
    assert cached.filter(sf.col("id") >= ROWS - 3).select("twice").to_pydict()["twice"] == [
        2 * row for row in range(ROWS - 3, ROWS)
    ]
    assert cached.count() == ROWS
    assert double.calls == calls
    inner = cached.filter(sf.col("id") < 10).cache_epochs(tmp_path / "epochs-inner")
    assert ids(inner.iterator()) == ids(inner.iterator()) == list(range(10))


@pytest.mark.parametrize("seed", range(12))
def test_a_state_of_the_first_epoch_goes_on_in_the_cache(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    threads, window = chance.randint(1, 4), chance.choice([None, 50, 700])

    def made(session: sf.Session) -> sf.Dataset:
        rows = session.range(3000).filter(sf.col("id") % 7 != 0)
        if seed % 2:
            # An order by chance: that of the first epoch is kept.
            rows = rows.random_shuffle(seed=seed)
        return rows.cache_epochs(tmp_path)

    with sf.Session(threads=threads, batch_size=64) as session:
        feed = made(session).iterator(seed=seed, local_shuffle_buffer_size=window)
        first, states = [], []
        for row in islice(feed.iter_rows(), 3000):
            first.append(row["id"])
            states.append(feed.state_dict()) if chance.random() < 0.01 else None
            states[-1:] = [dict(states[-1], at=len(first))] if states and "at" not in states[-1] else states[-1:]
        assert sorted(first) == [row for row in range(3000) if row % 7]
    for state in states[:6]:
        with sf.Session(threads=chance.randint(1, 4), batch_size=chance.choice([64, 1000])) as session:
            again = made(session).iterator(local_shuffle_buffer_size=window)
            at = state["at"]
            again.load_state_dict(json.loads(json.dumps({key: state[key] for key in state if key != "at"})))
            assert ids(again, chance.randint(1, 500)) == first[at:], (threads, window, at)


def test_a_state_of_an_epoch_that_was_left_goes_on_before_there_is_a_cache(session: sf.Session, tmp_path: Path) -> None:
    feed = session.range(ROWS).cache_epochs(tmp_path).iterator()
    assert [row["id"] for row in islice(feed.iter_rows(), 15_000)] == list(range(15_000))
    state = feed.state_dict()
    feed = session.range(ROWS).cache_epochs(tmp_path).iterator()
    feed.load_state_dict(state)
    assert ids(feed) == list(range(15_000, ROWS))
    # All of it was computed for that, and so it is there.
    feed = session.range(ROWS).cache_epochs(tmp_path).iterator()
    feed.load_state_dict(state)
    rows = feed._source.dataset  # type: ignore[attr-defined]
    assert ids(feed) == list(range(15_000, ROWS))
    assert "LaterPartitionsExec: first=2" in str(rows.stats()), "partitions that are done are not read"


def test_trainers_share_an_epoch_that_is_cached(session: sf.Session, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    double = Double()
    feeds = session.range(ROWS).map_batches(double).cache_epochs(tmp_path).streaming_split(2)
    calls = []
    for _ in range(3):
        with ThreadPoolExecutor() as trainers:
            got = list(trainers.map(ids, feeds))
        calls.append(double.calls)
        assert sorted(got[0] + got[1]) == list(range(ROWS))
    assert calls[0] == calls[1] == calls[2] > 0
