"""What durable actors are saved in: folders and object stores do the same, and what is damaged is told."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import BUCKET, ObjectServer, serving

import sheaf as ray
from sheaf._runtime.durable import frames
from sheaf._runtime.durable.answers import Answers
from sheaf._runtime.durable.log import Log
from sheaf._runtime.durable.place import Place
from sheaf._runtime.durable.store import store_of
from sheaf.exceptions import ActorDiedError, DurableError, DurableFencedError, SheafError

from . import processes

pytestmark = [pytest.mark.timeout(60)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with serving(ObjectServer()) as server:
        yield server


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(str(tmp_path), "space/%2E")
    return Place(f"s3://{BUCKET}/a", "space/%2E", storage_options=request.getfixturevalue("server").options)


def log_of(place: Place) -> Log:
    log = Log(store_of(place), str(place))
    log.take_over()
    return log


def test_stores_do_the_same(place: Place) -> None:
    store, other = store_of(place), store_of(place)
    assert store.names("x") == []
    assert store.read("x/1") is None
    assert store.create("x/1", b"one")
    assert not other.create("x/1", b"two")
    store.append("x/2", b"a")
    store.append("x/2", b"b")
    store.append("x/3", b"c")
    assert [other.read(f"x/{name}") for name in (1, 2, 3)] == [b"one", b"ab", b"c"]
    with pytest.raises((OSError, SheafError)):
        other.append("x/2", b"not both")
    assert store.create("y/1", b"")
    names = store.names("x")
    assert names == sorted(names)
    assert {name.split(".")[0] for name in names} == {"1", "2", "3"}
    store.delete([*(f"x/{name}" for name in names), "x/none"])
    assert (store.names("x"), store.names("y")) == ([], ["1"])


def test_a_log_is_read_by_the_next_life(place: Place) -> None:
    first = log_of(place)
    assert first.read() is None
    first.start(b"one")
    first.append(b"two")
    first.append(b"three")
    assert log_of(place).read() == (b"one", [b"two", b"three"])
    third = log_of(place)
    third.start(b"four")
    assert log_of(place).read() == (b"four", [])
    store = store_of(place)
    assert store.names("saved") == ["00000003-000001.snapshot"], "what is in the snapshot is gone"
    for _ in range(20):
        log_of(place)
    assert len(store.names("epochs")) <= 10


def test_a_life_that_is_not_the_newest_acknowledges_nothing(place: Place) -> None:
    old = log_of(place)
    old.start(b"one")
    new = log_of(place)
    for write in (old.append, old.start):
        with pytest.raises(DurableFencedError, match="life 2 of it has begun"):
            write(b"late")
    new.start(b"two")
    for write in (old.append, old.start):
        with pytest.raises(DurableFencedError):
            write(b"later")
    new.append(b"three")
    assert log_of(place).read() == (b"two", [b"three"])


def test_a_journal_that_is_long_is_replaced(place: Place) -> None:
    log = log_of(place)
    log.start(b"one")
    assert not log.wants_snapshot
    log.append(bytes(5 << 20))
    assert log.wants_snapshot


def test_lives_that_begin_at_once_are_all_different(place: Place) -> None:
    store, taken = store_of(place), []

    class Late:
        """Another life begins whenever this looks which there are."""

        def names(self, folder: str) -> list[str]:
            names = store.names(folder)
            if len(taken) < 3:
                taken.append(store.create(f"epochs/{len(names) + 1:08}", b"another"))
            return names

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

    log = Log(Late(), "here")  # type: ignore[arg-type]
    log.take_over()
    log.start(b"one")
    assert store.names("epochs") == [f"{number:08}" for number in range(1, 5)]


@pytest.mark.parametrize("cut", [1, 10, 21])
def test_a_torn_end_was_never_acknowledged(tmp_path: Path, cut: int) -> None:
    log = log_of(place := Place(str(tmp_path), "a/b"))
    log.start(b"one")
    log.append(b"two")
    log.append(b"three")
    [journal] = tmp_path.rglob("*.journal")
    journal.write_bytes(journal.read_bytes()[:-cut])
    again = log_of(place)
    assert again.read() == (b"one", [b"two"])
    # What is written next is not behind the torn end.
    again.start(b"four")
    again.append(b"five")
    assert log_of(place).read() == (b"four", [b"five"])


@pytest.mark.parametrize("kind", ["snapshot", "journal"])
def test_what_is_damaged_is_told_and_not_used(tmp_path: Path, kind: str) -> None:
    log = log_of(place := Place(str(tmp_path), "a/b"))
    log.start(b"one" * 10)
    log.append(b"two" * 10)
    log.append(b"three")
    [file] = tmp_path.rglob(f"*.{kind}")
    whole = file.read_bytes()
    for at in range(0, 40, 3):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DurableError, match=rf"{file.name} cannot be read: (?s:.*)delete_durable"):
            log_of(place).read()


def test_frames_are_read_whole_or_not_at_all() -> None:
    records = [b"", b"a", bytes(range(256)) * 10, frames.framed(b"like a frame")]
    data = b"".join(map(frames.framed, records))
    assert frames.unframed(data) == records
    for end in range(len(data)):
        try:
            found = frames.unframed(data[:end])
        except frames.DamagedError:
            # A whole frame within a torn record looks like one behind it: refused, and not lost.
            assert end > len(data) - len(frames.framed(records[-1]))
        else:
            assert found == records[: len(found)]


def test_answers_are_bounded_and_never_wrong() -> None:
    answers = Answers()

    def task(caller: int, number: int) -> bytes:
        return bytes(8) + caller.to_bytes(3) + number.to_bytes(5)

    for number in range(3000):
        answers.add(task(1, number), ("value", [(b"%d" % number, [])]))
    answers = Answers.load(answers.dump())
    assert answers.find(task(1, 2999), "f") == ("value", [(b"2999", [])])
    assert answers.find(task(1, 3000), "f") is None
    assert answers.find(task(2, 0), "f") is None
    with pytest.raises(DurableError, match="f is tried again so late"):
        answers.find(task(1, 0), "f")
    answers.add(task(3, 0), ("value", [(b"", [bytes(3 << 20)])]))
    answers.add(task(3, 1), ("error", bytes(3 << 20)))
    answers.add(task(3, 2), ("error", bytes(30 << 20)))
    assert answers.find(task(3, 1), "f") is not None
    for number in (0, 2):
        with pytest.raises(DurableError, match="before the answer was heard"):
            answers.find(task(3, number), "f")


@ray.remote
class Counter:
    def __init__(self) -> None:
        self.count = 0

    def add(self) -> int:
        self.count += 1
        return self.count

    @ray.method(durable=False)
    def pid(self) -> int:
        return os.getpid()


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("every", [1, 3])
def test_an_actor_is_saved_in_an_object_store(server: ObjectServer, every: int) -> None:
    store = f"s3://{BUCKET}/actors"
    durable = ray.Durable(store, every=every, storage_options=server.options)
    counter = Counter.options(durable=durable, name="counter").remote()
    expected = 0
    for _ in range(3):
        assert ray.get([counter.add.remote() for _ in range(4)], timeout=20) == [expected + n for n in (1, 2, 3, 4)]
        expected += 4
        os.kill(ray.get(counter.pid.remote()), signal.SIGKILL)
    assert ray.get(counter.add.remote(), timeout=20) == expected + 1
    told = {"store": store, "storage_options": server.options}
    assert ray.util.list_durable(**told) == [{"name": "counter", "namespace": "default"}]
    assert ray.util.delete_durable("counter", **told)
    assert server.objects == {}
    ray.kill(counter)


@pytest.mark.usefixtures("runtime")
def test_a_damaged_snapshot_is_the_reason_that_calls_are_told(tmp_path: Path) -> None:
    durable = ray.Durable(tmp_path)
    counter = Counter.options(durable=durable, name="damaged").remote()
    assert ray.get(counter.add.remote()) == 1
    [file] = tmp_path.rglob("*.snapshot")
    file.write_bytes(file.read_bytes()[:-1])
    os.kill(ray.get(counter.pid.remote()), signal.SIGKILL)
    with pytest.raises(ActorDiedError, match=rf"{file.name} cannot be read"):
        ray.get(counter.add.remote(), timeout=20)


def test_a_url_that_cannot_be_a_store_is_refused() -> None:
    for url, why in (("s3://bucket/a*", "pattern"), ("ftp://host/a", "no store for ftp")):
        with pytest.raises(SheafError, match=why):
            store_of(Place(url, "a/b"))


def test_a_folder_has_on_disk_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def noted(name: str) -> None:
        real = getattr(os, name)

        def called(*arguments: Any) -> Any:
            is_folder = isinstance(arguments[0], int) and os.path.isdir(f"/proc/self/fd/{arguments[0]}")
            done.append(f"{name} folder" if is_folder else name)
            return real(*arguments)

        monkeypatch.setattr(os, name, called)

    store = store_of(Place(str(tmp_path), "a/b"))
    assert store.create("x/first", b"")
    for name in ("fsync", "fdatasync", "link"):
        noted(name)
    assert store.create("x/1", b"one")
    assert done == ["fsync", "link", "fsync folder"]
    done.clear()
    store.append("x/2", b"a")
    store.append("x/2", b"b")
    assert done == ["fsync folder", "fdatasync", "fdatasync"]


def test_the_example_of_the_page_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    page = (Path(__file__).parents[3] / "docs/tasks-and-actors.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    [program] = [program for program in programs if "durable=True" in program]
    for balance in (5, 10):
        done = processes.run_driver(f"{program}\nprint(ray.get(account.deposit.remote(0)))")
        assert done.stdout == f"{balance}\n", done.stderr
