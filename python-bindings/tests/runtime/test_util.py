"""What is built on tasks and actors: pools of actors and processes, and queues."""

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import sheaf as ray
from sheaf.util import ActorPool, inspect_serializability
from sheaf.util.multiprocessing import Pool
from sheaf.util.queue import Empty, Full, Queue

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]


@ray.remote
class Doubler:
    def double(self, value: int, seconds: float = 0) -> int:
        time.sleep(seconds)
        return 2 * value

    def fail(self, value: int) -> None:
        raise KeyError(value)


def double(actor: Any, value: int) -> Any:
    return actor.double.remote(value)


@pytest.fixture
def pool() -> ActorPool:
    return ActorPool([Doubler.remote() for _ in range(2)])


def test_pool_map(pool: ActorPool) -> None:
    assert list(pool.map(double, range(20))) == list(range(0, 40, 2))
    assert sorted(pool.map_unordered(double, range(20))) == list(range(0, 40, 2))
    assert list(pool.map(double, [])) == []


def test_pool_submit(pool: ActorPool) -> None:
    assert not pool.has_next()
    for value in range(5):
        pool.submit(double, value)
    assert pool.has_next()
    assert [pool.get_next(timeout=30), pool.get_next()] == [0, 2]
    assert sorted(pool.get_next_unordered(timeout=30) for _ in range(3)) == [4, 6, 8]
    assert not pool.has_next()
    with pytest.raises(StopIteration):
        pool.get_next()


def test_pool_gives_what_comes_first(pool: ActorPool) -> None:
    for seconds in (0.8, 0.0):
        pool.submit(lambda actor, seconds: actor.double.remote(int(seconds * 10), seconds), seconds)
    assert [pool.get_next_unordered(timeout=30) for _ in range(2)] == [0, 16]


def test_pool_times_out_and_goes_on(pool: ActorPool) -> None:
    pool.submit(lambda actor, value: actor.double.remote(value, 0.5), 3)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0.05)
    assert pool.get_next(timeout=30) == 6


def test_pool_raises_and_goes_on(pool: ActorPool) -> None:
    pool.submit(lambda actor, value: actor.fail.remote(value), 1)
    with pytest.raises(KeyError):
        pool.get_next(timeout=30)
    assert list(pool.map(double, range(6))) == list(range(0, 12, 2))


def test_pool_lends_its_actors(pool: ActorPool) -> None:
    first, second = pool.pop_idle(), pool.pop_idle()
    assert pool.pop_idle() is None
    assert not pool.has_free()
    assert ray.get(double(first, 4)) == 8
    pool.push(first)
    assert pool.has_free()
    with pytest.raises(ValueError, match="already"):
        pool.push(first)
    pool.push(second)
    assert list(pool.map(double, range(4))) == [0, 2, 4, 6]


@pytest.fixture
def queue() -> Iterator[Queue]:
    queue = Queue(maxsize=3)
    yield queue
    queue.shutdown(force=True)


def test_queue(queue: Queue) -> None:
    assert queue.empty()
    for item in range(3):
        queue.put(item)
    assert (queue.qsize(), len(queue), queue.full(), queue.maxsize) == (3, 3, True, 3)
    with pytest.raises(Full):
        queue.put_nowait(4)
    with pytest.raises(Full):
        queue.put(4, timeout=0.1)
    assert [queue.get(), queue.get_nowait(), queue.get(timeout=5)] == [0, 1, 2]
    with pytest.raises(Empty):
        queue.get_nowait()
    with pytest.raises(Empty):
        queue.get(timeout=0.1)
    with pytest.raises(Empty):
        queue.get(block=False)
    with pytest.raises(ValueError, match="timeout"):
        queue.get(timeout=-1)


def test_queue_in_batches(queue: Queue) -> None:
    queue.put_nowait_batch([1, 2])
    with pytest.raises(Full):
        queue.put_nowait_batch([3, 4])
    with pytest.raises(Empty):
        queue.get_nowait_batch(3)
    assert queue.get_nowait_batch(2) == [1, 2]


def test_queue_between_tasks(queue: Queue) -> None:
    @ray.remote(num_cpus=0)
    def produce(queue: Queue) -> None:
        for item in range(20):
            queue.put(item, timeout=30)

    @ray.remote(num_cpus=0)
    def consume(queue: Queue) -> list[int]:
        return [queue.get(timeout=30) for _ in range(20)]

    found = ray.get([produce.remote(queue), consume.remote(queue)], timeout=50)
    assert found == [None, list(range(20))]


def square(value: int) -> int:
    return value**2


def test_processes_map() -> None:
    with Pool(2) as pool:
        squares = [value**2 for value in range(50)]
        assert pool.map(square, range(50)) == squares
        assert pool.map(square, range(50), chunksize=7) == squares
        assert list(pool.imap(square, range(50))) == squares
        assert sorted(pool.imap_unordered(square, range(50), chunksize=3)) == squares
        assert pool.starmap(pow, [(2, 3), (3, 2)]) == [8, 9]
        assert pool.apply(pow, (2, 5)) == 32
        assert pool.apply(int, ("11",), {"base": 2}) == 3
        assert os.getpid() not in pool.map(lambda _: os.getpid(), range(4))


def test_processes_work_behind_the_caller() -> None:
    with Pool(2) as pool:
        late = pool.apply_async(time.sleep, (0.5,))
        found = pool.map_async(square, range(5))
        with pytest.raises(multiprocessing.TimeoutError):
            late.get(timeout=0.05)
        assert not late.ready()
        late.wait(timeout=30)
        assert late.ready()
        assert late.successful()
        assert found.get(timeout=30) == [0, 1, 4, 9, 16]
        pool.close()
        pool.join()
    with pytest.raises(ValueError, match="not running"):
        pool.apply(square, (1,))


def test_processes_fail() -> None:
    with Pool(2) as pool:
        with pytest.raises(ValueError, match="invalid literal"):
            pool.map(int, ["1", "x", "3"])
        failed = pool.apply_async(int, ("x",))
        failed.wait(timeout=30)
        assert not failed.successful()
        assert pool.apply(int, ("5",)) == 5


def test_processes_are_set_up() -> None:
    def set_up(value: str) -> None:
        os.environ["SHEAF_TEST_SET_UP"] = value

    with Pool(2, initializer=set_up, initargs=("done",)) as pool:
        assert pool.map(lambda _: os.environ["SHEAF_TEST_SET_UP"], range(8)) == ["done"] * 8


def test_what_cannot_be_pickled_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    lock = threading.Lock()

    def locked() -> bool:
        return lock.locked()

    fine, failures = inspect_serializability(locked, name="locked")
    assert not fine
    assert "lock" in repr(failures)
    assert "lock" in capsys.readouterr().out
    assert inspect_serializability(square)[0]
