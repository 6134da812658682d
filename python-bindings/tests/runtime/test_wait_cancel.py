"""`wait` and `cancel`."""

import asyncio
import contextlib
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import sheaf as ray
from sheaf.exceptions import TaskCancelledError, WorkerCrashedError

from . import processes

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]

SECOND = 1.0


@ray.remote
def echo(value: Any) -> Any:
    return value


@ray.remote
def after(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@ray.remote
def fail() -> None:
    raise KeyError("failed")


@ray.remote
def loop(started: Path | None = None) -> None:
    if started:
        started.touch()
    while True:
        time.sleep(0.01)


@ray.remote
def wait_for(refs: list[Any], started: Path | None = None) -> Any:
    if started:
        started.touch()
    return ray.get(refs)


def appears(*files: Path) -> bool:
    return processes.becomes_true(lambda: all(file.exists() for file in files), 30)


def cancelled(*refs: Any) -> None:
    """Each of them ends so, all within a second."""
    deadline = time.monotonic() + SECOND
    for ref in refs:
        with pytest.raises(TaskCancelledError):
            ray.get(ref, timeout=max(0, deadline - time.monotonic()))


def all_free() -> bool:
    return processes.becomes_true(lambda: ray.available_resources().get("CPU") == 2, 10)


def test_wait_gives_no_more_than_asked_for_in_the_order_of_the_list() -> None:
    refs = [ray.put(number) for number in range(5)]
    for count in (1, 3, 5):
        ready, others = ray.wait(refs, num_returns=count, timeout=30)
        assert len(ready) == count
        assert (ready, others) == ([ref for ref in refs if ref in ready], [ref for ref in refs if ref not in ready])
    assert len(ray.wait(refs)[0]) == 1


def test_wait_gives_the_first_that_are_ready() -> None:
    late = after.remote(20)
    early = after.remote(0.1)
    assert ray.wait([late, early], timeout=15) == ([early], [late])
    assert ray.wait([late, early], num_returns=2, timeout=0.1) == ([early], [late])
    ray.cancel(late, force=True)


def test_wait_with_a_timeout() -> None:
    late = after.remote(1)
    start = time.monotonic()
    assert ray.wait([late], timeout=0) == ([], [late])
    assert ray.wait([late], timeout=0.2) == ([], [late])
    assert 0.2 <= time.monotonic() - start < 0.9
    assert ray.wait([late], timeout=30) == ([late], [])
    assert ray.wait([late], timeout=0) == ([late], [])


def test_failures_are_ready() -> None:
    failed = fail.remote()
    assert ray.wait([failed], timeout=30) == ([failed], [])


def test_wait_for_all_that_come_one_by_one() -> None:
    waiting = [echo.remote(number) for number in range(50)]
    found = set()
    while waiting:
        ready, waiting = ray.wait(waiting, num_returns=min(7, len(waiting)), timeout=30)
        found.update(ray.get(ready))
    assert found == set(range(50))


def test_wait_of_nothing_returns_at_once() -> None:
    assert ray.wait([]) == ([], [])


def test_wait_refuses() -> None:
    one, two = ray.put(1), ray.put(2)
    for refs, options in (
        ([one, two], {"num_returns": 3}),
        ([one, two], {"num_returns": 0}),
        ([one, one], {}),
        ([one], {"timeout": -1}),
    ):
        with pytest.raises(ValueError, match=r"return|timeout|unique|once"):
            ray.wait(refs, **options)
    for wrong in (one, [one, 2], "text"):
        with pytest.raises(TypeError):
            ray.wait(wrong)


def test_cancel_of_a_loop(tmp_path: Path) -> None:
    refs = [loop.remote(tmp_path / str(number)) for number in range(2)]
    assert appears(tmp_path / "0", tmp_path / "1")
    for ref in refs:
        ray.cancel(ref)
    cancelled(*refs)
    assert all_free()
    assert ray.get(echo.remote(1), timeout=30) == 1


def deaf_once(started: Path) -> None:
    """As where the signal comes just before the call begins to wait."""
    listens = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda *_: signal.signal(signal.SIGINT, listens))
    started.touch()
    time.sleep(60)


@ray.remote
class Deaf:
    def once(self, started: Path) -> None:
        deaf_once(started)


