"""A second ``init`` in the same process: refused, or in a notebook, where cells are run again, taken as the first."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

from sheaf._runtime import process

# Says how a second init is taken, and nothing of the runtime.
_HOW = "ignore_reinit_error"

# The arguments of the init that has started the runtime, or of the one that tries to.
_first: Mapping[str, Any] | None = None


def goes_on(given: Mapping[str, Any]) -> bool:
    """Whether an ``init`` with these arguments goes on with the runtime that is there; ``False`` where none is.

    Raises ``RuntimeError`` where one is there and the arguments do not allow it.
    """
    global _first
    given = {name: value for name, value in {**given, **given["kwargs"]}.items() if name != "kwargs"}
    if not process.is_initialized():
        _first = {name: _kept(value) for name, value in given.items()}
        return False
    # In a worker it was not an init that started it.
    changed = None if _first is None or given[_HOW] or not _is_notebook() else _changed(_first, given)
    if given[_HOW] or changed == []:
        logging.getLogger("sheaf").info("init: the runtime runs already; nothing is changed")
        return True
    what = f"init was called twice, and with another {', '.join(changed)}" if changed else "init was called twice"
    raise RuntimeError(
        f"{what}: the runtime runs already in this process\n"
        f"  help: call sheaf.shutdown() first, or init({_HOW}=True) to go on with it"
    )


def _changed(first: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """The arguments that are not those of the first one."""
    return [name for name in sorted({*first, *given} - {_HOW}) if not _same(first.get(name), _kept(given.get(name)))]


def _kept(value: Any) -> Any:
    """A value as it is now: what the program changes later in a dictionary or list does not change this."""
    if isinstance(value, Mapping):
        return {key: _kept(each) for key, each in value.items()}
    return [_kept(each) for each in value] if isinstance(value, list | tuple) else value


def _same(first: Any, second: Any) -> bool:
    try:
        return bool(first == second)
    except Exception:
        # Arrays and the like cannot be told apart.
        return first is second


def _is_notebook() -> bool:
    """Whether IPython runs this process: a notebook, or its shell."""
    shell = sys.modules.get("IPython")
    return shell is not None and shell.get_ipython() is not None
