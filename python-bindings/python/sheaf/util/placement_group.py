"""Placement groups: resources that are reserved together, on one node or on several.

>>> import sheaf
>>> from sheaf.util.placement_group import placement_group, remove_placement_group
>>> from sheaf.util.scheduling_strategies import PlacementGroupSchedulingStrategy
>>> @sheaf.remote(num_cpus=1)
... def double(x):
...     return 2 * x
>>> group = placement_group([{"CPU": 1}], strategy="STRICT_PACK")
>>> group.wait(30)
True
>>> sheaf.get(double.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group)).remote(4))
8
>>> remove_placement_group(group)
"""

from __future__ import annotations

import math
from typing import Any

from sheaf._runtime import placement, process
from sheaf._runtime.placement import PlacementGroup, PlacementGroupID
from sheaf.errors import UnsupportedError

__all__ = [
    "PlacementGroup",
    "PlacementGroupID",
    "get_current_placement_group",
    "get_placement_group",
    "placement_group",
    "placement_group_table",
    "remove_placement_group",
]

_STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")


def placement_group(
    bundles: list[dict[str, float]],
    strategy: str | None = "PACK",
    name: str = "",
    lifetime: str | None = None,
    _soft_target_node_id: str | None = None,
    bundle_label_selector: list[dict[str, str]] | None = None,
    topology_strategy: dict[str, str] | None = None,
) -> PlacementGroup:
    """Reserve resources: all bundles or none. Returns at once; ``ready`` and ``wait`` tell when they are reserved.

    A group for which there is no room waits for it. It ends with the driver that it was made under, and its resources
    are free again.

    Args:
        bundles: The resources of each, such as ``{"CPU": 2, "GPU": 1}``. A bundle lies on one node.
        strategy: ``"PACK"``: on few nodes; ``"SPREAD"``: on many; ``"STRICT_PACK"``: on one;
            ``"STRICT_SPREAD"``: each on a node of its own.
        name: By which any job of the cluster finds it.
        lifetime: ``"detached"``: until it is removed.
        _soft_target_node_id: Not supported: ``UnsupportedError``.
        bundle_label_selector: Not supported: ``UnsupportedError``.
        topology_strategy: Not supported: ``UnsupportedError``.

    Raises ``ValueError`` for bundles, a strategy or a lifetime that cannot be, and for a name that another group has.

    >>> import sheaf
    >>> group = sheaf.util.placement_group([{"CPU": 0.5}, {"CPU": 0.5}], name="halves")
    >>> sheaf.get(group.ready()).bundle_count
    2
    >>> sheaf.util.remove_placement_group(group)
    """
    given = {
        "_soft_target_node_id": _soft_target_node_id,
        "bundle_label_selector": bundle_label_selector,
        "topology_strategy": topology_strategy,
    }
    for option, value in given.items():
        if value:
            raise UnsupportedError(f"placement_group({option}=...) is not there yet")
    _check_bundles(bundles)
    strategy = "PACK" if strategy is None else strategy
    if strategy not in _STRATEGIES:
        raise ValueError(
            f"Invalid placement group strategy {strategy}. Supported strategies are: {', '.join(_STRATEGIES)}."
        )
    if lifetime not in (None, "detached"):
        raise ValueError(f"Placement group `lifetime` argument must be either `None` or 'detached'. Got {lifetime}.")
    client = process.client()
    wanted = [{resource: float(amount) for resource, amount in bundle.items() if amount} for bundle in bundles]
    lives_with = None if lifetime == "detached" else process.root()
    return PlacementGroup(PlacementGroupID(client.create_group(name, wanted, strategy, lives_with)), wanted)


