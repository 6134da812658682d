"""The option ``durable``, and where the state of an actor with it is."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from sheaf._runtime import process

_UNNAMED = "default"

# The folders of which this process was warned.
_told: set[str] = set()


@dataclass(frozen=True, slots=True)
class Durable:
    """How the state of an actor is saved, for the option ``durable``; ``durable=True`` is ``Durable()``.

    Args:
        store: Below which folder or URL (``s3://bucket/prefix``), or ``head://`` for the tables of the cluster's head,
            where it has a folder for them; the default is ``~/.local/state/sheaf/durable``. The state is at
            ``store/namespace/name``.
        every: Save the state with every so many calls, and the calls between: they are repeated on restore.
        storage_options: Of an object store, as of readers; the environment's are used too.

    >>> import sheaf, tempfile
    >>> @sheaf.remote(durable=sheaf.Durable(store=tempfile.mkdtemp()))
    ... class Counter:
    ...     def __init__(self):
    ...         self.count = 0
    ...     def add(self):
    ...         self.count += 1
    ...         return self.count
    >>> first = Counter.options(name="clicks").remote()
    >>> sheaf.get(first.add.remote())
    1
    >>> sheaf.kill(first)
    >>> while "clicks" in sheaf.util.list_named_actors(): pass
    >>> second = Counter.options(name="clicks").remote()
    >>> sheaf.get(second.add.remote())
    2
    """

    store: str | os.PathLike[str] | None = None
    every: int = 1
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.every, int) or isinstance(self.every, bool):
            raise TypeError(f"every is {self.every!r}, and has to be a whole number")
        if self.every < 1:
            raise ValueError(f"every is {self.every}, and has to be 1 or more")
        if self.store is not None and not isinstance(self.store, str | os.PathLike):
            raise TypeError(f"store is {self.store!r}, and has to be a folder or a URL")
        if self.store is not None and not os.fspath(self.store):
            raise ValueError("store is empty, and has to be a folder or a URL")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the state of one actor is, and how often it is saved."""

    root: str
    folder: str
    every: int = 1
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{self.root}/{self.folder}"


def place_of(option: bool | Durable, name: str | None, namespace: str | None) -> Place:
    """Where an actor with this name and option is saved. Raises ``ValueError`` without a name."""
    if not name:
        raise ValueError(
            "a durable actor has no name, by which its state is found again\n"
            "  help: give it one, such as options(name='accounts')"
        )
    durable = option if isinstance(option, Durable) else Durable()
    root = root_of(durable.store)
    return Place(root, f"{space_of(namespace)}/{_escaped(name)}", durable.every, dict(durable.storage_options))


def warn_unless_shared(place: Place, stacklevel: int) -> None:
    """Warn, once for each folder, where a cluster has more than one node and may not share the one of a place."""
    if "://" in place.root or place.root in _told or process.place() is None or len(process.client().nodes()) < 2:
        return
    _told.add(place.root)
    warnings.warn(
        f"the state of durable actors is in {place.root}, a folder of the node where they run: an actor that is made "
        "anew on another node finds it only where all nodes share that folder\n"
        "  help: durable=sheaf.Durable(store=...) with a folder that they share, a URL such as s3://bucket/prefix, or "
        "head://",
        stacklevel=stacklevel + 1,
    )


def root_of(store: str | os.PathLike[str] | None) -> str:
    """A store as a URL or absolute path: workers have another working folder and environment."""
    if store is None:
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
        return str(Path(home) / "sheaf/durable")
    text = os.fspath(store)
    scheme, found, path = text.partition("://")
    if scheme == "head" and found:
        return f"head://{path.strip('/') or 'actors'}"
    if found and scheme != "file":
        return text.rstrip("/")
    return os.path.abspath(os.path.expanduser(unquote(path) if found else text))


def space_of(namespace: str | None) -> str:
    """The folder of a namespace; of this program's without one."""
    chosen = namespace or (process.namespace() if process.is_initialized() else _UNNAMED)
    return _UNNAMED if process.is_anonymous(chosen) else _escaped(chosen)


def names_of(folder: str) -> tuple[str, str]:
    """Namespace and name of the actor that is saved in a folder."""
    namespace, name = folder.split("/")
    return unquote(namespace), unquote(name)


def check(name: str, value: Any) -> None:
    """Raise unless this is a value of the option."""
    if not isinstance(value, bool | Durable):
        raise TypeError(f"{name} is {value!r}, and has to be a bool or a sheaf.Durable")


def _escaped(name: str) -> str:
    """A name as that of one folder: no slash, no dot at its begin."""
    quoted = quote(name, safe=" ")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted
