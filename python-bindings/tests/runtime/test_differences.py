"""Small promises of Ray's that programs rely on without saying so: limits, refusals, and which error it is."""

import importlib
import ipaddress
import pkgutil
import socket
import time
from typing import Any

import pytest

import sheaf as ray
from sheaf.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from . import processes

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


def test_the_context_tells_of_labels_and_groups() -> None:
    context = ray.get_runtime_context()
    assert context.get_node_labels() == {}
    assert context.get_placement_group_id() is None
    assert not context.should_capture_child_tasks_in_placement_group

    @ray.remote
    def where() -> tuple[Any, bool]:
        context = ray.get_runtime_context()
        return context.get_placement_group_id(), context.should_capture_child_tasks_in_placement_group

    group = ray.util.placement_group([{"CPU": 1}])
    strategy = PlacementGroupSchedulingStrategy(group, placement_group_capture_child_tasks=True)
    assert ray.get(where.options(scheduling_strategy=strategy).remote(), timeout=30) == (group.id.hex(), True)
    assert ray.get(where.remote(), timeout=30) == (None, False)
    ray.util.remove_placement_group(group)


def test_get_with_a_negative_time_out_waits() -> None:
    assert ray.get(ray.remote(lambda: time.sleep(0.3) or 1).remote(), timeout=-1) == 1


def test_what_is_not_there_says_so() -> None:
    for made in (echo, Actor, Actor.remote().ping):
        with pytest.raises(ray.errors.UnsupportedError, match=r"graphs of calls .* are not there"):
            made.bind()
    assert not hasattr(ray, "timeline")
    with pytest.raises(AttributeError, match="Prometheus"):
        ray.timeline()
    assert not set(ray._NOT_THERE) & {*dir(ray)}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ActorID", "get_runtime_context"),
        ("NodeID", "hexadecimal"),
        ("Language", "Python alone"),
        ("ClientBuilder", "sheaf://host:port"),
        ("tune", "libraries are not there"),
        ("runtime_context", "get_runtime_context"),
    ],
)
def test_a_name_of_ray_that_is_not_there_says_what_to_use_instead(name: str, hint: str) -> None:
    with pytest.raises(AttributeError, match=rf"has no attribute '{name}'\n  help: .*{hint}"):
        getattr(ray, name)


def test_results_as_they_come() -> None:
    slow, quick = ray.remote(lambda: time.sleep(1) or "slow").remote(), echo.remote("quick")
    assert list(ray.util.as_completed([slow, quick])) == ["quick", "slow"]
    started: list[int] = []

    def items() -> Any:
        for item in range(30):
            started.append(item)
            yield item

    results = ray.util.map_unordered(echo, items(), backpressure_size=4)
    first = next(results)
    assert len(started) == 4
    assert sorted([first, *results]) == list(range(30))
    assert [ray.get(ref) for ref in ray.util.map_unordered(echo, [7], yield_obj_refs=True)] == [7]
    with pytest.raises(TypeError, match="calls a remote function"):
        next(ray.util.map_unordered(abs, [1]))


def test_small_names_of_ray() -> None:
    [node] = ray.nodes()
    assert (node["NodeManagerAddress"], node["NodeName"]) == ("127.0.0.1", "127.0.0.1")
    assert node["NodeManagerHostname"] == socket.gethostname()
    # Nothing is served.
    assert (node["NodeManagerPort"], node["MetricsExportPort"], ray.get_runtime_context().gcs_address) == (0, 0, "")
    assert ray.get(ray.remote(lambda: ray.get_runtime_context().gcs_address).remote(), timeout=30) == ""
    modes = (ray.SCRIPT_MODE, ray.WORKER_MODE, ray.LOCAL_MODE, ray.SPILL_WORKER_MODE, ray.RESTORE_WORKER_MODE)
    assert modes == (0, 1, 2, 3, 4)
    assert [ray.util.log_once("once") for _ in range(3)] == [True, False, False]
    address = ray.util.get_node_ip_address()
    assert len(ipaddress.ip_address(address).packed) == 4
    assert importlib.import_module("sheaf.util.accelerators").NVIDIA_TESLA_V100 == "V100"


def test_modules_are_attributes_and_are_loaded_when_they_are_named() -> None:
    code = """
import importlib, sys
before = set(sys.modules)
import sheaf as ray
names = sys.argv[1:]
early = [name for name in names if f"sheaf.{name}" in sys.modules]
ray.util
early += [name for name in ("util.queue", "util.metrics", "util.joblib") if f"sheaf.{name}" in sys.modules]
for name in names:
    module = ray
    for part in name.split("."):
        assert part in dir(module), name
        module = getattr(module, part)
    assert module is importlib.import_module(f"sheaf.{name}"), name
print(early, ray.util.queue.Queue.__name__, ray.util.metrics.Counter.__name__, callable(ray.util.placement_group))
"""
    names = ["actor", "cloudpickle", "exceptions", "job_submission", "runtime_env", "util"]
    inside = [found.name for found in pkgutil.iter_modules(importlib.import_module("sheaf.util").__path__)]
    # What is there under the name of a function of it, as in Ray, is that function.
    names += [f"util.{name}" for name in inside if name != "placement_group"]
    done = processes.run_driver(code, *names)
    assert done.stdout == "[] Queue Counter True\n", done.stderr
