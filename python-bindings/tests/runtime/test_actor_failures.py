"""Actors that end: constructors that raise, dead processes, restarts, calls that are tried again, ends on purpose."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sheaf as ray
from sheaf.exceptions import ActorDiedError, ActorUnavailableError, RayActorError, RayTaskError

from . import processes

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]


@ray.remote
class Mortal:
    """Counts what it is asked, and the lives that it has had: each leaves a file."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.life = len(list(self.folder.glob("life *"))) + 1
        (self.folder / f"life {self.life}").touch()
        self.count = 0

    def add(self) -> tuple[int, int]:
        self.count += 1
        return self.life, self.count

    def pid(self) -> int:
        return os.getpid()

    def die(self, times: int = 1) -> int:
        """Dies at the first calls, of all lives together."""
        tried = len(list(self.folder.glob("call *"))) + 1
        (self.folder / f"call {tried}").touch()
        if tried <= times:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.life

    def leave(self, how: str) -> None:
        if how == "exit_actor":
            ray.actor.exit_actor()
        elif how == "sys.exit":
            sys.exit(0)
        else:
            os._exit(0)

    def sleep(self, seconds: float) -> None:
        (self.folder / "sleeps").touch()
        time.sleep(seconds)


def lives(folder: Path) -> int:
    return len(list(folder.glob("life *")))


def calls(folder: Path) -> int:
    return len(list(folder.glob("call *")))


