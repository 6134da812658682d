"""Actors on other nodes: order, handles, names, those that outlive drivers, restarts elsewhere, async and streams."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pytest

import sheaf as ray

from .nodes import Cluster, eventually

pytestmark = pytest.mark.timeout(90)

SECONDS = 40
A, B = {"resources": {"a": 0.01}}, {"resources": {"b": 0.01}}


@ray.remote
class Log:
    def __init__(self, first: Any = None) -> None:
        self._entries = [] if first is None else [first]

    def add(self, entry: Any) -> int:
        self._entries.append(entry)
        return len(self._entries)

    def entries(self) -> list[Any]:
        return self._entries

    def where(self) -> tuple[str, int]:
        return ray.get_runtime_context().get_node_id(), os.getpid()

    def stay(self) -> None:
        time.sleep(SECONDS)


@ray.remote
def add_to(log: Any, entries: list[Any]) -> int:
    return int(ray.get([log.add.remote(entry) for entry in entries])[-1])


def test_calls_run_in_order_on_another_node(driver: Cluster) -> None:
    log = Log.options(**B).remote()
    counts = [log.add.remote(number) for number in range(500)]
    assert ray.get(counts, timeout=SECONDS) == list(range(1, 501))
    assert ray.get(log.entries.remote(), timeout=SECONDS) == list(range(500))
    assert ray.get(log.where.remote(), timeout=SECONDS)[0] == driver.name_of(driver.members[1])


def test_arguments_that_are_late_or_large_keep_the_order(driver: Cluster) -> None:
    @ray.remote
    def late(value: Any) -> Any:
        time.sleep(0.3)
        return value

    log = Log.options(**B).remote()
    large = ray.put(np.arange(500_000))
    log.add.remote(late.options(**A).remote("first"))
    log.add.remote(large)
    log.add.remote("last")
    first, array, last = ray.get(log.entries.remote(), timeout=SECONDS)
    assert (first, array.sum(), last) == ("first", sum(range(500_000)), "last")


def test_handles_are_passed_between_nodes(driver: Cluster) -> None:
    log = Log.options(**B).remote()
    told = [add_to.options(**where).remote(log, list(range(20))) for where in (A, B, A)]
    ray.get(told, timeout=SECONDS)
    assert sorted(ray.get(log.entries.remote(), timeout=SECONDS)) == sorted(3 * list(range(20)))

    @ray.remote
    def make() -> Any:
        made = Log.options(**A).remote("made")
        ray.get(made.add.remote("by a task"))
        return made

    # Its maker has ended: the handle holds it.
    made = ray.get(make.options(**B).remote(), timeout=SECONDS)
    ray.get(add_to.options(**B).remote(made, ["elsewhere"]), timeout=SECONDS)
    assert ray.get(made.entries.remote(), timeout=SECONDS) == ["made", "by a task", "elsewhere"]


def actors_of(cluster: Cluster) -> int:
    return sum(bool(row["actor"]) for row in cluster.rows("workers"))


def test_an_actor_ends_with_its_last_handle(driver: Cluster) -> None:
    eventually(lambda: actors_of(driver), 0)
    log = Log.options(**B).remote()
    boxed = ray.put([log])
    ray.get(log.add.remote(1), timeout=SECONDS)
    del log
    [log] = ray.get(boxed)
    assert ray.get(log.entries.remote(), timeout=SECONDS) == [1]
    assert actors_of(driver) == 1
    del log, boxed
    eventually(lambda: actors_of(driver), 0)


def test_calls_that_raise_tell_the_traceback(driver: Cluster) -> None:
    @ray.remote
    class Fails:
        def now(self) -> None:
            raise KeyError("of another node")

    with pytest.raises(KeyError, match="of another node") as raised:
        ray.get(Fails.options(**B).remote().now.remote(), timeout=SECONDS)
    assert isinstance(raised.value, ray.exceptions.TaskError)


def test_async_threaded_and_streaming_actors(driver: Cluster) -> None:
    @ray.remote
    class Async:
        def __init__(self) -> None:
            self._event = asyncio.Event()

        async def wait(self) -> str:
            await self._event.wait()
            return "woken"

        async def wake(self) -> None:
            self._event.set()

        async def count(self, until: int) -> AsyncIterator[int]:
            for number in range(until):
                yield number

    @ray.remote
    class Threaded:
        def __init__(self) -> None:
            self._barrier = threading.Barrier(3)

        def meet(self) -> int:
            return self._barrier.wait(10) * 0

        def blocks(self, count: int) -> Iterator[Any]:
            for number in range(count):
                yield np.full(200_000, number)

    waits = Async.options(**B).remote()
    waiting = [waits.wait.remote() for _ in range(3)]
    waits.wake.remote()
    assert ray.get(waiting, timeout=SECONDS) == ["woken"] * 3
    stream = waits.count.options(num_returns="streaming").remote(50)
    assert [ray.get(ref) for ref in stream] == list(range(50))
    threaded = Threaded.options(max_concurrency=3, **B).remote()
    assert ray.get([threaded.meet.remote() for _ in range(3)], timeout=SECONDS) == [0, 0, 0]
    blocks = threaded.blocks.options(num_returns="streaming").remote(6)
    assert [int(ray.get(ref).sum()) for ref in blocks] == [number * 200_000 for number in range(6)]


@ray.remote
def stream_of(count: int) -> Iterator[Any]:
    for number in range(count):
        yield np.full(100_000, number)


def test_streams_of_tasks_cross_nodes(driver: Cluster) -> None:
    stream = stream_of.options(num_returns="streaming", **B).remote(8)
    assert [int(ray.get(ref, timeout=SECONDS)[0]) for ref in stream] == list(range(8))


NAMES = """
import sys
import sheaf as ray
address, action, space = sys.argv[1:]
ray.init(address, namespace=space)

