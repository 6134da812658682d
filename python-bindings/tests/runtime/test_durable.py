"""Durable actors: an acknowledged call is in the state exactly once, whatever dies."""

import os
import random
import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import sheaf as ray
from sheaf.exceptions import ActorAlreadyExistsError, ActorDiedError, DurableError, DurableFencedError, RayActorError

from . import processes

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("runtime")]


@ray.remote
class Notebook:
    """Notes who calls; says how many notes there are."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.notes: list[tuple[int, int]] = []
        (self.folder / f"constructed {time.monotonic_ns()}").touch()
        self.show_pid()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.show_pid()

    def show_pid(self) -> None:
        (self.folder / "pid").write_text(str(os.getpid()))

    def note(self, caller: int, number: int) -> int:
        self.notes.append((caller, number))
        return len(self.notes)

    def note_and_raise(self, caller: int, number: int) -> None:
        self.notes.append((caller, number))
        raise KeyError(number)

    @ray.method(durable=False)
    def read(self) -> list[tuple[int, int]]:
        return self.notes

    def note_each(self, count: int) -> Any:
        for number in range(count):
            self.notes.append((-1, number))
            yield number

    def take(self, thing: Any) -> None:
        self.thing = thing

    def note_and_die_when_saved(self, caller: int, number: int, raises: bool) -> int:
        """Dies, in its first life, between the saving of this very call and its answer."""
        from sheaf._runtime.durable.log import Log

        def and_die(write: Any) -> Any:
            return lambda log, data: (write(log, data), os.kill(os.getpid(), signal.SIGKILL))

        Log.append, Log.start = and_die(Log.append), and_die(Log.start)  # type: ignore[method-assign]
        self.notes.append((caller, number))
        if raises:
            raise KeyError(number)
        return len(self.notes)


def notebook(folder: Path, every: int = 1, name: str = "notebook", **options: Any) -> Any:
    durable = ray.Durable(store=folder / "store", every=every)
    return Notebook.options(durable=durable, name=name, **options).remote(str(folder))


def kill(folder: Path) -> None:
    """Kill the process of the actor, whichever it is now."""
    try:
        os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
    except (ProcessLookupError, FileNotFoundError, ValueError):
        return


def end(actor: Any, name: str = "notebook") -> None:
    """End an actor for good, and wait until its name is free."""
    ray.kill(actor)
    assert processes.becomes_true(lambda: name not in ray.util.list_named_actors(), 10)


@ray.remote(num_cpus=0)
def call(actor: Any, caller: int, count: int) -> dict[int, int]:
    """Calls one after the other without waiting for answers; which were acknowledged, with what."""
    refs = [actor.note.remote(caller, number) for number in range(count)]
    acknowledged = {}
    for number, ref in enumerate(refs):
        try:
            acknowledged[number] = ray.get(ref)
        except RayActorError:
            continue
    return acknowledged


CALLERS, CALLS, KILLS = 3, 80, 8


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("retries", [-1, 0])
def test_acknowledged_calls_are_there_once_and_in_order(tmp_path: Path, seed: int, every: int, retries: int) -> None:
    chance = random.Random(f"{seed} {every} {retries}")
    actor = notebook(tmp_path, every, max_task_retries=retries)
    ray.get(actor.__ray_ready__.remote())
    calls = [call.remote(actor, caller, CALLS) for caller in range(CALLERS)]
    for _ in range(KILLS):
        if len(ray.wait(calls, num_returns=CALLERS, timeout=chance.uniform(0, 0.3))[0]) == CALLERS:
            break
        kill(tmp_path)
    answers = dict(enumerate(ray.get(calls, timeout=100)))
    kill(tmp_path)
    end(actor)
    notes = ray.get(notebook(tmp_path, every).read.remote(), timeout=20)
    assert len(list(tmp_path.glob("constructed *"))) == 1
    by_caller = defaultdict(list)
    for caller, number in notes:
        by_caller[caller].append(number)
    for caller, numbers in by_caller.items():
        assert numbers == sorted(set(numbers)), f"seed {seed}: caller {caller}: once and in order"
    for caller, acknowledged in answers.items():
        assert {number: notes[place - 1] for number, place in acknowledged.items()} == {
            number: (caller, number) for number in acknowledged
        }, f"seed {seed}: each is where its answer said"
        if retries:
            assert list(acknowledged) == list(range(CALLS))


@pytest.mark.parametrize("every", [1, 2, 50])
def test_a_saved_call_whose_answer_was_not_heard_is_answered_and_not_run_again(tmp_path: Path, every: int) -> None:
    actor = notebook(tmp_path, every)
    for number in range(4):
        assert ray.get(actor.note_and_die_when_saved.remote(0, number, False), timeout=20) == number + 1
    with pytest.raises(KeyError):
        ray.get(actor.note_and_die_when_saved.remote(0, 4, True), timeout=20)
    assert ray.get(actor.read.remote()) == [(0, number) for number in range(5)]


@pytest.mark.parametrize("every", [1, 50])
def test_what_a_method_did_before_it_raised_is_saved(tmp_path: Path, every: int) -> None:
    actor = notebook(tmp_path, every)
    with pytest.raises(KeyError):
        ray.get(actor.note_and_raise.remote(0, 0))
    kill(tmp_path)
    assert ray.get(actor.read.remote(), timeout=20) == [(0, 0)]


@pytest.mark.parametrize("every", [1, 50])
def test_a_generator_is_saved_at_its_end(tmp_path: Path, every: int) -> None:
    actor = notebook(tmp_path, every)
    assert [ray.get(ref) for ref in actor.note_each.remote(3)] == [0, 1, 2]
    kill(tmp_path)
    assert ray.get(actor.read.remote(), timeout=20) == [(-1, 0), (-1, 1), (-1, 2)]


def test_what_is_cancelled_is_saved_as_far_as_it_came(tmp_path: Path) -> None:
    actor = notebook(tmp_path, every=50)

    def sleeping(self: Any) -> None:
        self.notes.append((0, 0))
        (self.folder / "sleeps").touch()
        time.sleep(60)

    ref = actor.__ray_call__.remote(sleeping)
    assert processes.becomes_true((tmp_path / "sleeps").exists, 10)
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref)
    kill(tmp_path)
    assert ray.get(actor.read.remote(), timeout=20) == [(0, 0)]


def test_methods_that_change_nothing_write_nothing(tmp_path: Path) -> None:
    actor = notebook(tmp_path)
    ray.get(actor.read.remote())
    before = sorted((tmp_path / "store").rglob("*"))
    ray.get([actor.read.remote() for _ in range(10)])
    assert sorted((tmp_path / "store").rglob("*")) == before
    with pytest.raises(ValueError, match="durable"):
        actor.note.options(durable=False)


def test_arrays_can_be_changed_after_a_restart(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")

    @ray.remote(durable=ray.Durable(tmp_path), name="sums")
    class Sums:
        def __init__(self) -> None:
            self.sums = np.zeros(1000)

        def add(self, values: Any) -> float:
            self.sums += values
            return float(self.sums.sum())

        def pid(self) -> int:
            return os.getpid()

    sums = Sums.remote()
    assert ray.get(sums.add.remote(np.ones(1000))) == 1000
    os.kill(ray.get(sums.pid.remote()), signal.SIGKILL)
    assert ray.get(sums.add.remote(np.ones(1000)), timeout=20) == 2000


@pytest.mark.parametrize("every", [1, 2])
def test_what_cannot_be_pickled_fails_the_call_and_is_undone(tmp_path: Path, every: int) -> None:
    actor = notebook(tmp_path, every)
    assert ray.get(actor.note.remote(0, 0)) == 1

    def hold(self: Any) -> None:
        import threading

        self.notes.append((9, 9))
        self.lock = threading.Lock()

    with pytest.raises(DurableError, match=r"lock.*\n.*__getstate__"):
        ray.get(actor.__ray_call__.remote(hold))
    assert ray.get([actor.read.remote(), actor.note.remote(0, 1)]) == [[(0, 0)], 2]
    for thing in ([ray.put(1)], [actor]):
        with pytest.raises(DurableError, match="reference to an object or actor"):
            ray.get([actor.take.remote(thing), actor.take.remote(thing)])
    kill(tmp_path)
    assert ray.get(actor.read.remote(), timeout=20) == [(0, 0), (0, 1)]


@pytest.mark.parametrize("every", [1, 50])
def test_a_full_disk_fails_the_call_which_is_undone(tmp_path: Path, every: int) -> None:
    actor = notebook(tmp_path, every)

    def let_files_have(self: Any, size: int) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    assert ray.get(actor.note.remote(0, 0)) == 1
    [written] = (tmp_path / "store").rglob("*.journal")
    ray.get(actor.__ray_call__.remote(let_files_have, 1 << 20))
    size = written.stat().st_size
    with pytest.raises(DurableError, match="File too large"):
        ray.get(actor.take.remote(b"x" * (1 << 20)))
    assert written.stat().st_size == size
    assert ray.get([actor.read.remote(), actor.note.remote(0, 1)]) == [[(0, 0)], 2]
    kill(tmp_path)
    assert ray.get([actor.read.remote(), actor.note.remote(0, 2)], timeout=20) == [[(0, 0), (0, 1)], 3]


def test_another_program_takes_over(tmp_path: Path) -> None:
    actor = notebook(tmp_path)
    assert ray.get(actor.note.remote(0, 0)) == 1
    other = processes.run_driver(OTHER, tmp_path)
    assert other.stdout.splitlines() == ["[2, 3]"], other.stderr
    with pytest.raises(DurableFencedError, match="another program"):
        ray.get(actor.note.remote(0, 1))
    # It does not come back to take over in its turn.
    with pytest.raises(ActorDiedError):
        ray.get(actor.note.remote(0, 2), timeout=20)
    assert processes.becomes_true(lambda: "notebook" not in ray.util.list_named_actors(), 10)
    notes = ray.get(notebook(tmp_path).read.remote())
    assert notes[:3] == [(0, 0), (1, 0), (1, 1)]
    # Whether what was not acknowledged is there is not known: it is not, or once.
    assert notes[3:] in ([], [(0, 1)])


OTHER = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import sheaf as ray
from pathlib import Path
from runtime.test_durable import notebook
ray.init(num_cpus=1)
actor = notebook(Path(sys.argv[1]))
print(ray.get([actor.note.remote(1, number) for number in range(2)]), flush=True)
"""


