"""What is saved of durable actors: listed, and given up."""

from __future__ import annotations

import os
from collections.abc import Mapping

from sheaf._runtime.durable import store as stores
from sheaf._runtime.durable.place import Durable, names_of, place_of, root_of


def list_durable(
    store: str | os.PathLike[str] | None = None, *, storage_options: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """The durable actors that are saved in a store, alive or not, as dicts of ``name`` and ``namespace``.

    Args:
        store: The folder or URL that they were made with; the default is that of ``durable=True``.
        storage_options: Of an object store.

    >>> import sheaf, tempfile
    >>> sheaf.util.list_durable(tempfile.mkdtemp())
    []
    """
    folders = stores.saved_below(root_of(store), dict(storage_options or {}))
    return [{"name": name, "namespace": namespace} for namespace, name in map(names_of, folders)]


def delete_durable(
    name: str,
    namespace: str | None = None,
    *,
    store: str | os.PathLike[str] | None = None,
    storage_options: Mapping[str, str] | None = None,
) -> bool:
    """Delete what is saved of a durable actor; the next one of this name begins anew. End the actor before.

    Args:
        name: Its name.
        namespace: Its namespace; the default is this program's, or that of actors without one.
        store: The folder or URL that it was made with; the default is that of ``durable=True``.
        storage_options: Of an object store.

    Returns whether there was something.

    >>> import sheaf, tempfile
    >>> sheaf.util.delete_durable("nobody", store=tempfile.mkdtemp())
    False
    """
    return stores.delete(place_of(Durable(store, storage_options=storage_options or {}), name, namespace))
