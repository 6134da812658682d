"""What is built on tasks and actors, under Ray's names: a pool of actors, a queue, pools of processes, executors."""

from sheaf._runtime.serialization import deregister_serializer, register_serializer
from sheaf.util.actor_pool import ActorPool
from sheaf.util.check_serialize import inspect_serializability
from sheaf.util.durable import delete_durable, list_durable
from sheaf.util.named_actors import list_named_actors

__all__ = [
    "ActorPool",
    "delete_durable",
    "deregister_serializer",
    "inspect_serializability",
    "list_durable",
    "list_named_actors",
    "register_serializer",
]