@pytest.mark.parametrize("every", [1, 5])
def test_a_later_program_goes_on(tmp_path: Path, every: int) -> None:
    with processes.started_driver(COUNTING, tmp_path, every) as driver:
        assert driver.stdout is not None
        acknowledged = [int(driver.stdout.readline()) for _ in range(12)]
        driver.kill()
        acknowledged += [int(line) for line in driver.stdout]
    assert acknowledged == list(range(1, len(acknowledged) + 1))
    with processes.started_driver(COUNTING, tmp_path, every) as driver:
        assert driver.stdout is not None
        # The one under way when it was killed may have been saved, and the one that was not read yet.
        assert int(driver.stdout.readline()) - len(acknowledged) in (1, 2)


COUNTING = """
import sys
import sheaf as ray

@ray.remote(durable=ray.Durable(sys.argv[1], every=int(sys.argv[2])), name="counter")
class Counter:
    def __init__(self):
        self.count = 0

    def add(self):
        self.count += 1
        return self.count

ray.init(num_cpus=1)
counter = Counter.remote()
while True:
    print(ray.get(counter.add.remote()), flush=True)
"""


def test_a_name_is_what_state_is_found_by(tmp_path: Path) -> None:
    first = notebook(tmp_path, name="a/../b", namespace="one")
    assert ray.get(first.note.remote(0, 0)) == 1
    assert ray.get(notebook(tmp_path, name="a/../b", namespace="two").note.remote(0, 0)) == 1
    assert ray.get(notebook(tmp_path, name=".", namespace="one").note.remote(0, 0)) == 1
    with pytest.raises(ActorAlreadyExistsError):
        notebook(tmp_path, name="a/../b", namespace="one")
    assert ray.get(first.note.remote(0, 1)) == 2, "it was not taken over"
    store = tmp_path / "store"
    listed = [
        {"name": name, "namespace": space} for space, name in (("one", "."), ("one", "a/../b"), ("two", "a/../b"))
    ]
    assert ray.util.list_durable(store) == listed
    assert ray.util.delete_durable("a/../b", "two", store=store)
    assert not ray.util.delete_durable("a/../b", "two", store=store)
    assert ray.util.list_durable(store) == listed[:2]
    assert ray.util.delete_durable("a/../b", "one", store=store)
    with pytest.raises(DurableFencedError, match="deleted"):
        ray.get(first.note.remote(0, 2))


