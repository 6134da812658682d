"""`init(local_mode=True)`: what elsewhere runs in workers runs here, in order, and means the same."""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import sheaf as ray
from sheaf.util.queue import Queue

from . import processes

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("inline")]


@pytest.fixture(scope="module")
def inline(nothing_left: None) -> Iterator[None]:
    ray.init(local_mode=True, num_cpus=2, namespace="here")
    yield
    ray.shutdown()


@ray.remote
def where() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


@ray.remote
def echo(value: Any) -> Any:
    return value


@ray.remote
def fail(error: BaseException) -> None:
    raise error


@ray.remote
class Counter:
    def __init__(self, start: int = 0) -> None:
        if start < 0:
            raise ValueError(f"{start} is less than nothing")
        self.count = start

    def add(self, by: int = 1) -> int:
        self.count += by
        return self.count

    async def later(self) -> int:
        await asyncio.sleep(0.001)
        return self.count

    async def steps(self) -> Any:
        for step in range(self.count):
            yield step

    def me(self) -> Any:
        return ray.get_runtime_context().current_actor

    def leave(self) -> None:
        ray.actor.exit_actor()

    def quit(self) -> None:
        sys.exit(1)


def test_all_of_it_runs_in_this_thread_and_starts_no_process() -> None:
    before = processes.descendants()
    assert ray.get(where.remote()) == (os.getpid(), threading.get_ident())
    assert processes.descendants() == before


def test_a_call_has_run_when_remote_returns() -> None:
    seen = Counter.remote()
    seen.add.remote()
    ready, others = ray.wait([seen.add.remote(), echo.remote(1)], num_returns=2, timeout=0)
    assert (len(ready), others) == (2, [])
    assert "is ready" in ray.explain(ready[0])
    assert ray.get(seen.add.remote()) == 3


def test_values_are_copies_that_cannot_be_written_to() -> None:
    array = np.zeros(100_000)
    ref = ray.put(array)
    array[0] = 1
    assert ray.get(ref)[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        ray.get(ref)[0] = 1
    listed = [1]
    assert ray.get(echo.remote(listed)) is not listed


def test_references_within_values_keep_them() -> None:
    outer = ray.put([ray.put("inner")])
    assert ray.get(ray.get(outer)[0]) == "inner"
    assert ray.get(ray.get(echo.remote([ray.put("handed on")]))[0]) == "handed on"


def test_errors_are_raised_by_get_and_by_what_depends_on_them() -> None:
    failed = fail.remote(KeyError("lost"))
    for ref in (failed, echo.remote(failed)):
        with pytest.raises(KeyError) as raised:
            ray.get(ref)
        assert isinstance(raised.value, ray.exceptions.RayTaskError)
    with pytest.raises(ray.exceptions.WorkerCrashedError, match="exit"):
        ray.get(fail.remote(SystemExit(3)))
    with pytest.raises(KeyboardInterrupt):
        fail.remote(KeyboardInterrupt())


def test_a_task_is_tried_again_where_it_asks_for_that() -> None:
    tries = Counter.remote()

    @ray.remote(retry_exceptions=[OSError], max_retries=2)
    def at_last() -> int:
        if (tried := ray.get(tries.add.remote())) < 3:
            raise OSError("not yet")
        return tried

    assert ray.get(at_last.remote()) == 3


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="num_cpus"):
        echo.options(num_cpus=-1)
    with pytest.raises(TypeError, match="too many positional"):
        echo.remote(1, 2)
    assert ray.get(echo.options(num_gpus=100).remote(1)) == 1


def test_several_results_and_those_that_come_one_by_one() -> None:
    assert ray.get(echo.options(num_returns=2).remote((1, 2))) == [1, 2]

    @ray.remote
    def count(to: int) -> Iterator[int]:
        yield from range(to)
        raise ValueError("the end")

    refs = list(count.remote(2))
    assert ray.get(refs[:2]) == [0, 1]
    with pytest.raises(ValueError, match="the end"):
        ray.get(refs[2])


def test_actors_live_as_long_as_their_handles() -> None:
    actor = Counter.options(name="named").remote(1)
    assert ray.get(ray.get_actor("named").add.remote()) == 2
    assert ray.get(ray.get(actor.me.remote()).add.remote()) == 3
    assert ray.get(actor.later.remote()) == 3
    assert [ray.get(ref) for ref in actor.steps.options(num_returns="streaming").remote()] == [0, 1, 2]
    assert ray.get(ray.put([actor]))[0] == actor
    del actor
    with pytest.raises(ValueError, match="named"):
        ray.get_actor("named")


def test_actors_end() -> None:
    for end in (lambda actor: actor.leave.remote(), lambda actor: actor.quit.remote(), ray.kill):
        actor = Counter.remote()
        end(actor)
        with pytest.raises(ray.exceptions.ActorDiedError):
            ray.get(actor.add.remote())
    with pytest.raises(ray.exceptions.ActorDiedError, match="less than nothing"):
        ray.get(Counter.remote(-1).add.remote())
    with pytest.raises(ray.exceptions.ActorDiedError, match="bad argument"):
        ray.get(Counter.remote(fail.remote(ValueError("bad argument"))).add.remote())
    again = Counter.options(max_restarts=1).remote(5)
    ray.get(again.add.remote())
    ray.kill(again, no_restart=False)
    assert ray.get(again.add.remote()) == 6


def test_the_context_is_that_of_the_call() -> None:
    context = ray.get_runtime_context()
    assert (context.get_task_id(), context.get_actor_id(), context.namespace) == (None, None, "here")

    @ray.remote
    def told() -> tuple[Any, ...]:
        context = ray.get_runtime_context()
        return context.get_task_name(), context.get_actor_id(), context.get_assigned_resources()

    assert ray.get(told.remote()) == ("told", None, {"CPU": 1.0})

    @ray.remote
    class Asks:
        def ask(self) -> Any:
            return ray.get_runtime_context().get_actor_id(), ray.get(told.remote())[1]

    asks = Asks.remote()
    assert ray.get(asks.ask.remote()) == (asks._ray_actor_id, None)


def test_within_an_event_loop() -> None:
    async def work() -> list[Any]:
        actor = Counter.remote(7)
        return [await actor.later.remote(), await echo.remote(8), ray.get(actor.later.remote())]

    assert asyncio.run(work()) == [7, 8, 7]


def test_what_is_built_on_it() -> None:
    pool = ray.util.ActorPool([Counter.remote(), Counter.remote()])
    assert sorted(pool.map(lambda actor, by: actor.add.remote(by), [1, 2, 3])) == [1, 2, 4]
    queue = Queue()
    queue.put("first")
    assert queue.get() == "first"


def test_a_breakpoint_stops_in_this_process() -> None:
    stops: list[int] = []

    @ray.remote
    def stops_here() -> None:
        breakpoint()

    hook, sys.breakpointhook = sys.breakpointhook, lambda *_, **__: stops.append(os.getpid())
    try:
        ray.get(stops_here.remote())
    finally:
        sys.breakpointhook = hook
    assert stops == [os.getpid()]


def test_references_of_an_ended_session_are_refused() -> None:
    ended = processes.run_driver("""
import sheaf
sheaf.init(local_mode=True)
before = sheaf.put(1)
sheaf.shutdown()
sheaf.init(num_cpus=1)
try:
    sheaf.get(before)
except RuntimeError as error:
    print(error)
""")
    assert "of a runtime that has ended" in ended.stdout, ended.stderr
