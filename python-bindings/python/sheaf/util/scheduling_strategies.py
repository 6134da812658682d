"""Where tasks and actors are to run, for the option ``scheduling_strategy``.

>>> import sheaf
>>> from sheaf.util.scheduling_strategies import NodeAffinitySchedulingStrategy
>>> @sheaf.remote
... def where():
...     return sheaf.get_runtime_context().get_node_id()
>>> [node] = [node["NodeID"] for node in sheaf.nodes()]
>>> strategy = NodeAffinitySchedulingStrategy(node, soft=False)
>>> sheaf.get(where.options(scheduling_strategy=strategy).remote()) == node
True
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sheaf._runtime.placement import PlacementGroup

__all__ = [
    "DoesNotExist",
    "Exists",
    "In",
    "NodeAffinitySchedulingStrategy",
    "NodeLabelSchedulingStrategy",
    "NotIn",
    "PlacementGroupSchedulingStrategy",
]


class PlacementGroupSchedulingStrategy:
    """In a placement group.

    Args:
        placement_group: Which one; ``None`` for none, also where the caller's would be inherited.
        placement_group_bundle_index: Which of its bundles; -1 for any.
        placement_group_capture_child_tasks: Whether the calls that are made there run there too, where they do not say
            otherwise. By default as it is for the caller.

    >>> import sheaf
    >>> from sheaf.util.scheduling_strategies import PlacementGroupSchedulingStrategy
    >>> group = sheaf.util.placement_group([{"CPU": 1}])
    >>> strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=0)
    >>> sheaf.get(sheaf.remote(pow).options(scheduling_strategy=strategy).remote(2, 3))
    8
    >>> sheaf.util.remove_placement_group(group)
    """

    def __init__(
        self,
        placement_group: PlacementGroup | None,
        placement_group_bundle_index: int = -1,
        placement_group_capture_child_tasks: bool | None = None,
    ) -> None:
        if not isinstance(placement_group, PlacementGroup | None):
            raise TypeError(f"placement_group is {placement_group!r}, and has to be a placement group or None")
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks


@dataclass(frozen=True)
class NodeAffinitySchedulingStrategy:
    """On one node.

    Args:
        node_id: Which one, as ``nodes()`` names it.
        soft: Whether another will do when it is gone or can never run the task.
    """

    node_id: str
    soft: bool

    def __post_init__(self) -> None:
        try:
            known = bool(bytes.fromhex(self.node_id))
        except (TypeError, ValueError):
            known = False
        if not known:
            raise ValueError(
                f"Invalid node_id {self.node_id!r}: it has to be hexadecimal\n  help: sheaf.nodes() tells the ids"
            )


class _Operator:
    is_not = False

    def __init__(self, *values: str) -> None:
        name = type(self).__name__
        if not values:
            raise ValueError(f'{name} needs values to compare with: {name}("value1", "value2")')
        for value in values:
            if not isinstance(value, str):
                raise ValueError(f"{name} compares text, and not {value!r}, a {type(value).__name__}")
        self.values = list(values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.values))})"


class In(_Operator):
    """A label with one of these values."""


class NotIn(_Operator):
    """A label with none of these values, or no such label."""

    is_not = True


class Exists(_Operator):
    """A label with any value."""

    def __init__(self) -> None:
        self.values = []


class DoesNotExist(Exists):
    """No such label."""

    is_not = True


class NodeLabelSchedulingStrategy:
    """On a node with certain labels.

    Args:
        hard: What its labels have to be: ``In``, ``NotIn``, ``Exists`` or ``DoesNotExist`` by name.
        soft: What they had better be as well.

    >>> from sheaf.util.scheduling_strategies import Exists, NodeLabelSchedulingStrategy, NotIn
    >>> NodeLabelSchedulingStrategy({"zone": NotIn("b")}, soft={"ssd": Exists()}).hard
    {'zone': NotIn('b')}
    """

    def __init__(self, hard: Mapping[str, Any] | None, *, soft: Mapping[str, Any] | None = None) -> None:
        if not hard and not soft:
            raise ValueError("The `hard` and `soft` parameter of NodeLabelSchedulingStrategy cannot both be empty.")
        self.hard = {_name(name): _operator(name, operator) for name, operator in (hard or {}).items()}
        self.soft = {_name(name): _operator(name, operator) for name, operator in (soft or {}).items()}


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise ValueError(f"NodeLabelSchedulingStrategy: {name!r} is not the name of a label, which is text")
    return name


def _operator(name: str, operator: object) -> _Operator:
    if isinstance(operator, str):
        return In(operator)
    if isinstance(operator, _Operator):
        return operator
    raise ValueError(
        f"NodeLabelSchedulingStrategy: {name}: {operator!r} is not an operator\n"
        "  help: there are In, NotIn, Exists and DoesNotExist"
    )