@pytest.mark.parametrize("is_method", [False, True])
def test_a_cancel_that_was_not_heard_is_said_again(tmp_path: Path, is_method: bool) -> None:
    started = tmp_path / "started"
    ref = Deaf.remote().once.remote(started) if is_method else ray.remote(deaf_once).remote(started)
    assert appears(started)
    ray.cancel(ref)
    cancelled(ref)


def test_cancel_of_a_task_that_waits(tmp_path: Path) -> None:
    never = loop.remote()
    waiting = wait_for.remote([never], tmp_path / "waits")
    assert appears(tmp_path / "waits")
    ray.cancel(waiting)
    cancelled(waiting)
    ray.cancel(never)
    cancelled(never)
    assert all_free()


def test_cancel_of_queued_tasks(tmp_path: Path) -> None:
    running = [loop.remote(tmp_path / str(number)) for number in range(2)]
    assert appears(tmp_path / "0", tmp_path / "1")
    queued = [loop.remote(tmp_path / "queued") for _ in range(10)]
    for ref in queued:
        ray.cancel(ref)
    cancelled(*queued)
    for ref in running:
        ray.cancel(ref)
    cancelled(*running)
    assert all_free()
    assert not (tmp_path / "queued").exists()


def test_cancel_by_force(tmp_path: Path) -> None:
    @ray.remote(max_retries=3)
    def stubborn() -> None:
        (tmp_path / "started").touch()
        while True:
            try:
                time.sleep(0.01)
            except BaseException:
                continue

    ref = stubborn.remote()
    assert appears(tmp_path / "started")
    (tmp_path / "started").unlink()
    ray.cancel(ref, force=True)
    with pytest.raises((TaskCancelledError, WorkerCrashedError)):
        ray.get(ref, timeout=SECOND)
    assert all_free()
    assert not (tmp_path / "started").exists(), "it was tried again"


@pytest.mark.parametrize("recursive", [True, False])
def test_cancel_of_a_task_with_children(tmp_path: Path, recursive: bool) -> None:
    @ray.remote
    def parent() -> None:
        ray.get(child.remote())

    @ray.remote
    def child() -> None:
        (tmp_path / "started").touch()
        for _ in range(100):
            time.sleep(0.01)
        (tmp_path / "ended").touch()

    ref = parent.remote()
    assert appears(tmp_path / "started")
    ray.cancel(ref, recursive=recursive)
    cancelled(ref)
    assert all_free()
    assert (tmp_path / "ended").exists() is not recursive


def test_what_a_cancelled_task_holds_is_released(tmp_path: Path) -> None:
    @ray.remote
    def careful() -> None:
        try:
            (tmp_path / "started").touch()
            while True:
                time.sleep(0.01)
        finally:
            (tmp_path / "released").touch()

    ref = careful.remote()
    assert appears(tmp_path / "started")
    ray.cancel(ref)
    cancelled(ref)
    assert appears(tmp_path / "released")


def test_cancel_of_what_is_done_changes_nothing() -> None:
    ref = echo.remote(1)
    assert ray.get(ref) == 1
    ray.cancel(ref)
    ray.cancel(ref, force=True)
    assert ray.get(ref) == 1


def test_many_are_cancelled_and_the_rest_comes_through() -> None:
    refs = [after.remote(0.02) for _ in range(60)]
    for ref in refs[::2]:
        ray.cancel(ref)
    assert ray.get(refs[1::2], timeout=30) == [0.02] * 30
    for ref in refs[::2]:
        with contextlib.suppress(TaskCancelledError):
            assert ray.get(ref, timeout=30) == 0.02
    assert all_free()


def test_cancel_is_for_references() -> None:
    with pytest.raises(TypeError):
        ray.cancel("text")


def test_cancel_of_async_calls_of_an_actor() -> None:
    @ray.remote
    class Sleeper:
        async def sleep(self) -> None:
            await asyncio.sleep(60)

        async def echo(self, value: int) -> int:
            return value

    sleeper = Sleeper.remote()
    ref = sleeper.sleep.remote()
    assert ray.get(sleeper.echo.remote(1), timeout=30) == 1
    ray.cancel(ref)
    cancelled(ref)
    assert ray.get(sleeper.echo.remote(2), timeout=30) == 2
