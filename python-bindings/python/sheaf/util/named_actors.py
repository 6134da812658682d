"""The names of the actors that live."""

from __future__ import annotations

from typing import Any

from sheaf._runtime import process


def list_named_actors(all_namespaces: bool = False) -> list[Any]:
    """The names of the actors of this namespace, or dicts of ``name`` and ``namespace`` for all of them.

    >>> import sheaf
    >>> @sheaf.remote
    ... class Clerk:
    ...     pass
    >>> clerk = Clerk.options(name="clerk").remote()
    >>> "clerk" in sheaf.util.list_named_actors()
    True
    """
    found = process.client().names(None if all_namespaces else process.namespace())
    if all_namespaces:
        return [{"name": name, "namespace": namespace} for namespace, name in found]
    return [name for _, name in found]
