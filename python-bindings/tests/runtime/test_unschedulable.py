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
