"""Placement groups: the object that stands for one, and which group a call is to run in."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sheaf._runtime import context, process

if TYPE_CHECKING:
    from sheaf._runtime.remote_function import RemoteFunction
    from sheaf._sheaf import ObjectRef

REMOVED = "REMOVED"

Bundle = dict[str, float]


@dataclass(frozen=True, slots=True)
class PlacementGroupID:
    """What a group is called between processes, as Ray shows it."""

    _hex: str = ""

    def hex(self) -> str:
        """Its digits."""
        return self._hex

    def binary(self) -> bytes:
        """Its bytes."""
        return bytes.fromhex(self._hex)

    def is_nil(self) -> bool:
        """Whether it is that of no group."""
        return not self._hex

    def __repr__(self) -> str:
        return f"PlacementGroupID({self._hex})"


class PlacementGroup:
    """Resources that are reserved together; ``sheaf.util.placement_group`` makes it. Tasks and actors may be sent it.

    >>> import sheaf
    >>> group = sheaf.util.placement_group([{"CPU": 1}])
    >>> sheaf.get(group.ready()) == group
    True
    >>> group.bundle_specs
    [{'CPU': 1.0}]
    >>> sheaf.util.remove_placement_group(group)
    """

    def __init__(self, id: PlacementGroupID, bundle_cache: list[Bundle] | None = None) -> None:
        self.id = id
        self._bundles = bundle_cache

    @staticmethod
    def empty() -> PlacementGroup:
        """No group: what runs in it runs anywhere."""
        return PlacementGroup(PlacementGroupID(), [])

    @property
    def is_empty(self) -> bool:
        """Whether it is no group."""
        return self.id.is_nil()

    @property
    def bundle_specs(self) -> list[Bundle]:
        """What each of its bundles has."""
        if self._bundles is None:
            found = [bundles for group, _, bundles, *_ in process.client().groups() if group == self.id.hex()]
            if not found:
                raise ValueError(f"{self!r} was removed long ago, or is of a runtime that has ended")
            self._bundles = found[0]
        return [dict(bundle) for bundle in self._bundles]

    @property
    def bundle_count(self) -> int:
        """How many bundles it has."""
        return len(self.bundle_specs)

    def ready(self) -> ObjectRef:
        """A reference that is there when all of its bundles are reserved; its value is the group.

        ``get`` raises ``TaskPlacementGroupRemoved`` where the group is removed before that.
        """
        if self.is_empty:
            raise ValueError("an empty placement group reserves nothing that could be waited for")
        ref: ObjectRef = _itself().options(placement_group=self).remote(self)
        return ref

    def wait(self, timeout_seconds: float = 30) -> bool:
        """Wait until all of its bundles are reserved, and say whether they are.

        Raises ``TaskPlacementGroupRemoved`` where the group is removed.
        """
        from sheaf._runtime import api

        ref = self.ready()
        done, _ = api.wait([ref], timeout=timeout_seconds)
        if done:
            api.get(ref)
        else:
            api.cancel(ref)
        return bool(done)

    def __reduce__(self) -> Any:
        return PlacementGroup, (self.id, self._bundles)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroup) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"PlacementGroup({self.id.hex()})"


@functools.cache
def _itself() -> RemoteFunction:
    """A task that asks for nothing: it runs in a group as soon as there is one."""
    from sheaf._runtime.remote_function import RemoteFunction

    def itself(group: PlacementGroup) -> PlacementGroup:
        return group

    return RemoteFunction(itself, {"num_cpus": 0, "max_retries": -1, "name": "PlacementGroup.ready"})


def current() -> PlacementGroup | None:
    """The group in which the running task or actor is."""
    terms = context.terms()
    return PlacementGroup(PlacementGroupID(terms.group)) if terms and terms.group else None


def inherited() -> PlacementGroup | None:
    """The group in which the calls made here run, where they do not say otherwise."""
    terms = context.terms()
    return current() if terms and terms.captures else None


@dataclass(frozen=True, slots=True)
class Place:
    """The group in which a call is to run, which of its bundles (-1: any), and whether the calls made there do too."""

    group: PlacementGroup
    index: int = -1
    captures: bool = False


def terms(place: Place | None) -> dict[str, Any]:
    """What ``Terms`` say of it."""
    return {} if place is None else {"group": place.group.id.hex(), "captures": place.captures}


def chosen(given: Mapping[str, Any], name: str, resources: Mapping[str, float]) -> Place | None:
    """The group that the options of a call choose, or that it inherits; none where it may run anywhere.

    Raises ``ValueError`` for a bundle that is not there, and resources that no bundle has.
    """
    place = _named(given)
    if place.group.is_empty:
        if place.index != -1:
            raise ValueError("If placement group is not set, the value of bundle index must be -1.")
        return None
    bundles = place.group.bundle_specs
    if not -1 <= place.index < len(bundles):
        raise ValueError(
            f"placement group bundle index {place.index} is invalid. "
            f"Valid placement group indexes: 0-{len(bundles) - 1}, or -1 for any"
        )
    allowed = bundles if place.index == -1 else [bundles[place.index]]
    if not any(_fits(resources, bundle) for bundle in allowed):
        raise ValueError(
            f"Cannot schedule {name} with the placement group because the resource request {dict(resources)} "
            f"cannot fit into any bundles for the placement group, {allowed}."
        )
    return place


def _named(given: Mapping[str, Any]) -> Place:
    # ``None`` is no group, also where one would be inherited.
    strategy: Any = given.get("scheduling_strategy")
    group = given.get("placement_group", "default")
    index = given.get("placement_group_bundle_index")
    captures = given.get("placement_group_capture_child_tasks")
    if strategy is not None and group not in (None, "default"):
        raise ValueError(
            "placement_group and scheduling_strategy are both given\n"
            "  help: name the group by scheduling_strategy=PlacementGroupSchedulingStrategy(group) alone"
        )
    parents = context.terms()
    if hasattr(strategy, "placement_group"):
        group, index = strategy.placement_group, strategy.placement_group_bundle_index
        captures = strategy.placement_group_capture_child_tasks
    elif strategy is not None:
        group = None
    elif group == "default":
        group = inherited()
    if captures is None:
        captures = bool(parents and parents.captures)
    return Place(group or PlacementGroup.empty(), -1 if index is None else index, captures)


def _fits(resources: Mapping[str, float], bundle: Mapping[str, float]) -> bool:
    return all(bundle.get(name, 0) >= amount for name, amount in resources.items())
