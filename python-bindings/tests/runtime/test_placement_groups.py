"""Placement groups on one node, beside Ray: what is reserved, what runs in it, and what ends with it."""

import pickle
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import sheaf as ray
from sheaf.exceptions import ActorDiedError, GetTimeoutError, TaskPlacementGroupRemoved
from sheaf.util import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from sheaf.util.placement_group import PlacementGroup, PlacementGroupID
from sheaf.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from . import processes

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]

FREE_SECONDS = 10
STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")


@ray.remote
def echo(value: Any = None) -> Any:
    return value


@ray.remote
def sleep(seconds: float, started: Path | None = None) -> None:
    if started:
        started.touch()
    time.sleep(seconds)


@ray.remote(num_cpus=0)
def where() -> Any:
    return get_current_placement_group()


@ray.remote
class Actor:
    def where(self) -> Any:
        return get_current_placement_group()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@pytest.fixture(autouse=True)
def all_is_free() -> Any:
    """Each test has both CPUs, and leaves no group."""
    yield
    for group, told in placement_group_table().items():
        if told["state"] != "REMOVED":
            remove_placement_group(PlacementGroup(PlacementGroupID(group)))
    processes.becomes_true(lambda: free_cpus() == 2, FREE_SECONDS)
    assert free_cpus() == 2


def free_cpus() -> float:
    return ray.available_resources().get("CPU", 0)


def inside(group: PlacementGroup, index: int = -1, captures: bool | None = None) -> dict[str, Any]:
    return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, index, captures)}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_reserved_is_not_available(strategy: str) -> None:
    group = placement_group([{"CPU": 1.5}], strategy=strategy)
    assert group.wait(30)
    assert ray.get(group.ready(), timeout=30) == group
    assert group.bundle_specs == [{"CPU": 1.5}]
    assert free_cpus() == 0.5
    assert ray.cluster_resources()["CPU"] == 2
    names = {*ray.available_resources(), *ray.cluster_resources()}
    assert not [name for name in names if "group" in name]
    remove_placement_group(group)
    processes.becomes_true(lambda: free_cpus() == 2, FREE_SECONDS)


def test_a_bundle_runs_what_it_has_room_for(tmp_path: Path) -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    assert group.wait(30)
    outside = echo.remote("outside")
    first = sleep.options(**inside(group, 0)).remote(60, tmp_path / "first")
    processes.becomes_true((tmp_path / "first").exists, 30)
    behind = echo.options(**inside(group, 0)).remote("behind")
    assert ray.get(echo.options(**inside(group, 1)).remote("beside"), timeout=30) == "beside"
    assert ray.get(echo.options(placement_group=group).remote("any"), timeout=30) == "any"
    assert ray.wait([behind, outside], timeout=0.3) == ([], [behind, outside])
    ray.cancel(first, force=True)
    assert ray.get(behind, timeout=30) == "behind"
    remove_placement_group(group)
    assert ray.get(outside, timeout=30) == "outside"


def test_a_task_that_waits_lends_its_bundles_cpu() -> None:
    group = placement_group([{"CPU": 1}])

    @ray.remote
    def parent() -> Any:
        return ray.get([where.options(num_cpus=1).remote() for _ in range(3)])

    assert ray.get(parent.options(**inside(group, captures=True)).remote(), timeout=30) == [group] * 3


def test_actors_hold_what_they_ask_for_in_their_bundle() -> None:
    group = placement_group([{"CPU": 1}])
    holds = Actor.options(num_cpus=1, **inside(group, 0)).remote()
    assert ray.get(holds.where.remote(), timeout=30) == group
    assert free_cpus() == 1
    waits = echo.options(**inside(group, 0)).remote(1)
    assert ray.wait([waits], timeout=0.3) == ([], [waits])
    assert ray.get(group.ready(), timeout=30) == group, "it asks for nothing"
    ray.kill(holds)
    assert ray.get(waits, timeout=30) == 1


def test_children_are_captured_where_that_is_asked_for() -> None:
    group = placement_group([{"CPU": 1}])

    @ray.remote(num_cpus=0)
    def children() -> Any:
        refs = [
            where.remote(),
            where.options(placement_group=None).remote(),
            where.options(scheduling_strategy="DEFAULT").remote(),
            where.options(scheduling_strategy=PlacementGroupSchedulingStrategy(None)).remote(),
        ]
        return ray.get(refs)

    assert ray.get(children.options(**inside(group, captures=True)).remote(), timeout=30) == [group, None, None, None]
    assert ray.get(children.options(**inside(group)).remote(), timeout=30) == [None] * 4
    assert get_current_placement_group() is None


def test_one_that_finds_no_room_waits_and_takes_nothing() -> None:
    first = placement_group([{"CPU": 1}])
    assert first.wait(30)
    second = placement_group([{"CPU": 1}, {"CPU": 1}])
    ready = second.ready()
    assert not second.wait(0.3)
    assert placement_group_table(second)["state"] == "PENDING"
    assert placement_group_table(second)["bundles_to_node_id"] == {0: "", 1: ""}
    assert free_cpus() == 1, "part of it is reserved"
    with pytest.raises(GetTimeoutError):
        ray.get(echo.options(placement_group=second).remote(), timeout=0.3)
    remove_placement_group(first)
    assert ray.get(ready, timeout=30) == second
    assert set(placement_group_table(second)["bundles_to_node_id"].values()) == {ray.nodes()[0]["NodeID"]}


