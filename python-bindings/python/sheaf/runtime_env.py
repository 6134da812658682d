"""Environments of tasks and actors under Ray's path, ``ray.runtime_env``."""

from typing import Any

__all__ = ["RuntimeEnv"]


class RuntimeEnv(dict[str, Any]):
    """A ``runtime_env`` by keyword arguments; a plain dictionary does the same.

    >>> from sheaf.runtime_env import RuntimeEnv
    >>> RuntimeEnv(env_vars={"A": "1"})
    {'env_vars': {'A': '1'}}
    """
