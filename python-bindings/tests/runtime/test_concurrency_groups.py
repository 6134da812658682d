"""Concurrency groups of actors: each has room of its own, in threads and on event loops."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import sheaf as ray

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]

SECONDS = 20


@ray.remote(concurrency_groups={"io": 2})
class Threaded:
    def __init__(self) -> None:
        self._go, self._now, self._most = threading.Event(), 0, 0

    @ray.method(concurrency_group="io")
    def wait(self) -> str:
        self._now += 1
        self._most = max(self._most, self._now)
        assert self._go.wait(SECONDS)
        self._now -= 1
        return "waited"

    def now(self) -> int:
        return self._now

    def go(self) -> None:
        self._go.set()

    def most(self) -> int:
        return self._most


@ray.remote(concurrency_groups={"io": 2})
class Async:
    def __init__(self) -> None:
        self._go, self._now, self._most = asyncio.Event(), 0, 0

    @ray.method(concurrency_group="io")
    async def wait(self) -> str:
        self._now += 1
        self._most = max(self._most, self._now)
        await asyncio.wait_for(self._go.wait(), SECONDS)
        self._now -= 1
        return "waited"

    async def now(self) -> int:
        return self._now

    async def go(self) -> None:
        self._go.set()

    async def most(self) -> int:
        return self._most


def becomes(value: Callable[[], Any], expected: Any) -> None:
    for _ in range(1_000):
        if value() == expected:
            return
    assert value() == expected


@pytest.mark.parametrize("kind", [Threaded, Async])
def test_a_full_group_keeps_nobody_else_from_running(kind: Any) -> None:
    actor = kind.remote()
    # Far more than the group has room for.
    waiting = [actor.wait.remote() for _ in range(50)]
    becomes(lambda: ray.get(actor.now.remote(), timeout=SECONDS), 2)
    assert not ray.wait(waiting, timeout=0)[0]
    ray.get(actor.go.remote(), timeout=SECONDS)
    assert ray.get(waiting, timeout=SECONDS) == ["waited"] * 50
    assert ray.get(actor.most.remote(), timeout=SECONDS) == 2


def test_a_call_may_name_another_group() -> None:
    actor = Threaded.remote()
    waiting = actor.wait.options(concurrency_group="").remote()
    moved = actor.now.options(concurrency_group="io")
    becomes(lambda: ray.get(moved.remote(), timeout=SECONDS), 1)
    ray.get(actor.go.options(concurrency_group="io").remote(), timeout=SECONDS)
    assert ray.get(waiting, timeout=SECONDS) == "waited"


def test_calls_of_one_group_run_in_their_order() -> None:
    @ray.remote(concurrency_groups={"log": 1})
    class Log:
        def __init__(self) -> None:
            self._lines: list[int] = []

        @ray.method(concurrency_group="log")
        def write(self, line: int) -> None:
            self._lines.append(line)

        @ray.method(concurrency_group="log")
        def read(self) -> list[int]:
            return self._lines

    log = Log.remote()
    for line in range(200):
        log.write.remote(line)
    assert ray.get(log.read.remote(), timeout=SECONDS) == list(range(200))


def test_groups_that_are_not_there_are_refused() -> None:
    @ray.remote
    class Plain:
        @ray.method(concurrency_group="io")
        def wait(self) -> None:
            pass

    with pytest.raises(ValueError, match="no concurrency group 'io'"):
        Plain.remote()
    actor = Threaded.remote()
    with pytest.raises(ValueError, match=r"no concurrency group 'disk'; its groups: io"):
        actor.now.options(concurrency_group="disk").remote()
    with pytest.raises(ValueError, match="give them to remote"):
        Threaded.options(concurrency_groups={"io": 3})
    with pytest.raises(ValueError, match="1 or more"):
        ray.remote(concurrency_groups={"io": 0})(type("Bad", (), {}))
    with pytest.raises(ValueError, match="cannot be durable"):
        Threaded.options(durable=True, name="kept").remote()
