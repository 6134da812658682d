"""Small promises of Ray's that programs rely on without saying so: limits, refusals, and which error it is."""

import time
from typing import Any

import pytest

import sheaf as ray
from sheaf.util.scheduling_strategies import NodeAffinitySchedulingStrategy

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]


class Outside(BaseException):
    """No ``Exception``, and nothing that ends an interpreter."""


class Holding(Exception):
    def __init__(self, ref: Any) -> None:
        super().__init__(ref)
        self.ref = ref


@ray.remote
def fail(error: BaseException) -> None:
    raise error


@ray.remote
def echo(value: Any = None) -> Any:
    return value


@ray.remote
class Actor:
    def __init__(self, value: Any = None) -> None:
        self.value = value

    def ping(self) -> int:
        return 1

    def nap(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    def keep(self, value: Any) -> None:
        self.value = value

    def kept(self) -> Any:
        return self.value

    def me(self) -> Any:
        return ray.get_runtime_context().current_actor


def test_an_actor_takes_so_many_calls_at_once() -> None:
    actor = Actor.options(max_pending_calls=2).remote()
    assert ray.get(actor.ping.remote(), timeout=30) == 1
    naps = [actor.nap.remote(0.5), actor.nap.remote(0)]
    with pytest.raises(ray.exceptions.PendingCallsLimitExceeded, match="max_pending_calls"):
        actor.ping.remote()
    assert ray.get(naps, timeout=30) == [0.5, 0]
    assert ray.get(actor.ping.remote(), timeout=30) == 1


def test_a_method_cannot_be_cancelled_by_force() -> None:
    actor = Actor.remote()
    nap = actor.nap.remote(0.5)
    with pytest.raises(ValueError, match="force=True is not supported for actor tasks"):
        ray.cancel(nap, force=True)
    assert ray.get(nap, timeout=30) == 0.5


def test_an_actor_hands_out_itself() -> None:
    actor = Actor.remote()
    itself = ray.get(actor.me.remote(), timeout=30)
    ray.get(itself.keep.remote("kept"), timeout=30)
    assert ray.get(actor.kept.remote(), timeout=30) == "kept"


def test_only_an_actor_hands_out_itself() -> None:
    def ask() -> Any:
        return ray.get_runtime_context().current_actor

    with pytest.raises(RuntimeError, match="only available in an actor"):
        ask()
    with pytest.raises(RuntimeError, match="only available in an actor"):
        ray.get(ray.remote(ask).remote(), timeout=30)


def test_one_node_that_is_not_there() -> None:
    own = ray.get_runtime_context().get_node_id()
    missing = NodeAffinitySchedulingStrategy(("0" if own[0] != "0" else "1") + own[1:], soft=False)
    with pytest.raises(ray.exceptions.TaskUnschedulableError):
        ray.get(echo.options(scheduling_strategy=missing).remote())
    actor = Actor.options(scheduling_strategy=missing).remote()
    with pytest.raises(ray.exceptions.ActorUnschedulableError):
        ray.get(actor.ping.remote())
    # Each is told anew, and others run.
    with pytest.raises(ray.exceptions.TaskUnschedulableError):
        ray.get(echo.options(scheduling_strategy=missing).remote())
    assert ray.get(echo.remote(1), timeout=30) == 1


@pytest.mark.parametrize("error", [MemoryError("full"), Outside("out"), GeneratorExit("left")])
def test_an_error_is_of_its_own_type_whatever_that_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised:
        ray.get(fail.remote(error), timeout=30)
    assert isinstance(raised.value, ray.exceptions.RayTaskError)
    assert type(raised.value.cause) is type(error)


def test_an_interrupt_within_a_task_does_not_end_the_driver() -> None:
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(fail.remote(KeyboardInterrupt()), timeout=30)


def test_an_actor_whose_argument_failed() -> None:
    actor = Actor.remote(fail.remote(ValueError("a bad argument")))
    with pytest.raises(ray.exceptions.ActorDiedError, match="a bad argument"):
        ray.get(actor.ping.remote(), timeout=30)


def test_references_within_an_error_stay_usable() -> None:
    @ray.remote
    def raise_with_one() -> None:
        raise Holding(ray.put("held"))

    failed = raise_with_one.remote()
    dependent = echo.remote(failed)
    ray.wait([failed, dependent], num_returns=2, timeout=30)
    # The worker has let go of what it raised by then.
    time.sleep(0.5)
    for ref in (failed, dependent):
        with pytest.raises(Holding) as raised:
            ray.get(ref, timeout=30)
        assert ray.get(raised.value.cause.ref, timeout=30) == "held"
