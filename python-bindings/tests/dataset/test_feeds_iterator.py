"""Iterators of one trainer: batches, orders by seed and epoch, and going on at any row."""

import json
import pickle
import random
import time
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sheaf as sf


@pytest.fixture(scope="module")
def session() -> Iterator[sf.Session]:
    with sf.Session(threads=1, batch_size=100) as session:
        yield session


def ids(feed: Any, **how: Any) -> list[int]:
    return [row for batch in feed.iter_batches(**how) for row in batch.column("id").to_pylist()]


def test_batches_have_the_size_asked_for_and_the_rows_in_order(session: sf.Session) -> None:
    rows = session.range(1050)
    for size in (1, 7, 100, 333, 5000):
        batches = [batch.column("id").to_pylist() for batch in rows.iter_batches(size)]
        assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1), size
        assert [row for batch in batches for row in batch] == list(range(1050)), size
    assert sum(batch.num_rows for batch in rows.iter_batches()) == 1050
    assert [batch.num_rows for batch in rows.iter_batches(500, drop_last=True)] == [500, 500]
    assert list(session.range(0).iter_batches(3)) == []
    assert [batch["id"].dtype for batch in rows.iter_batches(1000, "numpy")] == [np.int64, np.int64]


def test_batches_of_any_type_are_cut_and_shuffled(session: sf.Session) -> None:
    table = pa.table(
        {
            "text": [f"row {row} is long enough for a view" if row % 3 else None for row in range(500)],
            "list": [list(range(row % 5)) or None for row in range(500)],
            "struct": [{"a": row, "b": str(row)} for row in range(500)],
            "category": pa.array([str(row % 7) for row in range(500)]).dictionary_encode(),
            "matrix": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(1000.0)), 2),
        }
    )
    rows = session.from_arrow(table)
    got = pa.Table.from_batches(rows.iter_batches(33))
    assert got.to_pylist() == table.to_pylist()
    shuffled = pa.Table.from_batches(rows.iter_batches(33, local_shuffle_buffer_size=80, local_shuffle_seed=1))
    assert shuffled.schema == got.schema
    order = [row["struct"]["a"] for row in shuffled.to_pylist()]
    assert shuffled.to_pylist() == [table.slice(row, 1).to_pylist()[0] for row in order]
    assert sorted(order) == list(range(500)) != order


def test_local_shuffles_are_a_function_of_seed_and_epoch(session: sf.Session) -> None:
    rows = session.range(1000)

    def order(seed: int, size: int | None = None) -> list[int]:
        return [
            row
            for batch in rows.iter_batches(size, local_shuffle_buffer_size=64, local_shuffle_seed=seed)
            for row in batch.column("id").to_pylist()
        ]

    assert order(1) == order(1) == order(1, 10)
    assert order(1) != order(2)
    assert sorted(order(1)) == list(range(1000))
    assert max(abs(place - row) for place, row in enumerate(order(1))) < 64
    feed = rows.iterator(seed=5, local_shuffle_buffer_size=64)
    assert [ids(feed), ids(feed)] == [order(5), order(6)]
    feed.set_epoch(0)
    assert ids(feed) == order(5)
    apart = sum(abs(after - before) == 1 for before, after in pairwise(order(1)))
    assert apart < 100, "neighbours are torn apart"


def test_each_epoch_may_have_a_dataset_of_its_own(session: sf.Session) -> None:
    def made(rows: sf.Dataset, seed: int) -> sf.Dataset:
        return rows.sort((sf.col("id") * 7919 + seed * 31) % 100)

    feed = session.range(100).iterator(seed=3, each_epoch=made)
    first, second = ids(feed), ids(feed)
    assert first == made(session.range(100), 3).to_pydict()["id"]
    assert second == made(session.range(100), 4).to_pydict()["id"] != first
    feed.set_epoch(1)
    rows = feed.iter_rows()
    assert [row["id"] for row in islice(rows, 40)] == second[:40]
    again = session.range(100).iterator(each_epoch=made)
    again.load_state_dict(feed.state_dict())
    assert ids(again) == second[40:]


@pytest.mark.parametrize("seed", range(25))
def test_what_follows_a_saved_position_is_what_would_have_followed(session: sf.Session, seed: int) -> None:
    chance = random.Random(seed)
    rows, window = chance.randrange(600), chance.choice([None, 1, 10, 150, 5000])

    def feed() -> sf.DataIterator:
        return session.range(rows).iterator(seed=seed, local_shuffle_buffer_size=window)

    unbroken = feed()
    epochs = [ids(unbroken) for _ in range(3)]
    at, taken, got = feed(), 0, []
    # Killed at any batch, by any batch size, and again; JSON and pickle keep the state.
    while at.epoch < 3:
        stop = chance.randrange(1, 6)
        size = chance.randrange(1, 80)
        ended = True
        for batch in at.iter_batches(size):
            got.extend(batch.column("id").to_pylist())
            stop -= 1
            if stop == 0:
                ended = False
                break
        state = json.loads(json.dumps(at.state_dict()))
        assert len(json.dumps(state)) < 400
        if ended:
            assert got == epochs[state["epoch"]]
            got = []
            if state["epoch"] == 2:
                break
        at = feed()
        at.load_state_dict(pickle.loads(pickle.dumps(state)))
        taken += 1
    assert at.epoch == 2


def test_rows_are_counted_one_by_one(session: sf.Session) -> None:
    feed = session.range(10).iterator()
    rows = feed.iter_rows()
    assert [next(rows)["id"] for _ in range(4)] == [0, 1, 2, 3]
    assert feed.state_dict()["taken"] == 4


