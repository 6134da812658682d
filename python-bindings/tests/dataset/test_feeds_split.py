"""One execution for several trainers: who gets which rows, going on in other numbers, and trainers that are gone."""

import json
import multiprocessing
import os
import pickle
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest

import sheaf as sf

# Processes that share nothing with this one but what is pickled for them.
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module")
def session() -> Iterator[sf.Session]:
    with sf.Session(threads=1, batch_size=100) as session:
        yield session


def read(feed: sf.DataIterator, size: int | None = None, batches: int | None = None) -> list[int]:
    """The ids of an epoch, or of its first batches."""
    got: list[int] = []
    for number, batch in enumerate(feed.iter_batches(size), 1):
        got.extend(batch.column("id").to_pylist())
        if number == batches:
            break
    return got


def joined(parts: Iterable[list[int]]) -> list[int]:
    return [row for part in parts for row in part]


def together(feeds: Sequence[sf.DataIterator], work: Callable[[sf.DataIterator], Any] = read) -> list[Any]:
    with ThreadPoolExecutor(len(feeds)) as trainers:
        return list(trainers.map(work, feeds))


def stopped(feeds: Sequence[sf.DataIterator], batches: Sequence[int], size: int) -> list[list[int]]:
    """What trainers read that stop after so many batches each, none of which leaves before all have stopped."""
    all_there = threading.Barrier(len(feeds))

    def work(pair: tuple[sf.DataIterator, int]) -> list[int]:
        feed, wanted = pair
        got: list[int] = []
        reading = feed.iter_batches(size, prefetch_batches=0)
        for _ in range(wanted):
            batch = next(reading, None)
            if batch is None:
                break
            got.extend(batch.column("id").to_pylist())
        all_there.wait(30)
        return got

    with ThreadPoolExecutor(len(feeds)) as trainers:
        return list(trainers.map(work, zip(feeds, batches, strict=True)))


def dealt(rows: Sequence[int], trainers: int, block: int) -> list[list[int]]:
    hands: list[list[int]] = [[] for _ in range(trainers)]
    for number, start in enumerate(range(0, len(rows), block)):
        hands[number % trainers].extend(rows[start : start + block])
    return hands


def test_rows_are_dealt_in_turn_and_none_is_dropped(session: sf.Session) -> None:
    for rows, n, block in [(1000, 3, 7), (10, 4, 1), (2, 3, 5), (0, 2, 4), (997, 2, 1024)]:
        feeds = session.range(rows).streaming_split(n, block_rows=block)
        assert together(feeds) == dealt(range(rows), n, block), (rows, n, block)
        assert together(feeds) == dealt(range(rows), n, block), "a second epoch"
        assert [feed.epoch for feed in feeds] == [1] * n


