"""``env_vars``: the variables of the worker's environment."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any

from sheaf._runtime.environment import setup
from sheaf._runtime.environment.setup import Setup

_UNSET = re.compile(r"\$\{[A-Za-z0-9_]+\}")


def check(value: Any) -> dict[str, str]:
    """Text to text, as a system's environment has it."""
    if not isinstance(value, Mapping):
        raise TypeError(f"runtime_env: env_vars is {value!r}, and has to be a dict of text to text")
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError(f"runtime_env: env_vars[{name!r}] is {text!r}; names and values have to be text")
        if not name or "=" in name or "\0" in name + text:
            raise ValueError(f"runtime_env: env_vars[{name!r}] is {text!r}, which no environment can hold")
    return dict(value)


def apply(variables: dict[str, str], _: Setup) -> None:
    """Set them, and let Python see those that it reads only when it starts."""
    for name, text in variables.items():
        # As Ray: values may name variables, those that are not set are empty.
        os.environ[name] = _UNSET.sub("", os.path.expandvars(text))
    if "PYTHONPATH" in variables:
        setup.put_first(folder for folder in os.environ["PYTHONPATH"].split(os.pathsep) if folder)
    if "TZ" in variables:
        time.tzset()
