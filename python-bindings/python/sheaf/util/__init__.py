"""What is built on tasks and actors, under Ray's names: pools of actors and processes, queues, placement groups."""

from sheaf._runtime.serialization import deregister_serializer, register_serializer
from sheaf.util.actor_pool import ActorPool
from sheaf.util.check_serialize import inspect_serializability
from sheaf.util.durable import delete_durable, list_durable
from sheaf.util.named_actors import list_named_actors
from sheaf.util.placement_group import (
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

__all__ = [
    "ActorPool",
    "delete_durable",
    "deregister_serializer",
    "get_current_placement_group",
    "get_placement_group",
    "inspect_serializability",
    "list_durable",
    "list_named_actors",
    "placement_group",
    "placement_group_table",
    "register_serializer",
    "remove_placement_group",
]