def test_a_loop_that_is_left_ends_its_epoch_and_a_state_goes_on_with_it(session: sf.Session) -> None:
    feed = session.range(10).iterator()
    next(feed.iter_batches(4))
    state = feed.state_dict()
    assert ids(feed) == list(range(10))
    assert feed.epoch == 1
    feed.load_state_dict(state)
    assert (ids(feed), feed.epoch) == ([4, 5, 6, 7, 8, 9], 0)
    assert (ids(feed), feed.epoch) == (list(range(10)), 1)


def test_states_of_other_plans_and_orders_are_refused(session: sf.Session) -> None:
    state = session.range(10).iterator(seed=1).state_dict()
    with pytest.raises(sf.InvalidInputError, match="belongs to another plan"):
        session.range(11).iterator().load_state_dict(state)
    with pytest.raises(sf.InvalidInputError, match="belongs to another plan"):
        session.range(10).filter(sf.col("id") > 3).iterator().load_state_dict(state)
    with pytest.raises(sf.InvalidInputError, match="saved with local_shuffle_buffer_size=None, and not 7"):
        session.range(10).iterator(local_shuffle_buffer_size=7).load_state_dict(state)
    with pytest.raises(sf.InvalidInputError, match="version 99"):
        session.range(10).iterator().load_state_dict({**state, "version": 99})
    with pytest.raises(sf.InvalidInputError, match="cannot be read"):
        session.range(10).iterator().load_state_dict({"epoch": 1, "version": 1})
    with pytest.raises(sf.InvalidInputError, match="of version 7"):
        session.range(10).iterator().load_state_dict({**state, "version": 7})
    fresh = session.range(10).iterator(seed=2)
    fresh.load_state_dict(state)
    assert fresh.state_dict()["seed"] == 1, "the order goes on, too"


def test_fingerprints_are_the_same_in_another_session(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "b.parquet")

    def plan(name: str) -> str:
        with sf.Session() as session:
            return session.read_parquet(tmp_path / name).select("a").iterator().state_dict()["plan"]

    assert plan("a.parquet") == plan("a.parquet") != plan("b.parquet")


@pytest.mark.parametrize("how", ["files", "memory", "filtered"])
def test_a_resume_does_not_read_partitions_that_it_need_not(tmp_path: Path, how: str) -> None:
    with sf.Session(threads=4) as session:
        for part in range(4):
            pq.write_table(pa.table({"id": range(part * 1000, part * 1000 + 1000)}), tmp_path / f"{part}.parquet")
        rows = session.read_parquet(tmp_path)
        if how == "memory":
            rows = rows.materialize()
        if how == "filtered":
            rows = rows.filter(sf.col("id") >= 0)
        feed = rows.iterator()
        feed.load_state_dict({**feed.state_dict(), "taken": 3500})
        got = ids(feed)
        assert len(got) == 500
        skipped = "LaterPartitionsExec: first=3" in str(rows.stats())
        assert skipped == (how != "filtered"), rows.stats()
        if skipped:
            assert got == list(range(3500, 4000))


def test_iterators_say_what_waits(session: sf.Session) -> None:
    feed = session.range(10_000).iterator()
    for _ in feed.iter_batches(1000, prefetch_batches=2):
        time.sleep(0.02)
    slow = feed.stats()
    assert (slow.rows, slow.batches) == (10_000, 10)
    assert slow.full_s > 0.1 > slow.waited_s

    def sleeps(batch: pa.RecordBatch) -> pa.RecordBatch:
        time.sleep(0.02)
        return batch

    feed = session.range(1000).map_batches(sleeps, batch_size=100).iterator()
    assert sum(1 for _ in feed.iter_batches(100)) == 10
    hungry = feed.stats()
    assert hungry.waited_s > 0.1 > hungry.full_s


def test_errors_come_where_they_happen_and_leave_the_position(session: sf.Session) -> None:
    def fails(batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch.column(0)[0].as_py() >= 500:
            raise RuntimeError("no more")
        return batch

    feed = session.range(1000).map_batches(fails, batch_size=100).iterator()
    batches = feed.iter_batches(100)
    assert [row for batch in islice(batches, 5) for row in batch.column("id").to_pylist()] == list(range(500))
    with pytest.raises(sf.UserFunctionError, match="no more"):
        next(batches)
    assert feed.state_dict()["taken"] == 500


def test_wrong_arguments_say_so(session: sf.Session) -> None:
    rows = session.range(3)
    for call, text in [
        (lambda: rows.iter_batches(0), "batch_size is 0"),
        (lambda: rows.iter_batches(prefetch_batches=-1), "prefetch_batches is -1"),
        (lambda: rows.iterator(local_shuffle_buffer_size=0), "local_shuffle_buffer_size is 0"),
        (lambda: rows.iterator(seed=-1), "the seed is -1"),
        (lambda: rows.iter_batches(1, "arrow"), "there is no batch format 'arrow'"),
    ]:
        with pytest.raises(sf.InvalidInputError, match=text):
            call()


def test_a_shuffle_that_does_not_fit_says_what_to_do() -> None:
    with sf.Session(memory_limit="64MiB", threads=1) as session:
        wide = session.range(200_000).with_column("text", sf.lit("x" * 1000))
        with pytest.raises(sf.MemoryLimitError, match="local_shuffle_buffer_size"):
            list(wide.iter_batches(10, local_shuffle_buffer_size=150_000))