def test_equal_shares_have_equal_counts(session: sf.Session) -> None:
    for rows, n, block in [(1000, 3, 7), (10, 4, 1), (2, 3, 5), (24, 2, 6), (997, 2, 1024)]:
        shares = together(session.range(rows).streaming_split(n, equal=True, block_rows=block))
        assert [len(share) for share in shares] == [rows // n] * n
        assert sorted(joined(shares)) == list(range(rows // n * n)), "only rows at the end are left out"


def test_batches_of_a_step_are_the_next_rows(session: sf.Session) -> None:
    feeds = session.range(120).streaming_split(3, block_rows=10)
    batches = together(feeds, lambda feed: [batch.column("id").to_pylist() for batch in feed.iter_batches(10)])
    steps = [sorted(joined(step)) for step in zip(*batches, strict=True)]
    assert steps == [list(range(start, start + 30)) for start in range(0, 120, 30)]


@pytest.mark.parametrize("seed", range(20))
def test_any_number_of_trainers_goes_on_where_others_stopped(session: sf.Session, seed: int) -> None:
    chance = random.Random(seed)
    rows = chance.randrange(1600, 2000)
    window = chance.choice([None, 50])
    block = chance.choice([1, 5, 16])
    data = session.range(rows)

    def split(n: int, states: Any = None) -> list[sf.DataIterator]:
        return data.streaming_split(
            n, block_rows=block, seed=seed, local_shuffle_buffer_size=window, resume=states, timeout=10
        )

    order = read(data.iterator(seed=seed, local_shuffle_buffer_size=window))
    place = {row: at for at, row in enumerate(order)}
    states, done, hands = None, [], []
    for _ in range(4):
        n = chance.randrange(1, 5)
        left = [row for row in order if row not in done]
        # As many trainers as before go on as they were; others are dealt what is left anew, in its order.
        hands = hands if len(hands) == n else dealt(left, n, block)
        feeds = split(n, states)
        # Trainers are at most a few blocks apart.
        steps = chance.randrange(1, 6)
        parts = stopped(feeds, [steps + chance.randrange(2) for _ in feeds], block)
        assert parts == [hand[: len(part)] for part, hand in zip(parts, hands, strict=True)]
        hands = [hand[len(part) :] for part, hand in zip(parts, hands, strict=True)]
        done.extend(joined(parts))
        states = json.loads(json.dumps([feed.state_dict() for feed in feeds]))
        assert len(json.dumps(states)) < 600 * n
        assert together(split(n, states)) == hands
    rest = together(split(2, states))
    assert all(share == sorted(share, key=place.__getitem__) for share in rest)
    everything = done + joined(rest)
    assert len(everything) == len(set(everything)) == rows
    one = data.iterator(local_shuffle_buffer_size=window)
    one.load_state_dict(states)
    assert read(one) == [row for row in order if row not in done], "one trainer is a number, too"


def test_equal_shares_go_on_with_equal_counts(session: sf.Session) -> None:
    data = session.range(500)
    feeds = data.streaming_split(2, equal=True, block_rows=8)
    parts = stopped(feeds, [5, 4], 8)
    states = [feed.state_dict() for feed in feeds]
    shares = together(data.streaming_split(3, equal=True, block_rows=8, resume=states))
    assert [len(share) for share in shares] == [(500 - 72) // 3] * 3
    everything = joined(parts) + joined(shares)
    assert len(everything) == len(set(everything))


def test_the_end_of_an_epoch_goes_on_with_the_next(session: sf.Session) -> None:
    data = session.range(20)
    feeds = data.streaming_split(2, block_rows=5, seed=1, local_shuffle_buffer_size=20)
    first, second = together(feeds), None
    states = [feed.state_dict() for feed in feeds]
    second = together(feeds)
    again = data.streaming_split(2, block_rows=5, local_shuffle_buffer_size=20, resume=states)
    assert together(again) == second != first
    assert [feed.epoch for feed in again] == [1, 1]
    other = data.streaming_split(4, block_rows=5, local_shuffle_buffer_size=20, resume=states)
    assert sorted(joined(together(other))) == list(range(20))


def test_states_that_do_not_fit_are_refused(session: sf.Session) -> None:
    data = session.range(100)
    feeds = data.streaming_split(2, block_rows=5)
    stopped(feeds, [1, 1], 5)
    states = [feed.state_dict() for feed in feeds]
    with pytest.raises(sf.InvalidInputError, match="that of 1 of 2 trainers"):
        data.streaming_split(3, block_rows=5, resume=states[:1])
    with pytest.raises(sf.InvalidInputError, match="not fed together"):
        data.streaming_split(3, block_rows=5, resume=[states[0], {**states[1], "seed": 0}])
    with pytest.raises(sf.InvalidInputError, match="is empty"):
        data.streaming_split(3, block_rows=5, resume=[])
    with pytest.raises(sf.InvalidInputError, match="at least one trainer"):
        data.streaming_split(0)
    halfway = data.streaming_split(2, block_rows=5)
    halfway[0].load_state_dict(states[0])

    def outcome(feed: sf.DataIterator) -> str:
        with pytest.raises(sf.FeedError) as raised:
            read(feed)
        return str(raised.value)

    assert all("begin at different places" in text for text in together(halfway, outcome))


def train(feed: sf.DataIterator, batches: int | None) -> tuple[list[int], dict[str, Any]]:
    got = read(feed, 10, batches)
    return got, feed.state_dict()


def test_trainers_may_be_other_processes(session: sf.Session) -> None:
    feeds = session.range(1000).streaming_split(2, block_rows=10, timeout=60)
    with SPAWN.Pool(2) as pool:
        told = pool.starmap(train, [(feed, None) for feed in feeds], chunksize=1)
    assert [rows for rows, _ in told] == dealt(range(1000), 2, 10)
    assert [state["ended"] for _, state in told] == [True, True]


def test_trainers_may_be_tasks(session: sf.Session) -> None:
    feeds = session.range(1000).streaming_split(2, block_rows=10, timeout=60)
    try:
        told = sf.get([sf.remote(train).remote(feed, None) for feed in feeds], timeout=60)
    finally:
        sf.shutdown()
    assert [rows for rows, _ in told] == dealt(range(1000), 2, 10)


def test_trainers_may_be_on_other_machines(session: sf.Session) -> None:
    feeds = session.range(100).streaming_split(2, block_rows=10, host="127.0.0.1")
    assert together(pickle.loads(pickle.dumps(feeds))) == dealt(range(100), 2, 10)


def test_nobody_comes_in_without_the_key(session: sf.Session) -> None:
    feeds = pickle.loads(pickle.dumps(session.range(100).streaming_split(1)))
    feeds[0]._source._key = b"another"
    with pytest.raises(sf.FeedError, match=r"cannot be reached: digest"):
        read(feeds[0])


def dies(feed: sf.DataIterator) -> None:
    read(feed, 10, 3)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_trainer_that_is_killed_is_an_error_of_the_others(session: sf.Session) -> None:
    feeds = session.range(100_000).streaming_split(2, block_rows=10, timeout=60)
    victim = SPAWN.Process(target=dies, args=(feeds[1],))
    victim.start()
    begin = time.monotonic()
    with pytest.raises(sf.FeedError, match="trainer 1 of 2 is gone") as raised:
        read(feeds[0], 10)
    assert time.monotonic() - begin < 30, "it is noticed, and not waited for"
    assert "start all trainers again, each with the state that it saved" in str(raised.value)
    victim.join()
    # Both go on, with what they know of themselves.
    states = [feeds[0].state_dict(), {**feeds[1].state_dict(), "taken": 30}]
    shares = together(session.range(100_000).streaming_split(2, block_rows=10, resume=states))
    whole = dealt(range(100_000), 2, 10)
    assert shares == [whole[0][states[0]["taken"] :], whole[1][30:]]


def test_a_trainer_that_takes_nothing_is_an_error_of_the_others(session: sf.Session) -> None:
    feeds = session.range(10_000).streaming_split(2, block_rows=10, timeout=1)
    over = threading.Event()

    def slow() -> None:
        for _ in feeds[1].iter_batches(10):
            over.wait(30)
            return

    sleeper = threading.Thread(target=slow)
    sleeper.start()
    with pytest.raises(sf.FeedError, match=r"trainer 1 of 2 takes no rows: trainer 0 has waited 1\.\d s"):
        read(feeds[0], 10)
    over.set()
    sleeper.join()


def test_a_trainer_that_never_comes_is_an_error_of_the_others(session: sf.Session) -> None:
    feeds = session.range(100).streaming_split(3, timeout=1)
    with pytest.raises(sf.FeedError, match=r"of 3 trainers these have not come to epoch 0 within 1 s: \[1, 2\]"):
        read(feeds[0])


def test_an_error_of_the_plan_is_an_error_of_all(session: sf.Session) -> None:
    def fails(batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch.column(0)[0].as_py() >= 500:
            raise RuntimeError("no more")
        return batch

    feeds = session.range(1000).map_batches(fails, batch_size=100).streaming_split(2, block_rows=10)

    def outcome(feed: sf.DataIterator) -> str:
        with pytest.raises(sf.UserFunctionError) as raised:
            read(feed)
        return str(raised.value)

    assert all("no more" in text for text in together(feeds, outcome))


def slow_plan(batch: pa.RecordBatch) -> pa.RecordBatch:
    time.sleep(0.5)
    return batch


def test_a_slow_plan_is_waited_for(session: sf.Session) -> None:
    feeds = session.range(800).map_batches(slow_plan, batch_size=100).streaming_split(2, block_rows=200, timeout=1)
    assert sorted(joined(together(feeds))) == list(range(800))


def test_nothing_is_left_of_feeds_that_are_gone(session: sf.Session) -> None:
    before = set(threading.enumerate())
    feeds = session.range(10).streaming_split(2, timeout=0.5)
    together(feeds)
    del feeds
    until = time.monotonic() + 10
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < until, left
        time.sleep(0.1)


def test_stats_of_a_share_tell_who_waits(session: sf.Session) -> None:
    feeds = session.range(400).streaming_split(2, block_rows=10)

    def work(feed: sf.DataIterator) -> None:
        for _ in feed.iter_batches(10):
            time.sleep(0.01 if feed is feeds[1] else 0)

    together(feeds, work)
    quick, slow = (feed.stats() for feed in feeds)
    assert (quick.rows, slow.rows) == (200, 200)
    assert quick.waited_s > 0.05 > slow.waited_s
    assert slow.full_s > 0.05 > quick.full_s
