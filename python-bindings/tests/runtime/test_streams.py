"""Generators that run elsewhere, and whose results come one by one."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sheaf as ray

from . import processes

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]


@ray.remote
def count(number: int, seconds: float = 0) -> Iterator[int]:
    for value in range(number):
        yield value
        time.sleep(seconds)


def test_results_come_before_the_end() -> None:
    start = time.monotonic()
    stream = count.remote(3, 0.5)
    assert ray.get(next(stream), timeout=20) == 0
    first = time.monotonic() - start
    assert [ray.get(ref, timeout=20) for ref in stream] == [1, 2]
    assert time.monotonic() - start - first > 0.9
    with pytest.raises(StopIteration):
        next(stream)


@pytest.mark.parametrize("number", [0, 1, 2_000])
def test_all_results_come_in_order(number: int) -> None:
    assert [ray.get(ref) for ref in count.remote(number)] == list(range(number))


def test_a_function_can_be_told_to_stream() -> None:
    three = ray.remote(lambda: iter("abc")).options(num_returns="streaming").remote()
    assert [ray.get(ref, timeout=20) for ref in three] == ["a", "b", "c"]
    with pytest.raises(TypeError, match="has to yield"):
        ray.get(next(ray.remote(lambda: 7).options(num_returns="streaming").remote()), timeout=20)


def test_large_results_are_read_without_a_copy() -> None:
    @ray.remote
    def arrays() -> Iterator[np.ndarray]:
        for value in range(3):
            yield np.full(1_000_000, value)

    refs = list(arrays.remote())
    values = ray.get(refs, timeout=30)
    assert [int(value.sum()) for value in values] == [0, 1_000_000, 2_000_000]
    assert not any(value.flags.writeable for value in values)


def test_an_error_comes_after_what_was_yielded() -> None:
    @ray.remote
    def breaks() -> Iterator[int]:
        yield 1
        raise KeyError("halfway")

    stream = breaks.remote()
    assert ray.get(next(stream), timeout=20) == 1
    with pytest.raises(KeyError):
        ray.get(next(stream), timeout=20)
    with pytest.raises(StopIteration):
        next(stream)


def test_a_stream_goes_on_when_its_worker_dies(tmp_path: Path) -> None:
    @ray.remote
    def dies_once(marker: str) -> Iterator[Any]:
        for value in range(6):
            if value == 3 and not Path(marker).exists():
                Path(marker).touch()
                # What was yielded is on its way by now.
                time.sleep(0.2)
                os.kill(os.getpid(), signal.SIGKILL)
            yield value, ray.put(value)

    pairs = [ray.get(ref, timeout=30) for ref in dies_once.remote(str(tmp_path / "died"))]
    assert [value for value, _ in pairs] == list(range(6))
    assert ray.get([inner for _, inner in pairs[3:]], timeout=30) == [3, 4, 5]


def test_a_stream_that_nobody_reads_leaves_nothing() -> None:
    from sheaf._runtime import process

    @ray.remote
    def arrays() -> Iterator[np.ndarray]:
        for value in range(20):
            yield np.full(100_000, value)

    stream = arrays.remote()
    next(stream)
    done = stream.completed()
    del stream
    assert ray.get(done, timeout=30) == 20
    del done
    deadline = time.monotonic() + 10
    while process.client().objects() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.client().objects() == []


def test_a_task_reads_a_stream_on_one_cpu() -> None:
    @ray.remote(num_cpus=2)
    def total() -> int:
        return sum(ray.get(ref) for ref in count.options(num_cpus=2).remote(5))

    assert ray.get(total.remote(), timeout=30) == 10


def test_cancelling_ends_a_stream() -> None:
    stream = count.remote(1_000, 0.05)
    assert ray.get(next(stream), timeout=20) == 0
    ray.cancel(stream)
    start = time.monotonic()
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(list(stream)[-1], timeout=20)
    assert time.monotonic() - start < 5


def test_what_a_stream_waits_for_is_explained() -> None:
    stream = count.options(resources={"unobtainium": 1}).remote(3)
    assert processes.becomes_true(lambda: "no node has unobtainium 1" in ray.explain(stream), 10)
    ray.cancel(stream)


@ray.remote
class Counter:
    def up_to(self, number: int) -> Iterator[int]:
        yield from range(number)


@ray.remote
class AsyncCounter:
    async def up_to(self, number: int) -> AsyncIterator[int]:
        for value in range(number):
            yield value
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", [Counter, AsyncCounter])
def test_methods_of_actors_stream(kind: Any) -> None:
    counter = kind.remote()
    assert [ray.get(ref, timeout=20) for ref in counter.up_to.remote(4)] == [0, 1, 2, 3]


def test_event_loops_read_streams() -> None:
    async def read() -> list[int]:
        return [await ref async for ref in count.remote(3, 0.05)]

    assert asyncio.run(read()) == [0, 1, 2]


def test_wait_takes_generators_and_references_together() -> None:
    slow, quick = count.options(num_cpus=0).remote(2, 60), count.options(num_cpus=0).remote(2)
    assert ray.get(next(slow), timeout=20) == 0
    sleeping = ray.remote(num_cpus=0)(time.sleep).remote(60)
    ready, others = ray.wait([slow, sleeping, quick], timeout=20)
    assert (ready, others) == ([quick], [slow, sleeping])
    assert quick.next_ready()
    assert not slow.next_ready()
    assert ray.wait([slow, quick], num_returns=2, timeout=0.1) == ([quick], [slow])
    assert [ray.get(ref, timeout=20) for ref in quick] == [0, 1]
    # One that has ended is ready, as its end is.
    assert ray.wait([slow, quick], timeout=20)[0] == [quick]
    assert quick.is_finished()
    assert not slow.is_finished()
    assert ray.get(quick) is quick
    for ref in (slow, sleeping):
        ray.cancel(ref)


def test_a_result_wakes_who_waits_for_its_generator() -> None:
    generator = count.remote(3, 0.3)
    for _ in range(3):
        assert ray.wait([generator], timeout=20)[0] == [generator]
        ray.get(next(generator), timeout=20)
    assert ray.wait([generator], timeout=20)[0] == [generator]
    with pytest.raises(StopIteration):
        next(generator)


def test_a_task_that_waits_for_a_generator_gives_its_cpu_back() -> None:
    @ray.remote(num_cpus=2)
    def waits() -> bool:
        generator = count.options(num_cpus=2).remote(1)
        return ray.wait([generator], timeout=20)[0] == [generator]

    assert ray.get(waits.remote(), timeout=30)


def test_a_dynamic_number_of_returns_is_one_result() -> None:
    @ray.remote
    def total(refs: Any) -> int:
        return sum(ray.get(list(refs)))

    ref = count.options(num_returns="dynamic").remote(4)
    listed = ray.get(ref, timeout=20)
    assert isinstance(listed, ray.DynamicObjectRefGenerator)
    assert [ray.get(each, timeout=20) for each in listed] == [0, 1, 2, 3]
    assert len(listed) == len(list(listed)) == 4
    # It is passed on as any other, and holds its objects.
    assert ray.get(total.remote(ref), timeout=20) == 6
    with pytest.raises(TypeError, match="has to yield"):
        ray.get(ray.remote(lambda: 7).options(num_returns="dynamic").remote(), timeout=20)
    assert ray.get(ray.get(Counter.remote().up_to.options(num_returns="dynamic").remote(2))._refs) == [0, 1]
