"""Nodes that are taken out of a cluster: what they run ends or begins anew elsewhere, and what they have is kept."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime.processes import becomes_true

import sheaf as ray
from sheaf.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from .nodes import Cluster, Member, eventually, sheaf

pytestmark = pytest.mark.timeout(60)

SECONDS = 30
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def stays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head and a node that stays, and this process as their driver."""
    ray.shutdown()
    cluster = Cluster(tmp_path_factory.mktemp("drained"))
    try:
        cluster.add(num_cpus=2)
        cluster.add(num_cpus=2)
        ray.init(cluster.address)
        yield cluster
    finally:
        ray.shutdown()
        cluster.stop()


@pytest.fixture
def leaves(stays: Cluster) -> Iterator[Member]:
    """A node of the same cluster that the test drains."""
    member = stays.add(num_cpus=2)
    yield member
    member.process.kill()


def rather_on(cluster: Cluster, member: Member) -> dict[str, Any]:
    """Options of what runs on that node, and elsewhere when it cannot."""
    return {"num_cpus": 1, "scheduling_strategy": NodeAffinitySchedulingStrategy(cluster.name_of(member), soft=True)}


def drain(cluster: Cluster, member: Member, *flags: str) -> str:
    """Drain a node to its end, and what the command says of that."""
    done = sheaf("drain", cluster.place_of(member), "--address", cluster.place, *flags)
    assert done.returncode == 0, done.stderr
    return done.stderr


@ray.remote
def begin(folder: Path, name: str, until: str) -> tuple[str, int]:
    """Leave a file that tells of the attempt, wait for another one, and say where that was."""
    (folder / f"{name} {os.getpid()}").touch()
    while not (folder / until).exists():
        time.sleep(0.02)
    return ray.get_runtime_context().get_node_id(), os.getpid()


def attempts(folder: Path, name: str) -> list[int]:
    return [int(file.name.split()[1]) for file in folder.glob(f"{name} *")]


def begins(folder: Path, name: str, times: int = 1) -> bool:
    return becomes_true(lambda: len(attempts(folder, name)) == times, SECONDS)


@ray.remote
class Counter:
    def __init__(self) -> None:
        self._count = 0

    def add(self) -> int:
        self._count += 1
        return self._count

    def where(self) -> tuple[str, int]:
        return ray.get_runtime_context().get_node_id(), os.getpid()


def test_what_runs_ends_and_nothing_new_comes(stays: Cluster, leaves: Member, tmp_path: Path) -> None:
    place, name = stays.place_of(leaves), stays.name_of(leaves)
    on_it = rather_on(stays, leaves)
    running = begin.options(max_retries=0, **on_it).remote(tmp_path, "task", "go")
    assert begins(tmp_path, "task")
    done = sheaf("drain", place, "--address", stays.place, "--no-wait")
    assert done.returncode == 0, done.stderr
    assert stays.nodes()[place]["state"] == "draining"
    (tmp_path / "now").touch()
    others = [begin.options(**on_it).remote(tmp_path, "other", "now") for _ in range(4)]
    assert name not in {where for where, _ in ray.get(others, timeout=SECONDS)}
    assert leaves.process.poll() is None
    (tmp_path / "go").touch()
    assert leaves.process.wait(SECONDS) == 0
    assert ray.get(running, timeout=SECONDS)[0] == name
    assert len(attempts(tmp_path, "task")) == 1
    assert "is drained" in leaves.said()
    eventually(lambda: place in stays.nodes(), False)


def test_results_that_lie_there_alone_are_copied(stays: Cluster, leaves: Member) -> None:
    @ray.remote
    def made(value: int) -> Any:
        return np.full(MEGABYTE, value)

    refs = []
    for value in range(6):
        refs.append(made.options(max_retries=0, **rather_on(stays, leaves)).remote(value))
        ray.wait(refs, num_returns=len(refs), timeout=SECONDS, fetch_local=False)
    assert len(stays.objects(leaves)) >= 3, "they were not made where they should"
    assert "has left" in drain(stays, leaves)
    assert leaves.process.wait(SECONDS) == 0
    assert [int(value.sum()) for value in ray.get(refs, timeout=SECONDS)] == [MEGABYTE * value for value in range(6)]


