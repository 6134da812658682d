"""What is built on tasks and actors, under Ray's names: pools of actors and processes, queues, placement groups."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from sheaf._runtime.serialization import deregister_serializer, register_serializer
from sheaf.util.actor_pool import ActorPool
from sheaf.util.check_serialize import inspect_serializability
from sheaf.util.debug import disable_log_once_globally, enable_periodic_logging, log_once
from sheaf.util.durable import delete_durable, list_durable
from sheaf.util.iteration import as_completed, map_unordered
from sheaf.util.named_actors import list_named_actors
from sheaf.util.network import get_node_ip_address
from sheaf.util.placement_group import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

if _TYPE_CHECKING:
    from sheaf.util import accelerators as accelerators
    from sheaf.util import executor as executor
    from sheaf.util import joblib as joblib
    from sheaf.util import metrics as metrics
    from sheaf.util import multiprocessing as multiprocessing
    from sheaf.util import queue as queue
    from sheaf.util import scheduling_strategies as scheduling_strategies

# Loaded when they are named: few programs use them, and every worker would load what they need.
_MODULES = frozenset(
    {"accelerators", "executor", "joblib", "metrics", "multiprocessing", "queue", "scheduling_strategies"}
)


def __getattr__(name: str) -> _Any:
    if name in _MODULES:
        return _import_module(f"sheaf.util.{name}")
    raise AttributeError(f"module 'sheaf.util' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})


__all__ = [
    "ActorPool",
    "as_completed",
    "delete_durable",
    "deregister_serializer",
    "disable_log_once_globally",
    "enable_periodic_logging",
    "get_current_placement_group",
    "get_node_ip_address",
    "get_placement_group",
    "inspect_serializability",
    "list_durable",
    "list_named_actors",
    "log_once",
    "map_unordered",
    "placement_group",
    "placement_group_table",
    "register_serializer",
    "remove_placement_group",
]
