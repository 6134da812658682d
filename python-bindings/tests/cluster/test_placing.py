"""Which node runs what: resources, strategies, labels, nodes that join, tasks of tasks, many tasks, many drivers."""

import socket
import time
from collections import Counter
from typing import Any

import pytest

import sheaf as ray
from sheaf.util.scheduling_strategies import (
    DoesNotExist,
    Exists,
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    NotIn,
)

from .nodes import Cluster, eventually

pytestmark = pytest.mark.timeout(60)

SECONDS = 30


@ray.remote
def where(*_: Any) -> str:
    return ray.get_runtime_context().get_node_id()


@ray.remote
def slow_where(seconds: float) -> str:
    time.sleep(seconds)
    return ray.get_runtime_context().get_node_id()


def names(cluster: Cluster) -> list[str]:
    return [cluster.name_of(member) for member in cluster.members]


def affinity(node: str, *, soft: bool = False) -> dict[str, Any]:
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=soft)}


def test_nodes_and_their_resources(driver: Cluster) -> None:
    told = {node["NodeID"]: node for node in ray.nodes()}
    assert set(told) == set(names(driver))
    assert all(node["Alive"] for node in told.values())
    head, other = (told[name] for name in names(driver))
    assert (head["Resources"]["a"], other["Resources"]["b"]) == (2, 2)
    assert "b" not in head["Resources"]
    assert (head["Labels"]["zone"], other["Labels"]["zone"]) == ("x", "y")
    places = [f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}" for node in (head, other)]
    assert places == [driver.place_of(member) for member in driver.members]
    assert all(node["MetricsExportPort"] == node["NodeManagerPort"] for node in told.values())
    assert {node["NodeManagerHostname"] for node in told.values()} == {socket.gethostname()}
    whole = ray.cluster_resources()
    assert {name: whole[name] for name in ("CPU", "a", "b")} == {"CPU": 4, "a": 2, "b": 2}


def test_the_place_of_the_head_is_known_on_every_node(driver: Cluster) -> None:
    assert ray.get_runtime_context().gcs_address == driver.place
    head = ray.remote(lambda: ray.get_runtime_context().gcs_address)
    refs = [head.options(resources={name: 1}).remote() for name in "ab"]
    assert ray.get(refs, timeout=SECONDS) == [driver.place, driver.place]


def test_resources_choose_the_node(driver: Cluster) -> None:
    head, other = names(driver)
    asked = [{"a": 1}, {"b": 1}, {"b": 2}, {"a": 0.5}]
    refs = [where.options(resources=resources).remote() for resources in asked]
    assert ray.get(refs, timeout=SECONDS) == [head, other, other, head]


def test_resources_are_free_again(driver: Cluster) -> None:
    def free() -> dict[str, float]:
        return {name: amount for name, amount in ray.available_resources().items() if name != "memory"}

    whole = {"CPU": 4.0, "a": 2.0, "b": 2.0}
    eventually(free, whole)
    running = [slow_where.options(resources={"b": 1.5}).remote(3), slow_where.options(resources={"a": 1}).remote(3)]
    eventually(free, {"CPU": 2.0, "a": 1.0, "b": 0.5})
    ray.get(running, timeout=SECONDS)
    eventually(free, whole)


def test_spread_uses_both_nodes(driver: Cluster) -> None:
    refs = [slow_where.options(scheduling_strategy="SPREAD").remote(1) for _ in range(4)]
    assert Counter(ray.get(refs, timeout=SECONDS)) == dict.fromkeys(names(driver), 2)


def test_a_node_is_asked_for(driver: Cluster) -> None:
    for node in names(driver):
        refs = [where.options(**affinity(node)).remote() for _ in range(5)]
        assert set(ray.get(refs, timeout=SECONDS)) == {node}


def test_a_soft_wish_waits_for_a_node_that_is_busy(driver: Cluster) -> None:
    for node in names(driver):
        refs = [slow_where.options(**affinity(node, soft=True)).remote(0.5) for _ in range(6)]
        assert set(ray.get(refs, timeout=SECONDS)) == {node}


def test_a_task_for_another_node_starts_at_once(driver: Cluster) -> None:
    task = where.options(resources={"b": 0.1})
    ray.get(task.remote(), timeout=SECONDS)
    begun = time.monotonic()
    for _ in range(8):
        ray.get(task.remote(), timeout=SECONDS)
    assert time.monotonic() - begun < 1


def test_a_node_that_is_not_there(driver: Cluster) -> None:
    nobody = "00000000000000ff"
    assert ray.get(where.options(**affinity(nobody, soft=True)).remote(), timeout=SECONDS) in names(driver)
    ref = where.options(**affinity(nobody)).remote()
    with pytest.raises((ray.exceptions.TaskUnschedulableError, ray.exceptions.GetTimeoutError)):
        ray.get(ref, timeout=3)
    ray.cancel(ref)


def test_a_soft_wish_goes_elsewhere_where_the_node_lacks_what_is_asked(driver: Cluster) -> None:
    head, other = names(driver)
    options = {**affinity(head, soft=True), "resources": {"b": 1}}
    assert ray.get(where.options(**options).remote(), timeout=SECONDS) == other