def test_what_takes_too_long_begins_anew_without_a_retry_spent(stays: Cluster, leaves: Member, tmp_path: Path) -> None:
    on_it = rather_on(stays, leaves)
    again = begin.options(max_retries=1, **on_it).remote(tmp_path, "again", "go")
    assert begins(tmp_path, "again")
    never = begin.options(max_retries=0, **on_it).remote(tmp_path, "never", "go")
    assert begins(tmp_path, "never")
    said = drain(stays, leaves, "--timeout", "1")
    assert "2 running tasks" in said
    with pytest.raises(ray.exceptions.WorkerCrashedError, match="was drained"):
        ray.get(never, timeout=SECONDS)
    assert begins(tmp_path, "again", 2)
    first = attempts(tmp_path, "again")
    # The one retry is still there.
    for pid in first:
        if pid in stays.processes():
            os.kill(pid, signal.SIGKILL)
    assert begins(tmp_path, "again", 3)
    (tmp_path / "go").touch()
    where, pid = ray.get(again, timeout=SECONDS)
    assert pid not in first
    assert where in {stays.name_of(member) for member in stays.members[:2]}


def test_actors_move_when_they_may(stays: Cluster, leaves: Member) -> None:
    name, on_it = stays.name_of(leaves), rather_on(stays, leaves)
    moves = Counter.options(max_restarts=1, **on_it).remote()
    assert ray.get(moves.where.remote(), timeout=SECONDS)[0] == name
    ends = Counter.options(max_restarts=0, **on_it).remote()
    assert ray.get(ends.where.remote(), timeout=SECONDS)[0] == name
    assert ray.get([moves.add.remote() for _ in range(3)], timeout=SECONDS) == [1, 2, 3]
    said = drain(stays, leaves, "--timeout", "2")
    assert "1 actors" in said
    assert "max_restarts=0" in said
    with pytest.raises(ray.exceptions.ActorDiedError, match="was drained"):
        ray.get(ends.add.remote(), timeout=SECONDS)
    where, pid = ray.get(moves.where.remote(), timeout=SECONDS)
    assert where != name
    assert ray.get(moves.add.remote(), timeout=SECONDS) == 1
    # That was no crash: it may still restart.
    os.kill(pid, signal.SIGKILL)
    assert becomes_true(lambda: lives_again(moves, pid), SECONDS)


def lives_again(actor: Any, before: int) -> bool:
    try:
        return bool(ray.get(actor.where.remote(), timeout=SECONDS)[1] != before)
    except ray.exceptions.ActorUnavailableError:
        return False
    except ray.exceptions.ActorDiedError as error:
        # A call that was under way when it was killed.
        return "SIGKILL" not in str(error)


def test_calls_of_an_actor_that_moves_are_answered(stays: Cluster, leaves: Member) -> None:
    @ray.remote(num_cpus=1, max_restarts=1)
    class Slow:
        def echo(self, value: int) -> int:
            time.sleep(0.02)
            return value

    slow = Slow.options(**rather_on(stays, leaves)).remote()
    assert ray.get(slow.echo.remote(-1), timeout=SECONDS) == -1
    answers = [slow.echo.remote(value) for value in range(200)]
    drain(stays, leaves)
    assert ray.get(answers, timeout=SECONDS) == list(range(200))


def test_bundles_of_placement_groups_move(stays: Cluster, leaves: Member) -> None:
    name = stays.name_of(leaves)
    group = ray.util.placement_group([{"CPU": 1}] * 3, strategy="STRICT_SPREAD")
    assert group.wait(SECONDS)
    in_group = PlacementGroupSchedulingStrategy(group)
    there = ray.get([Counter.options(scheduling_strategy=in_group).remote().where.remote()], timeout=SECONDS)
    assert there
    stays.add(num_cpus=1)
    drain(stays, leaves, "--timeout", "2")

    def nodes() -> set[str]:
        table = ray.util.placement_group_table(group)
        return set(table["bundles_to_node_id"].values()) if table["state"] == "CREATED" else set()

    assert becomes_true(lambda: len(nodes()) == 3 and name not in nodes(), SECONDS)
    ray.util.remove_placement_group(group)


def test_what_cannot_be_drained(stays: Cluster) -> None:
    head = stays.place
    for node, said, code in ((head, "head, which cannot be drained", 2), ("node-5", "no node", 3)):
        done = sheaf("drain", node, "--address", head)
        assert done.returncode == code
        assert said in done.stderr
    done = sheaf("drain", head, "--address", head, "--timeout=-1")
    assert done.returncode == 2
    assert "no time to wait" in done.stderr


def test_what_goes_with_a_node_is_told(stays: Cluster, leaves: Member) -> None:
    @ray.remote
    def puts() -> list[Any]:
        return [ray.put(np.zeros(MEGABYTE))]

    [put] = ray.get(puts.options(**rather_on(stays, leaves)).remote(), timeout=SECONDS)
    assert "owns 1 objects" in drain(stays, leaves)
    with pytest.raises(ray.exceptions.ObjectLostError):
        ray.get(put, timeout=SECONDS)
