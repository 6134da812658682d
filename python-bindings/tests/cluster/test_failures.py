"""What dies: workers, nodes, drivers, and nodes that were only silent. What was promised is kept or told to be lost."""

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from runtime.processes import becomes_true, descendants

import sheaf as ray

from .nodes import Cluster, Member, eventually

pytestmark = pytest.mark.timeout(90)

SECONDS = 40
# A node that nobody hears is declared dead after ten.
DEATH_SECONDS = 15
SILENT_SECONDS = 10
MEGABYTE = 1_000_000
A, B = {"resources": {"a": 0.01}}, {"resources": {"b": 0.01}}


@ray.remote
def filled(size: int, value: int) -> Any:
    return np.full(size, value, np.uint8)


@ray.remote
def echo(value: Any) -> Any:
    return value


@ray.remote
def total(value: Any) -> int:
    return int(value.astype(int).sum())


@ray.remote
def begin(folder: Path, name: str, until: str = "") -> tuple[str, str]:
    """Leave a file that tells of the attempt, wait for another one, and return a token that no other attempt has."""
    (folder / f"{name} {os.getpid()}").touch()
    while not (folder / until).exists():
        time.sleep(0.02)
    return ray.get_runtime_context().get_node_id(), str(uuid.uuid4())


@ray.remote
class Keeper:
    def __init__(self) -> None:
        self._value = 0

    def add(self) -> int:
        self._value += 1
        return self._value

    def pid(self) -> int:
        return os.getpid()


def attempts(folder: Path, *names: str) -> list[int]:
    """The processes that have begun these."""
    return [int(file.name.split()[1]) for name in names for file in folder.glob(f"{name} *")]


def test_a_worker_is_killed(driver: Cluster, tmp_path: Path) -> None:
    ref = begin.options(**B).remote(tmp_path, "task", "go")
    assert becomes_true(lambda: len(attempts(tmp_path, "task")) == 1, SECONDS)
    os.kill(*attempts(tmp_path, "task"), signal.SIGKILL)
    (tmp_path / "go").touch()
    assert ray.get(ref, timeout=SECONDS)[0] == driver.name_of(driver.members[1])
    assert len(attempts(tmp_path, "task")) == 2


def test_a_worker_that_always_dies(driver: Cluster) -> None:
    @ray.remote(max_retries=1)
    def dies() -> None:
        print("last words", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ray.exceptions.WorkerCrashedError, match="SIGKILL") as raised:
        ray.get(dies.options(**B).remote(), timeout=SECONDS)
    assert "last words" in str(raised.value)


