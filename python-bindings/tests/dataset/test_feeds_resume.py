"""Going on exactly where an iterator was, over several files and threads, in other sessions and processes."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sheaf as sf

FILES = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of different lengths, of several row groups each. ``k`` has few values, in no order."""
    folder = tmp_path_factory.mktemp("files")
    first = 0
    for number in range(FILES):
        rows = 400 * (FILES - number)
        ids = range(first, first + rows)
        table = pa.table({"id": ids, "k": [row * 7919 % 101 for row in ids]})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=150)
        first += rows
    return folder


def read(session: sf.Session, folder: Path) -> sf.Dataset:
    return session.read_parquet(str(folder))


def grouped(session: sf.Session, folder: Path) -> sf.Dataset:
    return read(session, folder).groupby(sf.col("id") % 997).agg(id=sf.col("id").sum())


def joined(session: sf.Session, folder: Path) -> sf.Dataset:
    few = read(session, folder).filter(sf.col("id") % 50 == 0).select("k", other="id")
    return read(session, folder).join(few, on="k", how="left")


# Whether the order of rows is that of the files, so that it depends on nothing else.
PLANS: dict[str, tuple[Callable[[sf.Session, Path], sf.Dataset], bool]] = {
    "files": (read, True),
    "a filter": (lambda session, folder: read(session, folder).filter(sf.col("id") % 3 != 0), True),
    "a function": (lambda session, folder: read(session, folder).map_batches(lambda batch: batch.slice(1)), False),
    "a group": (grouped, False),
    "a join": (joined, False),
    "a sort with equal keys": (lambda session, folder: read(session, folder).sort("k"), False),
    "a shuffle": (lambda session, folder: read(session, folder).random_shuffle(seed=3), False),
    "distinct rows": (lambda session, folder: read(session, folder).select(id=sf.col("id") % 1500).distinct(), False),
}


def ids(batches: Iterable[Any]) -> list[int]:
    return [row for batch in batches for row in batch.column("id").to_pylist()]


@pytest.mark.filterwarnings("ignore:this runs")
@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("seed", range(4))
def test_an_epoch_goes_on_in_sessions_of_other_threads(folder: Path, name: str, seed: int) -> None:
    chance = random.Random(f"{name} {seed}")
    made, is_ordered = PLANS[name]
    window = chance.choice([None, None, 10, 700])

    def feed(session: sf.Session) -> sf.DataIterator:
        return made(session, folder).iterator(seed=seed, local_shuffle_buffer_size=window)

    with sf.Session(threads=chance.randint(2, 4), batch_size=128) as session:
        whole = ids(feed(session).iter_batches())
        if is_ordered and window is None:
            assert whole == sorted(whole)
        state = feed(session).state_dict()
    got: list[int] = []
    while len(got) < len(whole):
        # As after a kill: another session, with as many threads as its machine has.
        with sf.Session(threads=chance.randint(1, 4), batch_size=128) as session:
            at = feed(session)
            at.load_state_dict(json.loads(json.dumps(state)))
            size, stop = chance.choice([None, 1, 37, 500]), chance.randint(1, 12)
            got += ids(islice(at.iter_batches(size), stop))
            assert got == whole[: len(got)], (name, size, stop)
            state = at.state_dict()
    assert got == whole


def test_the_order_is_not_that_of_the_threads(folder: Path) -> None:
    """What the tests above would not see if it did not matter how many partitions there are."""
    orders = set()
    for threads in (2, 3, 4):
        with sf.Session(threads=threads, batch_size=128) as session:
            orders.add(tuple(ids(grouped(session, folder).iterator(seed=1).iter_batches())))
    assert len(orders) == 3
    assert len({frozenset(order) for order in orders}) == 1


def dealt(rows: list[int], trainers: int, block: int) -> list[list[int]]:
    hands: list[list[int]] = [[] for _ in range(trainers)]
    for number, start in enumerate(range(0, len(rows), block)):
        hands[number % trainers].extend(rows[start : start + block])
    return hands