def eventually(call: Callable[[], Any]) -> Any:
    """The result of a call that may come while the actor is between two lives."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return ray.get(call(), timeout=20)
        except RayActorError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def test_a_failed_constructor_is_told_at_the_first_call() -> None:
    @ray.remote
    class Broken:
        def __init__(self) -> None:
            raise KeyError("the very cause")

        def work(self) -> int:
            return 1

    broken = Broken.remote()
    for _ in range(2):
        with pytest.raises(ActorDiedError, match="the very cause"):
            ray.get(broken.work.remote())


def test_a_constructor_whose_argument_failed() -> None:
    @ray.remote
    def fail() -> None:
        raise KeyError("the very cause")

    with pytest.raises(Exception, match="the very cause"):
        ray.get(Mortal.remote(fail.remote()).add.remote())


def test_death_ends_calls_and_handles(tmp_path: Path) -> None:
    mortal = Mortal.remote(str(tmp_path))
    assert ray.get(mortal.add.remote()) == (1, 1)
    dying, behind = mortal.die.remote(), mortal.add.remote()
    for ref in (dying, behind, mortal.add.remote()):
        with pytest.raises(RayActorError) as raised:
            ray.get(ref)
        assert not isinstance(raised.value, RayTaskError)
    assert processes.becomes_true(lambda: died(mortal), 10)
    assert (lives(tmp_path), calls(tmp_path)) == (1, 1)


def died(actor: Any) -> bool:
    try:
        ray.get(actor.add.remote())
    except ActorDiedError:
        return True
    except RayActorError:
        return False
    return False


def test_a_restart_replays_the_constructor(tmp_path: Path) -> None:
    mortal = Mortal.options(max_restarts=1).remote(str(tmp_path))
    first = ray.get(mortal.pid.remote())
    assert ray.get([mortal.add.remote(), mortal.add.remote()]) == [(1, 1), (1, 2)]
    with pytest.raises(RayActorError):
        ray.get(mortal.die.remote(2))
    assert eventually(lambda: mortal.add.remote()) == (2, 1)
    assert eventually(lambda: mortal.pid.remote()) != first
    with pytest.raises(RayActorError):
        ray.get(mortal.die.remote(2))
    assert processes.becomes_true(lambda: died(mortal), 10)
    assert lives(tmp_path) == 2


def test_a_call_in_flight_is_tried_again_only_where_asked(tmp_path: Path) -> None:
    for retries in (0, 1):
        folder = tmp_path / str(retries)
        folder.mkdir()
        mortal = Mortal.options(max_restarts=1, max_task_retries=retries).remote(str(folder))
        dying = mortal.die.remote()
        if retries:
            assert ray.get(dying, timeout=30) == 2
        else:
            with pytest.raises(RayActorError):
                ray.get(dying, timeout=30)
        assert eventually(lambda mortal=mortal: mortal.add.remote())[0] == 2
        assert calls(folder) == retries + 1


def test_retries_of_calls_end(tmp_path: Path) -> None:
    mortal = Mortal.options(max_restarts=-1, max_task_retries=2).remote(str(tmp_path))
    with pytest.raises(RayActorError):
        ray.get(mortal.die.remote(100), timeout=40)
    assert calls(tmp_path) == 3


def test_exceptions_of_methods_are_tried_again_where_asked(tmp_path: Path) -> None:
    @ray.remote(max_task_retries=3)
    class Unsteady:
        def __init__(self) -> None:
            self.tries = 0

        @ray.method(retry_exceptions=[ConnectionError])
        def third(self) -> int:
            self.tries += 1
            if self.tries < 3:
                raise ConnectionError("no line")
            return self.tries

        def once(self) -> None:
            self.tries += 1
            raise ConnectionError(f"try {self.tries}")

    assert ray.get(Unsteady.remote().third.remote()) == 3
    with pytest.raises(ConnectionError, match="try 1"):
        ray.get(Unsteady.remote().once.remote())


def test_kill(tmp_path: Path) -> None:
    mortal = Mortal.options(max_restarts=5, max_task_retries=5).remote(str(tmp_path))
    ray.get(mortal.add.remote())
    sleeping = mortal.sleep.remote(60)
    assert processes.becomes_true((tmp_path / "sleeps").exists, 10)
    ray.kill(mortal)
    for ref in (sleeping, mortal.add.remote()):
        with pytest.raises(ActorDiedError):
            ray.get(ref, timeout=20)
    assert lives(tmp_path) == 1


def test_kill_with_a_restart(tmp_path: Path) -> None:
    mortal = Mortal.options(max_restarts=1).remote(str(tmp_path))
    assert ray.get(mortal.add.remote()) == (1, 1)
    ray.kill(mortal, no_restart=False)
    assert processes.becomes_true(lambda: eventually(lambda: mortal.add.remote())[0] == 2, 20)


def test_a_call_tells_whether_its_actor_may_come_back(tmp_path: Path) -> None:
    mortal = Mortal.options(max_restarts=1).remote(str(tmp_path))
    for life, error in ((1, ActorUnavailableError), (2, ActorDiedError)):
        assert eventually(lambda: mortal.add.remote())[0] == life
        with pytest.raises(error, match="SIGKILL") as raised:
            ray.get(mortal.die.remote(times=2), timeout=20)
        assert isinstance(raised.value, RayActorError)
    with pytest.raises(ActorDiedError):
        ray.get(mortal.add.remote(), timeout=20)


def test_kill_is_for_actors() -> None:
    with pytest.raises(ValueError, match="kill"):
        ray.kill("text")


@pytest.mark.parametrize("how", ["exit_actor", "sys.exit"])
def test_an_actor_ends_on_purpose(tmp_path: Path, how: str) -> None:
    mortal = Mortal.options(max_restarts=5).remote(str(tmp_path))
    assert ray.get(mortal.add.remote()) == (1, 1)
    with pytest.raises(ActorDiedError):
        ray.get(mortal.leave.remote(how), timeout=20)
    assert processes.becomes_true(lambda: died(mortal), 20)
    assert lives(tmp_path) == 1


def test_an_async_actor_ends_on_purpose() -> None:
    @ray.remote
    class Async:
        async def leave(self) -> None:
            ray.actor.exit_actor()

        async def work(self) -> int:
            return 1

    actor = Async.remote()
    assert ray.get(actor.work.remote()) == 1
    with pytest.raises(RayActorError):
        ray.get(actor.leave.remote(), timeout=20)
    with pytest.raises(ActorDiedError):
        ray.get(actor.work.remote(), timeout=20)


def test_exit_actor_is_for_actors() -> None:
    @ray.remote
    def leave() -> None:
        ray.actor.exit_actor()

    with pytest.raises(TypeError, match="actor"):
        ray.get(leave.remote())


def test_a_name_is_free_again_after_the_end(tmp_path: Path) -> None:
    mortal = Mortal.options(name="again").remote(str(tmp_path))
    ray.get(mortal.add.remote())
    ray.kill(mortal)

    def is_free() -> bool:
        try:
            ray.get_actor("again")
        except ValueError:
            return True
        return False

    assert processes.becomes_true(is_free, 10)
    second = Mortal.options(name="again").remote(str(tmp_path))
    assert ray.get(second.add.remote()) == (2, 1)


def test_actors_beside_a_dead_one_go_on(tmp_path: Path) -> None:
    others = [Mortal.remote(str(tmp_path)) for _ in range(2)]
    ray.get([other.add.remote() for other in others])
    with pytest.raises(RayActorError):
        ray.get(Mortal.remote(str(tmp_path)).die.remote())
    assert [count for _, count in ray.get([other.add.remote() for other in others])] == [2, 2]


@ray.remote
def calls_and_dies(mortal: Any, folder: Path) -> None:
    mortal.sleep.remote(1)
    while not (folder / "sleeps").exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_actor_outlives_a_caller_that_dies_amid_its_call(tmp_path: Path) -> None:
    mortal = Mortal.remote(str(tmp_path))
    before = ray.get(mortal.pid.remote())
    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(calls_and_dies.options(max_retries=0).remote(mortal, tmp_path), timeout=30)
    assert ray.get(mortal.pid.remote(), timeout=30) == before
