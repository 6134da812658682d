"""The package ``cloudpickle`` under Ray's path, ``ray.cloudpickle``.

>>> from sheaf import cloudpickle
>>> cloudpickle.loads(cloudpickle.dumps(lambda x: x + 1))(2)
3
"""

from pickle import PicklingError, UnpicklingError

from cloudpickle import *  # noqa: F403
from cloudpickle import CloudPickler, Pickler, dump, dumps, load, loads

__all__ = ["CloudPickler", "Pickler", "PicklingError", "UnpicklingError", "dump", "dumps", "load", "loads"]