def test_the_default_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    actor = Notebook.options(durable=True, name="n").remote(str(tmp_path))
    assert ray.get(actor.note.remote(0, 0)) == 1
    assert (tmp_path / "sheaf/durable/default/n").is_dir()
    assert ray.util.list_durable() == [{"name": "n", "namespace": "default"}]


def test_what_cannot_be_durable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no name"):
        Notebook.options(durable=True).remote(str(tmp_path))
    with pytest.raises(ValueError, match="threaded"):
        notebook(tmp_path, max_concurrency=2)

    @ray.remote(durable=True, name="async")
    class Async:
        async def work(self) -> None: ...

    with pytest.raises(ValueError, match="async"):
        Async.remote()
    for wrong in ("yes", 1.5):
        with pytest.raises(TypeError, match="durable"):
            Notebook.options(durable=wrong)
    with pytest.raises(ValueError, match="every"):
        ray.Durable(every=0)
    assert ray.get(Notebook.options(durable=False).remote(str(tmp_path)).note.remote(0, 0)) == 1


def test_another_class_is_refused(tmp_path: Path) -> None:
    actor = notebook(tmp_path)
    ray.get(actor.note.remote(0, 0))
    end(actor)

    @ray.remote(durable=ray.Durable(tmp_path / "store"), name="notebook")
    class Other:
        def work(self) -> None: ...

    with pytest.raises(ActorDiedError, match="class Notebook, and not Other"):
        ray.get(Other.remote().work.remote())
