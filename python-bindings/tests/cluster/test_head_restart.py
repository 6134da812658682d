"""A head that is killed and started again carries on: what runs goes on, and nothing runs twice."""

import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runtime.processes import becomes_true

import sheaf as ray
from sheaf.util import placement_group, placement_group_table
from sheaf.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from .nodes import Cluster, Member, eventually, sheaf

pytestmark = pytest.mark.timeout(120)

SECONDS = 40
A, B = {"resources": {"a": 0.01}}, {"resources": {"b": 0.01}}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Trio:
    """A head without CPUs, nodes with the resources ``a`` and ``b``, and this process as a driver of the first."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.cluster = Cluster(folder / "cluster")
        self.head = self.cluster.add("--state-dir", self.state, port=free_port(), num_cpus=0)
        self.a = self.cluster.add(num_cpus=2, resources={"a": 2})
        self.b = self.cluster.add(num_cpus=2, resources={"b": 2})
        ray.init(f"sheaf://{self.cluster.place_of(self.a)}", namespace="restart")

    def kill_head(self, seconds: float = 0) -> None:
        self.head.kill()
        time.sleep(seconds)

    def start_head(self, nodes: int = 3) -> None:
        self.head.start()
        self.head.await_place()
        eventually(lambda: len(self.cluster.nodes()), nodes, SECONDS)


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Trio]:
    ray.shutdown()
    trio = Trio(tmp_path)
    try:
        yield trio
    finally:
        ray.shutdown()
        trio.cluster.stop()


@ray.remote
def begin(folder: Path, name: str, until: str = "") -> str:
    """Leave a file that tells of the attempt, and wait for another one."""
    (folder / f"{name} {os.getpid()} {time.monotonic_ns()}").touch()
    while until and not (folder / until).exists():
        time.sleep(0.02)
    return name


@ray.remote
class Keeper:
    def __init__(self) -> None:
        self._value = 0

    def add(self) -> int:
        self._value += 1
        return self._value

    def pid(self) -> int:
        return os.getpid()


def begun(folder: Path, name: str) -> int:
    return len(list(folder.glob(f"{name} *")))


NEW_DRIVER = """
import sys
import sheaf as ray
ray.init(sys.argv[1], namespace="restart")
print(ray.get(ray.get_actor("stays").add.remote(), timeout=30))
try:
    ray.remote(lambda: 0).options(name="taken")
    class Other: pass
    ray.remote(Other).options(name="named").remote()
except ValueError as error:
    print("taken")