def test_strict_spread_needs_a_node_for_each() -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD")
    assert not group.wait(0.5)
    assert free_cpus() == 2


def test_removing_ends_what_runs_and_fails_what_waits(tmp_path: Path) -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 0.5}])
    held = Actor.options(num_cpus=0.5, max_restarts=-1, **inside(group, 1)).remote()
    assert ray.get(held.where.remote(), timeout=30) == group
    runs = sleep.options(**inside(group, 0)).remote(600, tmp_path / "runs")
    processes.becomes_true((tmp_path / "runs").exists, 30)
    refs = [runs, echo.options(**inside(group, 0)).remote(), echo.options(placement_group=group).remote(runs)]
    call = held.sleep.remote(600)
    never = Actor.options(num_cpus=1, **inside(group, 0)).remote()
    started = time.monotonic()
    remove_placement_group(group)
    remove_placement_group(group)
    for ref in refs:
        with pytest.raises(TaskPlacementGroupRemoved):
            ray.get(ref, timeout=30)
    for ref in (call, held.where.remote(), never.where.remote()):
        with pytest.raises(ActorDiedError):
            ray.get(ref, timeout=30)
    with pytest.raises(TaskPlacementGroupRemoved):
        ray.get(echo.options(placement_group=group).remote(), timeout=30)
    with pytest.raises(TaskPlacementGroupRemoved):
        group.wait(30)
    assert placement_group_table(group)["state"] == "REMOVED"
    assert time.monotonic() - started < 20


def test_removing_one_that_waits_fails_its_ready() -> None:
    group = placement_group([{"CPU": 64}])
    ready = group.ready()
    remove_placement_group(group)
    with pytest.raises(TaskPlacementGroupRemoved):
        ray.get(ready, timeout=30)


def test_they_are_found_by_name_while_they_are_there() -> None:
    group = placement_group([{"CPU": 1}], name="known", lifetime="detached")

    @ray.remote(num_cpus=0)
    def find() -> Any:
        found = get_placement_group("known")
        return found, found.bundle_specs, found.wait(30)

    assert ray.get(find.remote(), timeout=30) == (group, [{"CPU": 1.0}], True)
    with pytest.raises(Exception, match="known"):
        placement_group([{"CPU": 1}], name="known")
    remove_placement_group(group)
    with pytest.raises(ValueError, match="known"):
        get_placement_group("known")
    again = placement_group([{"CPU": 1}], name="known")
    assert get_placement_group("known") == again
    with pytest.raises(ValueError, match="empty"):
        get_placement_group("")


def test_they_travel_and_outlive_the_task_that_made_them() -> None:
    @ray.remote(num_cpus=0)
    def make() -> Any:
        return placement_group([{"CPU": 1}, {"CPU": 0.5}])

    group = ray.get(make.remote(), timeout=30)
    assert group.wait(30)
    assert pickle.loads(pickle.dumps(group)) == group
    assert group.bundle_count == 2
    assert ray.get(echo.options(placement_group=group).remote(group), timeout=30) == group


def test_the_table_tells_all_of_one_and_one_of_all() -> None:
    group = placement_group([{"CPU": 1}, {"memory": 1000}], strategy="SPREAD", name="told")
    assert group.wait(30)
    told = placement_group_table(group)
    assert placement_group_table()[group.id.hex()] == told
    assert told["placement_group_id"] == group.id.hex()
    assert (told["name"], told["strategy"], told["state"]) == ("told", "SPREAD", "CREATED")
    assert told["bundles"] == {0: {"CPU": 1.0}, 1: {"memory": 1000.0}}


@pytest.mark.parametrize(
    "bundles",
    [[], {}, None, [{}], [{"CPU": 0}], [{"CPU": 1}, {"CPU": 0}], [{"CPU": "one"}], ["CPU"], [{3: 1}]],
)
def test_bundles_that_cannot_be_are_refused(bundles: Any) -> None:
    with pytest.raises(ValueError, match=r"(?i)bundles"):
        placement_group(bundles)


def test_strategies_lifetimes_and_bundles_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="WIDE"):
        placement_group([{"CPU": 1}], strategy="WIDE")
    with pytest.raises(ValueError, match="detached"):
        placement_group([{"CPU": 1}], lifetime="short")
    group = placement_group([{"CPU": 1}])
    for index in (1, -2):
        with pytest.raises(ValueError, match="index"):
            echo.options(placement_group=group, placement_group_bundle_index=index).remote()
    with pytest.raises(ValueError, match="index"):
        Actor.options(**inside(group, 7)).remote()
    with pytest.raises(ValueError, match="index"):
        echo.options(placement_group_bundle_index=0).remote()
    for demand in ({"num_cpus": 2}, {"num_gpus": 1}):
        with pytest.raises(ValueError, match="cannot fit"):
            echo.options(placement_group=group, **demand).remote()
    with pytest.raises(ValueError, match="scheduling_strategy"):
        echo.options(placement_group=group, scheduling_strategy="SPREAD").remote()
    with pytest.raises(TypeError):
        echo.options(placement_group=3).remote()


def test_many_come_and_go_at_once() -> None:
    def come_and_go() -> None:
        for _ in range(10):
            group = placement_group([{"CPU": 1}, {"CPU": 0.5}])
            values = ray.get([echo.options(placement_group=group).remote(number) for number in range(5)], timeout=50)
            assert values == list(range(5))
            remove_placement_group(group)
            done.append(group)

    done: list[Any] = []
    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert len(done) == 40
