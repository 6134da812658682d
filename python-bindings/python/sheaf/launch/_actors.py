"""The actors of Ray's that hold the nodes: one for each, in a placement group, with what their nodes have of it."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from sheaf._sheaf import VERSION
from sheaf.errors import InvalidInputError, UnsupportedError
from sheaf.exceptions import ActorUnschedulableError, GetTimeoutError, NodeDiedError
from sheaf.launch._process import State, seconds_until

# How long an answer of actors is waited for beyond the time that what they do may take.
_GRACE_SECONDS = 5.0


@dataclass(frozen=True)
class Place:
    """Where an actor is, and whether Sheaf is there."""

    ip: str
    ray_node: str
    python: str
    version: str | None
    """Of Sheaf; ``None`` where it cannot be imported."""
    why_not: str


def load() -> ModuleType:
    """Ray, joined to a cluster by this process, which runs on a machine of it."""
    try:
        import ray
        import ray.util.client
        import ray.util.placement_group
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise UnsupportedError(
            f"sheaf.launch.ray needs Ray, which cannot be imported: {error}\n  help: pip install ray"
        ) from error
    if ray.util.client.ray.is_connected():
        raise UnsupportedError(
            "this program speaks to Ray from outside (ray://), and a node of Sheaf's has to be beside it\n"
            "  help: run it on a machine of the Ray cluster: ray job submit, or ray.init() there"
        )
    if not ray.is_initialized():
        raise InvalidInputError("Ray is not joined\n  help: call ray.init() before, with the address of the cluster")
    return ray  # type: ignore[no-any-return]


class Nodes:
    """The actors, in the order of their bundles; none before ``place``."""

    def __init__(self, ray: ModuleType) -> None:
        self._ray = ray
        self._group: Any = None
        self._actors: list[Any] = []
        self.places: list[Place] = []

    def place(self, bundles: Sequence[Mapping[str, float]], strategy: str, until: float) -> None:
        """Have Ray start an actor for each bundle, and look at where they are."""
        self._group = self._ray.util.placement_group([dict(bundle) for bundle in bundles], strategy=strategy)
        if not self._group.wait(math.ceil(seconds_until(until))):
            # Without those that Ray makes of nodes and groups.
            every = self._ray.available_resources().items()
            free = {name: value for name, value in every if ":" not in name and "_group_" not in name}
            raise ActorUnschedulableError(
                f"Ray has found no room in time for {len(bundles)} nodes of {dict(bundles[0])} ({strategy}); all that "
                f"is free is {free}\n  help: ask for fewer nodes or less of num_cpus, num_gpus, memory and resources"
            )
        actor = _actor_class(self._ray)
        self._actors = [actor.options(**self._options(bundle, at)).remote() for at, bundle in enumerate(bundles)]
        told = self._answers([each.look.remote() for each in self._actors], until, "the actors of Ray have not started")
        self.places = [Place(**each) for each in told]
        check_places(self.places)

    def _options(self, bundle: Mapping[str, float], at: int) -> dict[str, Any]:
        others = {name: value for name, value in bundle.items() if name not in {"CPU", "GPU", "memory"}}
        strategies = self._ray.util.scheduling_strategies
        return {
            "num_cpus": bundle["CPU"],
            "num_gpus": bundle.get("GPU", 0),
            "memory": bundle.get("memory"),
            "resources": others or None,
            "scheduling_strategy": strategies.PlacementGroupSchedulingStrategy(
                self._group, placement_group_bundle_index=at, placement_group_capture_child_tasks=False
            ),
        }

    def start(self, commands: Sequence[Sequence[str]], token: str, until: float) -> list[State]:
        """Start the processes, and give their states once they listen."""
        each = zip(self._actors, commands, strict=True)
        asked = [actor.start.remote(list(command), token, seconds_until(until)) for actor, command in each]
        states = self._answers(asked, until, "the nodes have not started")
        for place, state in zip(self.places, states, strict=True):
            check_started(f"the node on {place.ip}", state)
        return states

    def states(self, seconds: float) -> list[State]:
        """What the actors know of their processes; of an actor that is gone or silent, that it is."""
        asked = [actor.state.remote() for actor in self._actors]
        self._wait(asked, seconds)
        return [self._state(reference) for reference in asked]

    def _state(self, reference: Any) -> State:
        try:
            return self._ray.get(reference, timeout=0)  # type: ignore[no-any-return]
        except self._ray.exceptions.GetTimeoutError:
            return State(None, None, "its actor does not answer", "")
        except Exception as error:
            return State(None, None, f"its actor is gone: {str(error).partition(chr(10))[0]}", "")

    def stop(self, seconds: float) -> None:
        """End the processes, then the actors and their placement group; whatever is gone already is no error."""
        if not self._ray.is_initialized():
            return
        with contextlib.suppress(Exception):
            self._wait([actor.stop.remote(seconds) for actor in self._actors], seconds + _GRACE_SECONDS)
        for actor in self._actors:
            with contextlib.suppress(Exception):
                self._ray.kill(actor)
        if self._group is not None:
            with contextlib.suppress(Exception):
                self._ray.util.remove_placement_group(self._group)
        self._actors, self._group, self.places = [], None, []

    def _wait(self, references: list[Any], seconds: float) -> None:
        if references:
            self._ray.wait(references, num_returns=len(references), timeout=seconds)

    def _answers(self, references: list[Any], until: float, late: str) -> list[Any]:
        try:
            return self._ray.get(references, timeout=seconds_until(until) + _GRACE_SECONDS)  # type: ignore[no-any-return]
        except self._ray.exceptions.GetTimeoutError as error:
            raise GetTimeoutError(f"{late} in time\n  help: look at Ray's dashboard, or give more timeout=") from error
        except self._ray.exceptions.RayError as error:
            raise NodeDiedError(f"an actor of Ray that was to hold a node failed: {error}") from error


def _actor_class(ray: ModuleType) -> Any:
    """The class of the actors. It is within a function so that Ray sends it whole: where Sheaf is not, it says so."""

    class SheafNode:
        def look(self) -> dict[str, Any]:
            import importlib
            import platform

            import ray

            version, why_not = None, ""
            try:
                version = importlib.import_module("sheaf._sheaf").VERSION
                importlib.import_module("sheaf.launch._process")
            except Exception as error:
                why_not = f"{type(error).__name__}: {error}"
            return {
                "ip": ray.util.get_node_ip_address(),
                "ray_node": ray.get_runtime_context().get_node_id(),
                "python": f"{sys.executable} ({platform.python_version()})",
                "version": version,
                "why_not": why_not,
            }

        def start(self, command: list[str], token: str, seconds: float) -> State:
            from sheaf.launch._process import Process

            self._process = Process(command, token)
            return self._process.await_start(seconds)

        def state(self) -> State:
            return self._process.state

        def stop(self, seconds: float) -> State | None:
            return self._process.stop(seconds) if hasattr(self, "_process") else None

    # Others come while one waits.
    return ray.remote(max_restarts=0, max_concurrency=4)(SheafNode)


def check_places(places: Iterable[Place]) -> None:
    """Raise where Sheaf is not, or not of this program's version."""
    for place in places:
        help_ = (
            f"install the same on every machine of the Ray cluster (pip install sheaf=={VERSION}), or let Ray do it: "
            f'ray.init(runtime_env={{"pip": ["sheaf=={VERSION}"]}})'
        )
        if place.version is not None and place.version != VERSION:
            raise UnsupportedError(
                f"this program has Sheaf {VERSION}, and {place.python} on {place.ip} has {place.version}\n"
                f"  help: {help_}"
            )
        if place.why_not:
            raise UnsupportedError(
                f"{place.python} on {place.ip} cannot import Sheaf: {place.why_not}\n  help: {help_}"
            )


def check_started(what: str, state: State) -> None:
    """Raise for a process that has ended, or does not listen yet."""
    if state.ended is not None:
        raise NodeDiedError(f"{what} has ended: {state.ended}\n{state.words}".rstrip())
    if state.place is None:
        raise GetTimeoutError(f"{what} does not listen in time\n{state.words}".rstrip())