@pytest.mark.parametrize("name", ["files", "a group", "a sort with equal keys"])
@pytest.mark.parametrize("seed", range(4))
def test_trainers_go_on_in_other_numbers(folder: Path, name: str, seed: int) -> None:
    chance = random.Random(f"{name} {seed}")
    made, block = PLANS[name][0], chance.choice([1, 7, 32])
    window = chance.choice([None, 50])

    def split(session: sf.Session, n: int, states: Any) -> list[sf.DataIterator]:
        data = made(session, folder)
        return data.streaming_split(
            n, block_rows=block, seed=seed, local_shuffle_buffer_size=window, resume=states, timeout=30
        )

    def together(feeds: list[sf.DataIterator], batches: int | None) -> list[list[int]]:
        with ThreadPoolExecutor(len(feeds)) as trainers:
            reading = [islice(feed.iter_batches(block, prefetch_batches=0), batches) for feed in feeds]
            return list(trainers.map(ids, reading))

    with sf.Session(threads=3, batch_size=128) as session:
        left = ids(made(session, folder).iterator(seed=seed, local_shuffle_buffer_size=window).iter_batches())
        states = [feed.state_dict() for feed in split(session, 1, None)]
    n = 1
    for _ in range(3):
        before, n = n, chance.randint(1, 4)
        with sf.Session(threads=chance.randint(1, 4), batch_size=128) as session:
            feeds = split(session, n, states)
            parts = together(feeds, chance.randint(1, 5))
            if n != before:
                hands = dealt(left, n, block)
                assert parts == [hand[: len(part)] for hand, part in zip(hands, parts, strict=True)]
            taken = {row for part in parts for row in part}
            left = [row for row in left if row not in taken]
            states = [feed.state_dict() for feed in feeds]
    with sf.Session(threads=2, batch_size=128) as session:
        one = made(session, folder).iterator(local_shuffle_buffer_size=window)
        one.load_state_dict(states)
        assert ids(one.iter_batches()) == left


PROGRAM = """
import json, os, sys, time
import sheaf as sf

folder, state, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
with sf.Session(threads=threads, batch_size=128) as session:
    rows = session.read_parquet(folder)
    few = rows.filter(sf.col("id") % 50 == 0).select("k", other="id")
    feed = rows.join(few, on="k", how="left").iterator(seed=5, local_shuffle_buffer_size=300)
    if os.path.exists(state):
        feed.load_state_dict(json.load(open(state)))
    for batch in feed.iter_batches(50):
        # What is told is what a trainer has done: before it saves where it is, it may be killed.
        json.dump(feed.state_dict(), open(state + ".new", "w"))
        os.replace(state + ".new", state)
        print(json.dumps(batch.column("id").to_pylist()), flush=True)
        time.sleep(0.005)
"""


def test_a_killed_program_goes_on_at_its_last_state(folder: Path, tmp_path: Path) -> None:
    chance = random.Random(11)

    def lines(state: Path, kill_after: int | None) -> Iterator[list[int]]:
        arguments = [sys.executable, "-c", PROGRAM, str(folder), str(state), str(chance.randint(2, 4))]
        program = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=os.environ)
        assert program.stdout is not None
        for number, line in enumerate(program.stdout):
            yield json.loads(line)
            if number == kill_after:
                program.send_signal(signal.SIGKILL)
                break
        # What was told before the kill came.
        yield from (json.loads(line) for line in program.stdout if line.endswith("\n"))
        program.wait()
        program.stdout.close()
        assert program.returncode in (0, -signal.SIGKILL)

    # The first to begin says for how many partitions the plan is.
    with sf.Session(threads=3, batch_size=128) as session:
        feed = joined(session, folder).iterator(seed=5, local_shuffle_buffer_size=300)
        state = tmp_path / "state.json"
        state.write_text(json.dumps(feed.state_dict()))
        whole = [batch.column("id").to_pylist() for batch in feed.iter_batches(50)]
    got: list[list[int]] = []
    for _ in range(4):
        got += lines(state, chance.randint(3, 15))
        # A batch whose state was saved may not have been told.
        done = json.loads(state.read_text())["taken"] // 50
        got += whole[len(got) : done]
        assert got == whole[:done]
    got += lines(state, None)
    assert got == whole