@ray.remote
class Counter:
    def __init__(self):
        self.count = 0
    def add(self):
        self.count += 1
        return self.count

if action == "make":
    kept = Counter.options(name="counter", lifetime="detached", resources={"b": 0.01}).remote()
    mine = Counter.options(name="mine", resources={"b": 0.01}).remote()
    print(ray.get([kept.add.remote(), mine.add.remote()], timeout=30))
elif action == "use":
    found = ray.get_actor("counter")
    print(ray.get(found.add.remote(), timeout=30), ray.util.list_named_actors())
elif action == "end":
    ray.kill(ray.get_actor("counter"))
try:
    ray.get_actor("mine" if action != "make" else "nobody")
except ValueError as error:
    print("ValueError")
"""


def test_names_and_detached_actors(driver: Cluster) -> None:
    def run(action: str, space: str = "here") -> tuple[int, list[str]]:
        done = driver.run_driver(NAMES, action, space)
        assert "Traceback" not in done.stderr or space != "here", done.stderr
        return done.returncode, done.stdout.splitlines()

    assert run("make") == (0, ["[1, 1]", "ValueError"])
    # The one that is not detached has ended with its driver.
    assert run("use") == (0, ["2 ['counter']", "ValueError"])
    assert run("use") == (0, ["3 ['counter']", "ValueError"])
    code, lines = run("use", "elsewhere")
    assert (code, lines) == (1, [])
    assert actors_of(driver) == 1
    assert run("end") == (0, ["ValueError"])
    eventually(lambda: actors_of(driver), 0)


def test_a_name_is_found_by_a_second_driver_while_the_first_lives(driver: Cluster) -> None:
    code = """
import sys
import sheaf as ray
ray.init(sys.argv[1], namespace="shared")
@ray.remote
class Box:
    def __init__(self): self.value = None
    def set(self, value): self.value = value
    def get(self): return self.value
box = Box.options(name="box", resources={"b": 0.01}).remote()
ray.get(box.set.remote("first's"), timeout=30)
print("ready", flush=True)
sys.stdin.readline()
print(ray.get(box.get.remote(), timeout=30), flush=True)
"""
    with driver.started_driver(code) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        ray.shutdown()
        ray.init(driver.address, namespace="shared")
        box = ray.get_actor("box")
        assert ray.get(box.get.remote(), timeout=SECONDS) == "first's"
        ray.get(box.set.remote("second's"), timeout=SECONDS)
        output, errors = first.communicate("\n", timeout=30)
        assert output == "second's\n", errors
    # Handles are counted wherever they are: that of the second holds it.
    assert ray.get(box.get.remote(), timeout=SECONDS) == "second's"
    del box
    eventually(lambda: actors_of(driver), 0)


def test_an_actor_is_made_anew_on_another_node(pair: Callable[..., Cluster]) -> None:
    cluster = pair()
    lost = cluster.add(num_cpus=1, resources={"b": 1})
    ray.init(cluster.address)
    both = {cluster.name_of(member): member for member in cluster.members[1:]}
    log = Log.options(max_restarts=1, max_task_retries=5, **B).remote("first")
    node, _ = ray.get(log.where.remote(), timeout=SECONDS)
    lost = both.pop(node)
    lost.kill()
    # It is back, without what it had heard, where the resource is.
    [other] = both
    assert ray.get(log.where.remote(), timeout=SECONDS)[0] == other
    assert ray.get(log.entries.remote(), timeout=SECONDS) == ["first"]


def test_a_call_on_a_node_that_dies_tells_whether_the_actor_may_come_back(pair: Callable[..., Cluster]) -> None:
    cluster = pair()
    lost = cluster.add(num_cpus=1, resources={"c": 1})
    ray.init(cluster.address)
    log = Log.options(max_restarts=1, max_concurrency=2, resources={"c": 0.1}).remote()
    call = log.stay.remote()
    ray.get(log.where.remote(), timeout=SECONDS)
    lost.kill()
    cluster.add(num_cpus=1, resources={"c": 1})
    with pytest.raises(ray.exceptions.ActorUnavailableError, match="died"):
        ray.get(call, timeout=SECONDS)
    assert ray.get(log.entries.remote(), timeout=SECONDS) == []


def test_an_actor_that_may_not_restart_dies_with_its_node(pair: Callable[..., Cluster]) -> None:
    cluster = pair()
    ray.init(cluster.address)
    log = Log.options(**B).remote()
    ray.get(log.add.remote(1), timeout=SECONDS)
    cluster.members[1].kill()
    with pytest.raises(ray.exceptions.ActorDiedError, match="node"):
        ray.get(log.entries.remote(), timeout=SECONDS)
    # The others go on.
    assert ray.get(Log.options(**A).remote().add.remote(1), timeout=SECONDS) == 1
