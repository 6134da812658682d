"""``config``: how an environment is set up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sheaf._runtime.environment import setup

# Ray's other names, which have no meaning here: environments are made when the first worker wants them.
_WITHOUT_MEANING = ("eager_install", "log_files")


def check(value: Any) -> dict[str, int]:
    """How many seconds it may take; -1 for as long as it does, which is a day."""
    if not isinstance(value, Mapping):
        raise TypeError(f"runtime_env: config is {value!r}, and has to be a dict")
    for name in value:
        if name not in (setup.TIMEOUT, *_WITHOUT_MEANING):
            raise ValueError(f"runtime_env: config has no key {name!r}\n  help: there is {setup.TIMEOUT}")
    seconds = value.get(setup.TIMEOUT, setup.DEFAULT_SECONDS)
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise TypeError(f"runtime_env: config[{setup.TIMEOUT!r}] is {seconds!r}, and has to be a whole number")
    if seconds <= 0 and seconds != setup.NO_LIMIT:
        raise ValueError(f"runtime_env: config[{setup.TIMEOUT!r}] is {seconds}, and has to be above 0, or -1")
    return {} if seconds == setup.DEFAULT_SECONDS else {setup.TIMEOUT: seconds}