"""


def test_all_goes_on_when_the_head_starts_again(trio: Trio, tmp_path: Path) -> None:
    named = Keeper.options(num_cpus=0, name="named", **B).remote()
    stays = Keeper.options(num_cpus=0, name="stays", lifetime="detached", **A).remote()
    assert ray.get([named.add.remote(), stays.add.remote()], timeout=SECONDS) == [1, 1]
    pids = ray.get([named.pid.remote(), stays.pid.remote()], timeout=SECONDS)
    group = placement_group([{"b": 0.5}, {"a": 0.5}], name="group")
    assert group.wait(SECONDS)
    long = [begin.options(num_cpus=0, **where).remote(tmp_path, "long", "go") for where in (A, B)]
    assert becomes_true(lambda: begun(tmp_path, "long") == 2, SECONDS)
    queued = [begin.options(num_cpus=2).remote(tmp_path, f"queued{n}", "go") for n in range(6)]

    trio.kill_head(seconds=2)
    # Without a head: actors answer, and what its own node can run it runs.
    assert ray.get([named.add.remote(), stays.add.remote()], timeout=SECONDS) == [2, 2]
    assert ray.get(begin.options(num_cpus=0).remote(tmp_path, "local"), timeout=SECONDS) == "local"
    trio.start_head()

    assert ray.get([named.add.remote(), stays.add.remote()], timeout=SECONDS) == [3, 3]
    assert ray.get([named.pid.remote(), stays.pid.remote()], timeout=SECONDS) == pids
    assert ray.get(ray.get_actor("named").add.remote(), timeout=SECONDS) == 4
    assert [row["state"] for row in placement_group_table().values()] == ["CREATED"]
    in_group = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0)
    inside = begin.options(num_cpus=0, resources={"b": 0.1}, scheduling_strategy=in_group).remote(tmp_path, "inside")
    assert ray.get(inside, timeout=SECONDS) == "inside"
    done = trio.cluster.run_driver(NEW_DRIVER)
    assert done.stdout.split() == ["4", "taken"], done.stderr
    (tmp_path / "go").touch()
    assert ray.get([*long, *queued], timeout=SECONDS) == ["long", "long", *(f"queued{n}" for n in range(6))]
    assert begun(tmp_path, "long") == 2
    assert [begun(tmp_path, f"queued{n}") for n in range(6)] == [1] * 6
    ray.kill(stays)
    ray.util.remove_placement_group(group)
    del named
    whole = ray.cluster_resources()
    eventually(lambda: ray.available_resources() == whole, True, SECONDS)


def test_a_node_that_died_meanwhile_is_noticed(trio: Trio, tmp_path: Path) -> None:
    lost = begin.options(num_cpus=1, max_retries=2, **B).remote(tmp_path, "lost", "go")
    assert becomes_true(lambda: begun(tmp_path, "lost") == 1, SECONDS)
    trio.kill_head()
    trio.b.kill()
    trio.head.start()
    trio.head.await_place()
    trio.cluster.add(num_cpus=2, resources={"b": 2}, wait=False)
    (tmp_path / "go").touch()
    assert ray.get(lost, timeout=SECONDS) == "lost"
    assert begun(tmp_path, "lost") == 2
    eventually(lambda: len(trio.cluster.nodes()), 3, SECONDS)


def test_a_head_without_its_state_lets_nodes_begin_anew(trio: Trio, tmp_path: Path) -> None:
    never = begin.remote(tmp_path, "never", "never")
    assert becomes_true(lambda: begun(tmp_path, "never") == 1, SECONDS)
    trio.kill_head()
    shutil.rmtree(trio.state)
    trio.start_head()
    assert becomes_true(lambda: all("another cluster" in node.said() for node in (trio.a, trio.b)), SECONDS)
    with pytest.raises(ray.SheafError):
        ray.get(never, timeout=SECONDS)
    ray.shutdown()
    eventually(lambda: len(trio.cluster.nodes()), 3, SECONDS)
    ray.init(f"sheaf://{trio.cluster.place_of(trio.a)}")
    assert ray.get(begin.options(**B).remote(tmp_path, "again"), timeout=SECONDS) == "again"


def test_tasks_run_once_while_the_head_dies_again_and_again(trio: Trio, tmp_path: Path) -> None:
    small = begin.options(num_cpus=0.5, scheduling_strategy="SPREAD")
    names = [f"small{n}." for n in range(500)]
    found = []
    for first in range(0, 500, 100):
        refs = [small.remote(tmp_path, name) for name in names[first : first + 100]]
        if first:
            # Some have run, some run, and most wait for the head.
            assert ray.wait(refs, num_returns=10, timeout=SECONDS)[0]
        trio.kill_head()
        assert ray.get(small.options(scheduling_strategy="DEFAULT").remote(tmp_path, "local"), timeout=SECONDS)
        trio.head.start()
        found += ray.get(refs, timeout=SECONDS)
        trio.head.await_place()
    assert found == names
    assert [begun(tmp_path, name) for name in names] == [1] * 500
    eventually(lambda: len(trio.cluster.nodes()), 3, SECONDS)
    whole = ray.cluster_resources()
    eventually(lambda: ray.available_resources() == whole, True, SECONDS)


def test_a_driver_of_the_heads_own_node_is_told_and_can_come_again(trio: Trio, tmp_path: Path) -> None:
    ray.shutdown()
    ray.init(trio.cluster.address)
    lost = begin.options(**B).remote(tmp_path, "lost", "never")
    assert becomes_true(lambda: begun(tmp_path, "lost") == 1, SECONDS)
    trio.kill_head()
    with pytest.raises(ray.SheafError):
        ray.get(lost, timeout=SECONDS)
    ray.shutdown()
    trio.start_head()
    ray.init(trio.cluster.address)
    assert ray.get(begin.options(**B).remote(tmp_path, "again"), timeout=SECONDS) == "again"


def test_one_head_runs_on_one_state(trio: Trio) -> None:
    second = sheaf("head", "--port", 0, "--state-dir", trio.state, "--num-cpus", 0)
    assert second.returncode != 0
    assert "another process has" in second.stderr
    assert "--state-dir" in second.stderr


def stopped_for(member: Member, seconds: float) -> None:
    member.send(signal.SIGSTOP)
    time.sleep(seconds)
    member.send(signal.SIGCONT)


def test_a_head_that_stood_still_takes_nobody_for_dead(trio: Trio) -> None:
    names = {trio.cluster.name_of(member) for member in (trio.a, trio.b)}
    stopped_for(trio.head, 11)
    assert trio.a.said().count("has been silent") == 1
    keeper: Any = Keeper.options(**B).remote()
    assert ray.get(keeper.add.remote(), timeout=SECONDS) == 1
    assert becomes_true(lambda: "the head is back" in trio.a.said(), SECONDS)
    assert {trio.cluster.name_of(member) for member in (trio.a, trio.b)} == names