def _check_bundles(bundles: Any) -> None:
    if not isinstance(bundles, list):
        raise ValueError(f"Placement group bundles must be a list, got {type(bundles)}.")
    if not bundles:
        raise ValueError("Bundles must be a non-empty list of resource dictionaries, and the list is empty.")
    for bundle in bundles:
        if not isinstance(bundle, dict):
            raise ValueError(f"Bundles must be a non-empty list of resource dictionaries, and {bundle!r} is none.")
        for resource, amount in bundle.items():
            if not isinstance(resource, str) or isinstance(amount, bool) or not isinstance(amount, int | float):
                raise ValueError(f"Bundles have amounts by names of resources; {resource!r}: {amount!r} is neither.")
            if not (amount >= 0 and math.isfinite(amount)):
                raise ValueError(f"Bundles cannot have {amount} of {resource}: {bundles}")
        if not any(bundle.values()):
            raise ValueError(
                f"Bundles cannot be an empty dictionary or resources with only 0 values. Bundles: {bundles}"
            )


def remove_placement_group(placement_group: PlacementGroup) -> None:
    """End a group. What runs in it is killed, what waits for it fails with ``TaskPlacementGroupRemoved``.

    Args:
        placement_group: Which one; for one that has ended nothing happens.

    >>> import sheaf
    >>> group = sheaf.util.placement_group([{"CPU": 1}])
    >>> sheaf.util.remove_placement_group(group)
    >>> sheaf.util.placement_group_table(group)["state"]
    'REMOVED'
    """
    if not isinstance(placement_group, PlacementGroup):
        raise TypeError(f"remove_placement_group() is for placement groups, and not for {placement_group!r}")
    if not placement_group.is_empty:
        process.client().remove_group(placement_group.id.hex())


def placement_group_table(placement_group: PlacementGroup | None = None) -> dict[str, Any]:
    """What is known of a group, or of all by their ids: its state, its bundles, the nodes where they are.

    Args:
        placement_group: Which one; ``None`` for all. Those that were removed last are there too.

    >>> import sheaf
    >>> group = sheaf.util.placement_group([{"CPU": 1}], name="single")
    >>> group.wait(30)
    True
    >>> table = sheaf.util.placement_group_table(group)
    >>> table["name"], table["strategy"], table["state"], table["bundles"]
    ('single', 'PACK', 'CREATED', {0: {'CPU': 1.0}})
    >>> sheaf.util.remove_placement_group(group)
    """
    table: dict[str, Any] = {
        group: {
            "placement_group_id": group,
            "name": name,
            "bundles": dict(enumerate(bundles)),
            "bundles_to_node_id": {index: node or "" for index, node in enumerate(nodes)},
            "strategy": strategy,
            "state": state,
        }
        for group, name, bundles, strategy, state, nodes in process.client().groups()
    }
    if placement_group is None:
        return table
    if not isinstance(placement_group, PlacementGroup):
        raise TypeError(f"placement_group_table() is for placement groups, and not for {placement_group!r}")
    found: dict[str, Any] = table.get(placement_group.id.hex(), {})
    return found


def get_placement_group(placement_group_name: str) -> PlacementGroup:
    """The group of this name, whichever job has made it.

    Args:
        placement_group_name: As it was given to ``placement_group``.

    Raises ``ValueError`` where there is none.

    >>> import sheaf
    >>> group = sheaf.util.placement_group([{"CPU": 1}], name="known")
    >>> sheaf.util.get_placement_group("known") == group
    True
    >>> sheaf.util.remove_placement_group(group)
    """
    if not placement_group_name:
        raise ValueError("Please supply a non-empty value to get_placement_group")
    for group, name, bundles, _, state, _ in process.client().groups():
        if name == placement_group_name and state != placement.REMOVED:
            return PlacementGroup(PlacementGroupID(group), bundles)
    raise ValueError(f"Failed to look up placement group with name: {placement_group_name}")


def get_current_placement_group() -> PlacementGroup | None:
    """The group in which the running task or actor is; ``None`` in a driver and where there is none.

    >>> import sheaf
    >>> @sheaf.remote
    ... def where():
    ...     return sheaf.util.get_current_placement_group()
    >>> group = sheaf.util.placement_group([{"CPU": 1}])
    >>> sheaf.get(where.options(placement_group=group).remote()) == group
    True
    >>> sheaf.util.remove_placement_group(group)
    """
    return placement.current()
