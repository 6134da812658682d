"""References as futures: with `await`, and as those of `concurrent.futures`."""

import asyncio
import concurrent.futures
import time
from typing import Any

import pytest

import sheaf as ray
from sheaf.exceptions import RayTaskError

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]


@ray.remote
def echo(value: Any, seconds: float = 0) -> Any:
    time.sleep(seconds)
    return value


@ray.remote
def fail() -> None:
    raise KeyError("failed")


def test_await() -> None:
    async def main() -> list[Any]:
        ref = echo.remote(1, 0.2)
        return [await ref, await ref, await ray.put([2]), *await asyncio.gather(*[echo.remote(n) for n in range(20)])]

    assert asyncio.run(main()) == [1, 1, [2], *range(20)]


def test_the_loop_goes_on_meanwhile() -> None:
    async def main() -> int:
        ticks = 0
        waiting = asyncio.ensure_future(asyncio.wait_for(echo.remote(1, 0.5), 30))
        while not waiting.done():
            await asyncio.sleep(0.01)
            ticks += 1
        return ticks

    assert asyncio.run(main()) > 10


def test_await_raises() -> None:
    async def main() -> None:
        await fail.remote()

    with pytest.raises(KeyError, match="failed") as raised:
        asyncio.run(main())
    assert isinstance(raised.value, RayTaskError)

    async def both() -> list[Any]:
        return await asyncio.gather(fail.remote(), echo.remote(1), return_exceptions=True)

    failed, one = asyncio.run(both())
    assert isinstance(failed, KeyError)
    assert one == 1


def test_await_with_a_timeout_leaves_the_task() -> None:
    async def main() -> Any:
        ref = echo.remote("late", 1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(ref), 0.1)
        return await ref

    assert asyncio.run(main()) == "late"


def test_the_first_of_several() -> None:
    async def main() -> Any:
        tasks = [asyncio.ensure_future(echo.remote(seconds, seconds)) for seconds in (0.1, 1)]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=30)
        return [task.result() for task in done], [await task for task in pending]

    assert asyncio.run(main()) == ([0.1], [1])


def test_futures() -> None:
    futures = [echo.remote(number).future() for number in range(20)]
    assert all(isinstance(future, concurrent.futures.Future) for future in futures)
    done = concurrent.futures.as_completed(futures, timeout=30)
    assert sorted(future.result() for future in done) == list(range(20))
    assert ray.put(5).future().result(timeout=10) == 5


def test_a_future_raises() -> None:
    future = fail.remote().future()
    with pytest.raises(KeyError, match="failed"):
        future.result(timeout=30)
    assert isinstance(future.exception(), RayTaskError)


def test_a_future_keeps_its_object() -> None:
    future = echo.remote(bytes(500_000), 0.2).future()
    ray.get([echo.remote(bytes(500_000)) for _ in range(4)])
    assert len(future.result(timeout=30)) == 500_000


def test_callbacks_of_a_future() -> None:
    found: list[int] = []
    future = echo.remote(3, 0.1).future()
    future.add_done_callback(lambda done: found.append(done.result()))
    concurrent.futures.wait([future], timeout=30)
    deadline = time.monotonic() + 10
    while not found and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found == [3]


def test_async_actors_await_references() -> None:
    @ray.remote
    class Adder:
        async def add(self, refs: list[Any]) -> int:
            return sum(await asyncio.gather(*refs))

        async def add_by_task(self, value: int) -> int:
            return value + await echo.remote(value, 0.1)

    adder = Adder.remote()
    assert ray.get(adder.add.remote([ray.put(1), echo.remote(2, 0.1)]), timeout=30) == 3
    assert ray.get([adder.add_by_task.remote(number) for number in range(8)], timeout=30) == list(range(0, 16, 2))
