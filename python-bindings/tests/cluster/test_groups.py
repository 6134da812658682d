"""Placement groups on several nodes: nodes that die and come, and drivers that find, leave and remove them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runtime.processes import becomes_true

import sheaf as ray
from sheaf.util import get_placement_group, placement_group, placement_group_table, remove_placement_group
from sheaf.util.placement_group import PlacementGroup
from sheaf.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from .nodes import Cluster, Member, eventually

pytestmark = pytest.mark.timeout(90)

SECONDS = 40
# A node that nobody hears is declared dead after ten.
DEATH_SECONDS = 15

MAKES = """
import sys
import sheaf as ray
ray.init(sys.argv[1])
for name, lifetime in (("detached", "detached"), ("plain", None)):
    group = ray.util.placement_group([{"CPU": 1, "b": 1}], name=name, lifetime=lifetime)
    assert group.wait(30)
print("made", flush=True)
sys.stdin.readline()
"""

FINDS = """
import sys
import sheaf as ray
ray.init(sys.argv[1])
group = ray.util.get_placement_group(sys.argv[2])
assert group.wait(30)
where = ray.remote(num_cpus=1)(lambda: ray.get_runtime_context().get_node_id())
print(group.id.hex(), ray.get(where.options(placement_group=group).remote(), timeout=30), group.bundle_specs)
"""


@ray.remote(num_cpus=1)
def where(folder: Path | None = None, name: str = "") -> str:
    """The node, once the test lets the task end."""
    if folder is not None:
        (folder / name).touch()
        while not (folder / "go").exists():
            time.sleep(0.02)
    return str(ray.get_runtime_context().get_node_id())


def inside(group: PlacementGroup, index: int = 0) -> dict[str, Any]:
    return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, index)}


def nodes_of(group: PlacementGroup) -> list[str]:
    """Where the bundles are; nothing for one that is not reserved."""
    return list(placement_group_table(group)["bundles_to_node_id"].values())


def free(name: str) -> float:
    return ray.available_resources().get(name, 0.0)


def begun(group: PlacementGroup, folder: Path) -> list[Any]:
    """A task in the first bundle, which runs, and one that waits for it to end."""
    running = where.options(**inside(group)).remote(folder, "running")
    assert becomes_true((folder / "running").exists, SECONDS)
    waiting = where.options(**inside(group)).remote(folder, "waiting")
    assert ray.wait([waiting], timeout=0.5) == ([], [waiting])
    assert not (folder / "waiting").exists()
    return [running, waiting]


def test_the_bundles_of_a_killed_node_are_reserved_on_another(cluster: Cluster, tmp_path: Path) -> None:
    cluster.add(num_cpus=1)
    names: dict[str, Member] = {}
    for _ in range(3):
        member = cluster.add(num_cpus=1, resources={"b": 1})
        names[cluster.name_of(member)] = member
    ray.init(cluster.address)
    group = placement_group([{"CPU": 1, "b": 1}] * 2, strategy="STRICT_SPREAD")
    assert group.wait(SECONDS)
    first, second = nodes_of(group)
    [spare] = {*names} - {first, second}
    refs = begun(group, tmp_path)
    names[first].kill()
    eventually(lambda: nodes_of(group), [spare, second], DEATH_SECONDS)
    (tmp_path / "go").touch()
    assert ray.get(refs, timeout=SECONDS) == [spare, spare]
    assert ray.get(where.options(**inside(group, 1)).remote(), timeout=SECONDS) == second
    assert placement_group_table(group)["state"] == "CREATED"


def test_where_no_other_node_has_room_they_wait_for_one_that_comes(
    pair: Callable[..., Cluster], tmp_path: Path
) -> None:
    cluster = pair(num_cpus=1)
    ray.init(cluster.address)
    group = placement_group([{"CPU": 1, "b": 1}, {"CPU": 1, "a": 1}])
    assert group.wait(SECONDS)
    refs = begun(group, tmp_path)
    cluster.members[1].kill()
    eventually(lambda: len(ray.nodes()), 1, DEATH_SECONDS)
    assert placement_group_table(group)["state"] == "RESCHEDULING"
    assert ray.wait(refs, timeout=0.5) == ([], refs)
    comes = cluster.name_of(cluster.add(num_cpus=1, resources={"b": 1}))
    (tmp_path / "go").touch()
    assert ray.get(refs, timeout=SECONDS) == [comes, comes]
    assert placement_group_table(group)["state"] == "CREATED"


def test_another_driver_finds_a_group_by_its_name(driver: Cluster) -> None:
    group = placement_group([{"CPU": 1, "b": 1}], name="shared")
    assert group.wait(SECONDS)
    done = driver.run_driver(FINDS, "shared")
    [node] = nodes_of(group)
    assert node == driver.name_of(driver.members[1])
    assert done.stdout.strip() == f"{group.id.hex()} {node} {group.bundle_specs}", done.stderr
    # The end of who found it does not end it.
    assert placement_group_table(group)["state"] == "CREATED"
    assert ray.get(where.options(**inside(group)).remote(), timeout=SECONDS) == node
    remove_placement_group(group)
    done = driver.run_driver(FINDS, "shared")
    assert "Failed to look up placement group with name: shared" in done.stderr
    eventually(lambda: free("b"), 2.0)


@pytest.mark.parametrize("end", ["ends", "is killed"])
def test_a_detached_group_outlives_its_driver_and_another_removes_it(driver: Cluster, end: str) -> None:
    with driver.started_driver(MAKES) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "made\n"
        assert free("b") == 0
        if end == "ends":
            maker.communicate("\n", timeout=SECONDS)
        else:
            maker.kill()
            maker.wait(SECONDS)
    # What the other one had reserved is free.
    eventually(lambda: free("b"), 1.0, DEATH_SECONDS)
    with pytest.raises(ValueError, match="plain"):
        get_placement_group("plain")
    group = get_placement_group("detached")
    assert ray.get(where.options(**inside(group)).remote(), timeout=SECONDS) == driver.name_of(driver.members[1])
    remove_placement_group(group)
    eventually(lambda: free("b"), 2.0)
    with pytest.raises(ValueError, match="detached"):
        get_placement_group("detached")