@pytest.fixture(scope="module")
def after_a_death(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What is got of objects and tasks when the node that had them was killed, and another one has its resource."""

    @ray.remote
    def puts() -> list[Any]:
        return [ray.put(np.zeros(MEGABYTE))]

    def got(ref: Any) -> Any:
        try:
            return ray.get(ref, timeout=SECONDS)
        except ray.SheafError as error:
            return error

    folder = tmp_path_factory.mktemp("death")
    cluster = Cluster(folder / "cluster")
    ray.shutdown()
    try:
        cluster.add(num_cpus=2, resources={"a": 2})
        lost = cluster.add(num_cpus=2, resources={"b": 2})
        ray.init(cluster.address)
        never = filled.options(max_retries=0, **B).remote(MEGABYTE, 2)
        chain = filled.options(**B).remote(5 * MEGABYTE, 3)
        chained = echo.options(**B).remote(chain)
        [put] = ray.get(puts.options(**B).remote(), timeout=SECONDS)
        # They are there, and only there.
        sums = [total.options(**B).remote(ref) for ref in (never, chained)]
        assert ray.get(sums, timeout=SECONDS) == [2 * MEGABYTE, 15 * MEGABYTE]
        assert cluster.objects(cluster.members[0]) == []
        running = [begin.options(**B).remote(folder, f"task{number}", "go") for number in range(2)]
        assert becomes_true(lambda: len(attempts(folder, "task0", "task1")) == 2, SECONDS)
        other = cluster.name_of(cluster.add(num_cpus=2, resources={"b": 2}))
        lost.kill()
        (folder / "go").touch()
        yield {
            "ran on the other": [node == other for node, _ in got(running)],
            "chained": got(chained),
            "sum of chain": got(total.options(**A).remote(chain)),
            "put": got(put),
            "never": got(never),
            "nodes": len(cluster.nodes()),
        }
    finally:
        ray.shutdown()
        cluster.stop()


def test_tasks_of_a_dead_node_run_elsewhere(after_a_death: dict[str, Any]) -> None:
    assert after_a_death["ran on the other"] == [True, True]
    assert after_a_death["nodes"] == 2


def test_results_of_a_dead_node_are_made_again(after_a_death: dict[str, Any]) -> None:
    assert after_a_death["chained"].nbytes == 5 * MEGABYTE
    assert set(after_a_death["chained"]) == {3}
    assert after_a_death["sum of chain"] == 15 * MEGABYTE


def test_what_was_put_on_a_dead_node_is_lost(after_a_death: dict[str, Any]) -> None:
    assert isinstance(after_a_death["put"], ray.exceptions.ObjectLostError)
    assert "owned it died" in str(after_a_death["put"])


def test_what_may_not_be_made_again_is_lost(after_a_death: dict[str, Any]) -> None:
    assert isinstance(after_a_death["never"], ray.exceptions.ObjectLostError)
    assert "max_retries" in str(after_a_death["never"])


def spent(member: Member) -> float:
    """Seconds of a processor that a node took."""
    return sum(psutil.Process(member.pid).cpu_times()[:2])


def test_the_sender_of_an_object_is_killed_on_its_way(pair: Callable[..., Cluster]) -> None:
    size = 400 * MEGABYTE
    cluster = pair()
    cluster.add(num_cpus=1, resources={"c": 1})
    ray.init(cluster.address)
    ref = filled.options(**B).remote(size, 7)
    # Now two nodes have it, and either may be asked.
    assert ray.get(total.options(resources={"c": 0.01}).remote(ref), timeout=SECONDS) == 7 * size
    senders = cluster.members[1:]

    before = {member: spent(member) for member in senders}
    values: list[Any] = []
    reads = threading.Thread(target=lambda wanted=ref: values.append(ray.get(wanted, timeout=SECONDS)))
    reads.start()
    assert becomes_true(lambda: any(spent(member) > before[member] + 0.1 for member in senders), SECONDS)
    max(senders, key=lambda member: spent(member) - before[member]).kill()
    assert reads.is_alive(), "the object was here before its sender was killed"
    reads.join()
    assert values
    assert values[0].nbytes == size
    assert (values[0] == 7).all()
    values.clear()
    del ref, reads
    eventually(cluster.objects, [], 20)


DRIVER = """
import os, pathlib, sys, time
import numpy as np
import sheaf as ray
address, folder = sys.argv[1], pathlib.Path(sys.argv[2])
ray.init(address, namespace="of the dead")

@ray.remote
def sleep(name):
    (folder / f"{name} {os.getpid()}").touch()
    time.sleep(600)

@ray.remote
class Actor:
    def __init__(self, name):
        (folder / f"{name} {os.getpid()}").touch()
    def add(self, value):
        return value

kept = [ray.put(np.zeros(1_000_000)), ray.remote(lambda: np.zeros(1_000_000)).options(resources={"b": 0.01}).remote()]
a, b = {"resources": {"a": 0.01}}, {"resources": {"b": 0.01}}
tasks = [sleep.options(num_cpus=0.1, **where).remote("task") for where in (a, b)]
actors = [Actor.options(**where).remote("actor") for where in (a, b)]
stays = Actor.options(name="stays", lifetime="detached", **b).remote("detached")
ray.get([actor.add.remote(1) for actor in [*actors, stays]], timeout=30)
ray.wait(kept, num_returns=2)
queued = [sleep.options(resources={"b": 2}).remote("queued") for _ in range(20)]
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_driver_is_killed(driver: Cluster, tmp_path: Path) -> None:
    eventually(driver.objects, [])

    with driver.started_driver(DRIVER, tmp_path) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert becomes_true(lambda: len(attempts(tmp_path, "task")) == 2, SECONDS)
        of_driver = set(attempts(tmp_path, "task", "actor"))
        assert len(of_driver) == 4
        child.kill()
    assert becomes_true(lambda: not of_driver & driver.processes(), 10)
    eventually(driver.objects, [])
    assert attempts(tmp_path, "queued") == []
    assert set(attempts(tmp_path, "detached")) <= driver.processes()
    ray.shutdown()
    ray.init(driver.address, namespace="of the dead")
    stays = ray.get_actor("stays")
    assert ray.get(stays.add.remote(5), timeout=SECONDS) == 5
    ray.kill(stays)
    assert becomes_true(lambda: not set(attempts(tmp_path, "detached")) & driver.processes(), 10)
    whole = ray.cluster_resources()
    eventually(lambda: ray.available_resources() == whole, True)


def test_a_node_that_was_silent_for_too_long_begins_anew(pair: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = pair()
    ray.init(cluster.address)
    head, node = cluster.members
    name, head_name = cluster.name_of(node), cluster.name_of(head)
    tasks = [f"task{number}" for number in range(4)]
    spread = begin.options(num_cpus=1, scheduling_strategy="SPREAD")
    keeper = Keeper.options(num_cpus=0, **B).remote()
    assert ray.get(keeper.add.remote(), timeout=SECONDS) == 1
    refs = [spread.remote(tmp_path, task, "go") for task in tasks]
    assert becomes_true(lambda: len(attempts(tmp_path, *tasks)) == 4, SECONDS)
    node.send(signal.SIGSTOP)
    (tmp_path / "go").touch()
    workers = {process.pid for process in descendants(node.pid)}
    results = ray.get(refs, timeout=SECONDS)
    # The workers of the silent node went on; what they made is not taken.
    assert {where for where, _ in results} == {head_name}
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(keeper.add.remote(), timeout=SECONDS)
    node.send(signal.SIGCONT)
    assert becomes_true(lambda: "declared it dead" in node.said(), DEATH_SECONDS)
    assert f"node-{name}" in node.said()
    # Under another name, with other workers, and ready for work.
    assert becomes_true(lambda: len(cluster.nodes()) == 2, SECONDS)
    assert cluster.name_of(node) != name
    assert becomes_true(lambda: not workers & cluster.processes(), 10)
    again = ray.get(begin.options(**B).remote(tmp_path, "again"), timeout=SECONDS)
    assert again[0] == cluster.name_of(node)
    assert ray.get(refs, timeout=SECONDS) == results
    # Each began at most twice: here, and where nobody heard of it.
    assert sorted(len(attempts(tmp_path, task)) for task in tasks) == [1, 1, 2, 2]
    whole = ray.cluster_resources()
    assert whole["b"] == 2
    eventually(lambda: ray.available_resources() == whole, True)


def test_a_node_is_asked_to_end(pair: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = pair()
    ray.init(cluster.address)
    node = cluster.members[1]
    running = begin.options(max_retries=0, **B).remote(tmp_path, "task", "never")
    assert becomes_true(lambda: len(attempts(tmp_path, "task")) == 1, SECONDS)
    workers = {process.pid for process in descendants(node.pid)}
    ended = time.monotonic()
    assert node.end() == 0
    assert becomes_true(lambda: not workers & cluster.processes(), 5)
    assert node.said() == ""
    with pytest.raises(ray.SheafError):
        ray.get(running, timeout=SECONDS)
    assert len(cluster.nodes()) == 1
    # It said so: nobody waited for it to be silent for so long that it counts as dead.
    assert time.monotonic() - ended < SILENT_SECONDS / 2


def test_a_driver_whose_node_dies_is_told(cluster: Cluster) -> None:
    cluster.add(num_cpus=1)
    code = """
import sys, time
import sheaf as ray
ray.init(sys.argv[1])
ref = ray.remote(lambda: time.sleep(600)).remote()
print("ready", flush=True)
try:
    ray.get(ref)
except Exception as error:
    print(type(error).__name__, error)
"""
    with cluster.started_driver(code) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        cluster.members[0].kill()
        output, errors = child.communicate(timeout=10)
        assert child.returncode == 0, errors
        assert "node" in output, output + errors
