"""Actors under Ray's path, ``ray.actor``.

>>> from sheaf.actor import exit_actor
>>> exit_actor()
Traceback (most recent call last):
TypeError: exit_actor() is for methods of actors; no actor runs in this process
"""

from sheaf._runtime.actor_class import ActorClass, method
from sheaf._runtime.actor_handle import ActorHandle, ActorMethod, exit_actor
from sheaf._runtime.durable.place import Durable

__all__ = ["ActorClass", "ActorHandle", "ActorMethod", "Durable", "exit_actor", "method"]
