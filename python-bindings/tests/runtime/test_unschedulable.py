"""Tasks that ask for more than any node has: they wait, for a node may come, and who waits for them is told why."""

from typing import Any

import pytest

import sheaf as ray
from sheaf.exceptions import GetTimeoutError

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]


@ray.remote
def echo(value: Any = None) -> Any:
    return value


@ray.remote
class Actor:
    def ping(self) -> int:
        return 1


@pytest.mark.parametrize("options", [{"num_cpus": 64}, {"num_gpus": 1}, {"resources": {"widget": 1}}])
def test_it_stays_pending(options: dict[str, Any]) -> None:
    ref = echo.options(**options).remote()
    assert ray.wait([ref], timeout=0.5) == ([], [ref])
    with pytest.raises((GetTimeoutError, ray.exceptions.TaskUnschedulableError)):
        ray.get(ref, timeout=0.5)
    assert ray.get(echo.remote(1), timeout=30) == 1, "others are held up"
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=10)


def test_it_fails_at_once_where_that_is_asked_for() -> None:
    @ray.remote(num_gpus=1, fail_if_unschedulable=True)
    def never() -> None:
        pass

    with pytest.raises(ray.exceptions.TaskUnschedulableError, match="no node has GPU 1") as raised:
        ray.get(never.remote(), timeout=30)
    assert not isinstance(raised.value, GetTimeoutError)
    urgent = echo.options(resources={"widget": 1}, fail_if_unschedulable=True)
    for ref in (urgent.remote(), echo.remote(urgent.remote())):
        with pytest.raises(ray.exceptions.TaskUnschedulableError, match="widget"):
            ray.get(ref, timeout=30)
    assert ray.get(echo.options(fail_if_unschedulable=True).remote(1), timeout=30) == 1, "it could run"


def test_an_actor_fails_at_once_where_that_is_asked_for() -> None:
    actor = Actor.options(num_gpus=1, fail_if_unschedulable=True).remote()
    with pytest.raises(ray.exceptions.ActorUnschedulableError, match="no node has GPU 1"):
        ray.get(actor.ping.remote(), timeout=30)
    with pytest.raises(TypeError, match="fail_if_unschedulable"):
        Actor.options(fail_if_unschedulable=1)


def test_it_fails_at_once_in_a_group_that_no_nodes_could_hold() -> None:
    group = ray.util.placement_group([{"CPU": 1}, {"widget": 1}])
    ref = echo.options(placement_group=group, fail_if_unschedulable=True).remote()
    with pytest.raises(ray.exceptions.TaskUnschedulableError, match="could ever hold"):
        ray.get(ref, timeout=30)
    ray.util.remove_placement_group(group)


def test_what_depends_on_it_waits_too() -> None:
    ref = echo.options(num_gpus=1).remote()
    dependent = echo.remote(ref)
    assert ray.wait([dependent], timeout=0.3) == ([], [dependent])


def test_an_actor_that_cannot_be_placed() -> None:
    actor = Actor.options(num_gpus=1).remote()
    ref = actor.ping.remote()
    assert ray.wait([ref], timeout=0.5) == ([], [ref])
    other = Actor.remote()
    assert ray.get(other.ping.remote(), timeout=30) == 1