def test_labels(driver: Cluster) -> None:
    for zone, node in zip("xy", names(driver), strict=True):
        strategy = NodeLabelSchedulingStrategy({"zone": zone})
        refs = [where.options(scheduling_strategy=strategy).remote() for _ in range(3)]
        refs.append(where.options(label_selector={"zone": zone}).remote())
        assert set(ray.get(refs, timeout=SECONDS)) == {node}


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ({"zone": In("x", "z")}, "x"),
        ({"zone": NotIn("x")}, "y"),
        ({"zone": Exists(), "disk": DoesNotExist()}, "xy"),
        ({"disk": Exists()}, ""),
        ({"zone": "!x"}, "y"),
        ({"zone": "in(w, x)"}, "x"),
        ({"zone": "!in(w,y)"}, "x"),
        ({"disk": "!ssd", "zone": "y"}, "y"),
    ],
)
def test_labels_are_asked_for_as_in_ray(driver: Cluster, asked: dict[str, Any], there: str) -> None:
    is_text = isinstance(next(iter(asked.values())), str)
    strategy = {"label_selector": asked} if is_text else {"scheduling_strategy": NodeLabelSchedulingStrategy(asked)}
    allowed = {node for zone, node in zip("xy", names(driver), strict=True) if zone in there}
    ref = where.options(**strategy).remote()
    if allowed:
        assert ray.get(ref, timeout=SECONDS) in allowed
    else:
        with pytest.raises(ray.exceptions.TaskUnschedulableError):
            ray.get(ref, timeout=2)
        ray.cancel(ref)


def test_labels_that_are_only_wished_for(driver: Cluster) -> None:
    head, other = names(driver)
    there = where.options(scheduling_strategy=NodeLabelSchedulingStrategy({}, soft={"zone": In("y")}))
    # One after the other, and not before both are free: it is a wish.
    whole = ray.cluster_resources()
    for _ in range(3):
        eventually(lambda: ray.available_resources() == whole, True, SECONDS)
        assert ray.get(there.remote(), timeout=SECONDS) == other
    nowhere = where.options(scheduling_strategy=NodeLabelSchedulingStrategy({"zone": "x"}, soft={"disk": Exists()}))
    assert ray.get(nowhere.remote(), timeout=SECONDS) == head


@ray.remote
def parent(resources: dict[str, float], depth: int) -> list[str]:
    """The nodes of a chain of tasks, each of which waits for the next one."""
    here = ray.get_runtime_context().get_node_id()
    if depth == 0:
        return [here]
    others = {"a": 1.0} if "b" in resources else {"b": 1.0}
    return [here, *ray.get(parent.options(resources=others).remote(others, depth - 1))]


def test_tasks_of_tasks_run_on_other_nodes(driver: Cluster) -> None:
    head, other = names(driver)
    chain = ray.get(parent.options(resources={"b": 1}).remote({"b": 1.0}, 1), timeout=SECONDS)
    assert chain == [other, head]


def test_deep_recursion_across_nodes(driver: Cluster) -> None:
    head, other = names(driver)
    deep = parent.options(resources={}).remote({"b": 1.0}, 1)
    assert ray.get(deep, timeout=SECONDS)[1] == head

    @ray.remote
    def down(depth: int) -> list[str]:
        here = ray.get_runtime_context().get_node_id()
        return [here, *(ray.get(down.options(scheduling_strategy="SPREAD").remote(depth - 1)) if depth else [])]

    chain = ray.get(down.remote(12), timeout=SECONDS)
    assert len(chain) == 13
    assert set(chain) == {head, other}


def test_thousands_of_tasks_use_both_nodes(driver: Cluster) -> None:
    @ray.remote
    def small(number: int) -> tuple[int, str]:
        time.sleep(0.001)
        return number, ray.get_runtime_context().get_node_id()

    done = ray.get([small.remote(number) for number in range(4_000)], timeout=SECONDS)
    assert [number for number, _ in done] == list(range(4_000))
    ran = Counter(node for _, node in done)
    # Four CPUs: each node has its part, however fast the machine is.
    assert set(ran) == set(names(driver))
    assert min(ran.values()) > 400, ran


def test_a_task_waits_for_a_node_that_has_what_it_asks_for(cluster: Cluster) -> None:
    cluster.add(num_cpus=1)
    ray.init(cluster.address)
    ref = where.options(resources={"late": 1}).remote()
    assert ray.wait([ref], timeout=1) == ([], [ref])
    assert "late" in ray.explain(ref)
    joined = cluster.add(num_cpus=1, resources={"late": 1})
    assert ray.get(ref, timeout=SECONDS) == cluster.name_of(joined)


DRIVER = """
import sys
import sheaf as ray
ray.init(sys.argv[1])
@ray.remote
def square(number):
    return number * number, ray.get_runtime_context().get_node_id()
start = int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
done = ray.get([square.options(scheduling_strategy="SPREAD").remote(n) for n in range(start, start + 300)], timeout=40)
assert [value for value, _ in done] == [n * n for n in range(start, start + 300)]
print(len({node for _, node in done}))
"""


def test_several_drivers_at_once(driver: Cluster) -> None:
    with (
        driver.started_driver(DRIVER, 0) as one,
        driver.started_driver(DRIVER, 1_000) as two,
        driver.started_driver(DRIVER, 2_000) as three,
    ):
        drivers = [one, two, three]
        for child in drivers:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in drivers:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        told = [child.communicate() for child in drivers]
    assert [output for output, _ in told] == ["2\n"] * 3, told
