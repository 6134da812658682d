"""Actors: the order of calls, handles, concurrency, names."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sheaf as ray
from sheaf.exceptions import ActorDiedError, RayActorError

from . import processes

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]


@ray.remote
class Counter:
    """Counts, and says in which process."""

    def __init__(self, start: int = 0, *, step: int = 1) -> None:
        self.count = start
        self.step = step

    def add(self) -> int:
        self.count += self.step
        return self.count

    def pid(self) -> int:
        return os.getpid()


@ray.remote
def add_by_task(counter: Any, times: int) -> list[int]:
    return ray.get([counter.add.remote() for _ in range(times)])


def is_gone(pid: int) -> Callable[[], bool]:
    def gone() -> bool:
        return not any(process.pid == pid for process in processes.alive(processes.descendants()))

    return gone


def test_calls_run_in_their_order() -> None:
    counter = Counter.remote(10, step=2)
    assert ray.get([counter.add.remote() for _ in range(500)]) == list(range(12, 1_012, 2))


def test_order_holds_when_arguments_come_late() -> None:
    @ray.remote
    class Recorder:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def add(self, value: Any) -> list[Any]:
            self.seen.append(value)
            return self.seen

    @ray.remote
    def late(value: str) -> str:
        time.sleep(0.3)
        return value

    recorder = Recorder.remote()
    recorder.add.remote(late.remote("late"))
    assert ray.get(recorder.add.remote("early")) == ["late", "early"]


def test_actors_are_processes_with_their_own_state() -> None:
    first, second = Counter.remote(), Counter.remote(100)
    assert ray.get([first.add.remote(), second.add.remote(), first.add.remote()]) == [1, 101, 2]
    assert len({*ray.get([first.pid.remote(), second.pid.remote(), first.pid.remote()]), os.getpid()}) == 3


def test_handles_go_to_tasks_actors_and_objects() -> None:
    @ray.remote
    class Owner:
        def __init__(self, handles: list[Any]) -> None:
            self.counter = handles[0]

        def add(self) -> int:
            return ray.get(self.counter.add.remote())

        def hand_out(self) -> Any:
            return self.counter

    counter = Counter.remote()
    owner = Owner.remote([counter])
    assert ray.get(add_by_task.remote(counter, 3)) == [1, 2, 3]
    assert ray.get(owner.add.remote()) == 4
    back = ray.get(owner.hand_out.remote())
    assert ray.get(back.add.remote()) == 5
    assert ray.get(ray.get(ray.put({"a": counter}))["a"].add.remote()) == 6
    assert back == counter
    assert len({back, counter}) == 1


def test_callers_do_not_mix_up_their_calls() -> None:
    counter = Counter.remote()
    found = ray.get([add_by_task.remote(counter, 20) for _ in range(4)])
    assert all(part == sorted(part) for part in found)
    assert sorted(number for part in found for number in part) == list(range(1, 81))


def test_an_actor_ends_with_its_last_handle() -> None:
    counter = Counter.remote()
    pid = ray.get(counter.pid.remote())
    kept = ray.put([counter])
    del counter
    assert ray.get(ray.get(kept)[0].pid.remote()) == pid
    assert not is_gone(pid)()
    del kept
    assert processes.becomes_true(is_gone(pid), 10)


def test_calls_that_were_made_run_before_the_end(tmp_path: Path) -> None:
    @ray.remote
    class Writer:
        def write(self, name: str) -> str:
            time.sleep(0.02)
            (tmp_path / name).touch()
            return name

    writer = Writer.remote()
    refs = [writer.write.remote(str(number)) for number in range(10)]
    del writer
    assert ray.get(refs) == [str(number) for number in range(10)]
    assert len(list(tmp_path.iterdir())) == 10


def test_a_failed_call_leaves_the_actor() -> None:
    @ray.remote
    class Divider:
        def divide(self, value: int) -> float:
            return 1 / value

    divider = Divider.remote()
    with pytest.raises(ZeroDivisionError):
        ray.get(divider.divide.remote(0))
    assert ray.get(divider.divide.remote(4)) == 0.25


def test_wrong_calls_are_refused_by_the_caller() -> None:
    counter = Counter.remote()
    with pytest.raises(TypeError, match="argument"):
        counter.add.remote(1)
    with pytest.raises(AttributeError, match="subtract"):
        counter.subtract.remote()
    with pytest.raises(TypeError, match="remote"):
        counter.add()
    with pytest.raises(TypeError, match="remote"):
        Counter()
    with pytest.raises(TypeError, match="argument"):
        Counter.remote(1, 2)


def test_methods_with_several_results() -> None:
    @ray.remote
    class Pairs:
        @ray.method(num_returns=2)
        def pair(self) -> tuple[int, int]:
            return 1, 2

    pairs = Pairs.remote()
    first, second = pairs.pair.remote()
    assert ray.get([second, first]) == [2, 1]
    assert ray.get(pairs.pair.options(num_returns=1).remote()) == (1, 2)


def test_inheritance_and_every_way_to_make_an_actor() -> None:
    class Base:
        size = 2

        @staticmethod
        def double(value: int) -> int:
            return 2 * value

        @classmethod
        def name(cls) -> str:
            return cls.__name__

        def both(self) -> int:
            return self.size + self.own()

    class Derived(Base):
        def own(self) -> int:
            return 5

    for remote in (ray.remote(Derived), ray.remote(num_cpus=0)(Derived), ray.remote(Derived).options(num_cpus=0)):
        actor = remote.remote()
        assert ray.get([actor.both.remote(), actor.double.remote(4), actor.name.remote()]) == [7, 8, "Derived"]


def test_a_threaded_actor_runs_calls_at_once() -> None:
    @ray.remote(max_concurrency=3)
    class Meeting:
        def __init__(self) -> None:
            self.barrier = threading.Barrier(3, timeout=30)

        def meet(self) -> int:
            self.barrier.wait()
            return threading.get_ident()

    meeting = Meeting.remote()
    assert len(set(ray.get([meeting.meet.remote() for _ in range(3)]))) == 3


def test_an_async_actor_runs_calls_at_once_on_one_thread() -> None:
    @ray.remote
    class Gate:
        def __init__(self) -> None:
            self.opened = asyncio.Event()

        async def enter(self) -> int:
            await self.opened.wait()
            return threading.get_ident()

        async def open(self) -> None:
            self.opened.set()

        async def fail(self) -> None:
            raise KeyError("async")

    gate = Gate.remote()
    entered = [gate.enter.remote() for _ in range(50)]
    assert ray.wait(entered, timeout=0.2) == ([], entered)
    gate.open.remote()
    assert len(set(ray.get(entered, timeout=30))) == 1
    with pytest.raises(KeyError, match="async"):
        ray.get(gate.fail.remote())


def test_an_async_actor_keeps_to_its_concurrency() -> None:
    @ray.remote(max_concurrency=2)
    class Room:
        def __init__(self) -> None:
            self.inside = self.most = 0

        async def enter(self) -> int:
            self.inside += 1
            self.most = max(self.most, self.inside)
            await asyncio.sleep(0.02)
            self.inside -= 1
            return self.most

    room = Room.remote()
    assert max(ray.get([room.enter.remote() for _ in range(10)])) == 2


@pytest.mark.timeout(120)
def test_a_hundred_actors_on_two_cpus() -> None:
    actors = [Counter.remote(number) for number in range(100)]
    assert ray.get([actor.add.remote() for actor in actors], timeout=110) == list(range(1, 101))


def test_an_explicit_number_of_cpus_is_held_for_life() -> None:
    holder = Counter.options(num_cpus=2).remote()
    ray.get(holder.add.remote())
    assert processes.becomes_true(lambda: ray.available_resources().get("CPU", 0) == 0, 10)
    waiting = add_by_task.remote(Counter.remote(), 1)
    assert ray.wait([waiting], timeout=0.5) == ([], [waiting])
    del holder
    assert ray.get(waiting, timeout=30) == [1]


def test_names() -> None:
    counter = Counter.options(name="named").remote(5)
    assert ray.get(ray.get_actor("named").add.remote()) == 6
    with pytest.raises(ValueError, match="named"):
        Counter.options(name="named").remote()
    same = Counter.options(name="named", get_if_exists=True).remote()
    assert same == counter
    assert ray.get(same.add.remote()) == 7
    other = Counter.options(name="named", namespace="elsewhere").remote(50)
    assert ray.get(ray.get_actor("named", namespace="elsewhere").add.remote()) == 51
    assert ray.get(other.add.remote()) == 52
    with pytest.raises(ValueError, match="unknown"):
        ray.get_actor("unknown")


def test_kill_and_death_by_name() -> None:
    counter = Counter.options(name="short-lived").remote()
    pid = ray.get(counter.pid.remote())
    ray.kill(counter)
    assert processes.becomes_true(is_gone(pid), 10)
    with pytest.raises(RayActorError) as raised:
        ray.get(counter.add.remote())
    assert isinstance(raised.value, ActorDiedError)
