"""What waits and another node owns, as a driver sees it: the owner is asked why, and never waited for long."""

import signal
import time
from typing import Any

import pytest

import sheaf as ray
from sheaf.exceptions import GetTimeoutError, TaskUnschedulableError

from .nodes import Cluster, eventually

pytestmark = pytest.mark.timeout(60)

SECONDS = 30
ANSWER_SECONDS = 6


@ray.remote
def echo(value: Any = None) -> Any:
    return value


@ray.remote(num_cpus=0)
class Sleeper:
    def sleep(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds


@ray.remote(num_cpus=0, resources={"b": 0.1})
class Elsewhere:
    """On the other node: what it submits belongs to that."""

    def submit(self, **options: Any) -> list[ray.ObjectRef]:
        return [echo.options(**options).remote()]

    def call(self, seconds: float, **options: Any) -> list[ray.ObjectRef]:
        self.sleeper = Sleeper.options(**options).remote()
        return [self.sleeper.sleep.remote(seconds)]

    def make(self, **options: Any) -> Any:
        return Sleeper.options(**options).remote()


def handed(call: Any) -> Any:
    """The reference that is within a result."""
    return ray.get(call, timeout=SECONDS)[0]


def test_the_owner_says_what_its_task_waits_for(driver: Cluster) -> None:
    elsewhere = Elsewhere.remote()
    ref = handed(elsewhere.submit.remote(resources={"late": 1}))
    eventually(lambda: "no node has late 1" in ray.explain(ref), True)
    with pytest.raises(GetTimeoutError, match="late") as raised:
        ray.get(ref, timeout=0.1)
    assert isinstance(raised.value, TaskUnschedulableError)
    done = handed(elsewhere.submit.remote())
    assert ray.get(done, timeout=SECONDS) is None
    assert "is ready" in ray.explain(done)


def test_the_owner_of_an_actor_says_what_calls_of_others_wait_for(driver: Cluster) -> None:
    elsewhere = Elsewhere.remote()
    sleeper = ray.get(elsewhere.make.remote(resources={"late": 1}), timeout=SECONDS)
    ref = sleeper.sleep.remote(0)
    eventually(lambda: "no node has late 1" in ray.explain(ref), True)
    with pytest.raises(GetTimeoutError, match="late") as raised:
        ray.get(ref, timeout=0.1)
    assert isinstance(raised.value, ray.exceptions.ActorUnschedulableError)


def test_a_method_that_was_called_elsewhere_cannot_be_cancelled_by_force(driver: Cluster) -> None:
    elsewhere = Elsewhere.remote()
    ref = handed(elsewhere.call.remote(1))
    with pytest.raises(ValueError, match="force=True is not supported for actor tasks"):
        ray.cancel(ref, force=True)
    assert ray.get(ref, timeout=SECONDS) == 1


def test_what_was_submitted_elsewhere_can_be_cancelled(driver: Cluster) -> None:
    elsewhere = Elsewhere.remote()
    ref = handed(elsewhere.submit.remote(resources={"late": 1}))
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=SECONDS)


def test_an_owner_that_does_not_answer_is_not_waited_for(cluster: Cluster) -> None:
    cluster.add(num_cpus=1)
    other = cluster.add(num_cpus=1, resources={"b": 1})
    ray.init(cluster.address)
    elsewhere = Elsewhere.remote()
    refs = [handed(elsewhere.submit.remote(resources={"late": 1})) for _ in range(5)]
    other.send(signal.SIGSTOP)
    start = time.monotonic()
    told = ray.explain(refs[0])
    assert "which does not answer" in told or "which died" in told
    with pytest.raises(GetTimeoutError, match=r"which (does not answer|died)"):
        ray.get(refs, timeout=0.1)
    assert time.monotonic() - start < 2 * ANSWER_SECONDS
    other.kill()
    eventually(lambda: "which died" in ray.explain(refs[0]), True, SECONDS)
