"""Runtime environments: what a program asks for, checked and as text, its folders as packages, and that text applied in
a new worker. Each key of ``runtime_env`` is a module here; ``PARTS`` has them all.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sheaf._runtime.environment import (
    conda,
    config,
    interpreter,
    paths,
    pip,
    py_modules,
    variables,
    working_dir,
)
from sheaf._runtime.environment.depot import Depot
from sheaf._runtime.environment.head import Head
from sheaf._runtime.environment.setup import Setup
from sheaf.errors import UnsupportedError
from sheaf.exceptions import RuntimeEnvSetupError

__all__ = ["Depot", "Head", "Setup", "apply", "normalise", "pack", "with_path"]


@dataclass(frozen=True)
class Part:
    """A key of ``runtime_env``."""

    check: Callable[[Any], Any]
    """In the driver: the value as JSON, or an error that says what it has to be. What it returned it takes as well."""
    pack: Callable[[Any, list[str], Depot], Any] | None = None
    """In the driver: the value with packages for folders, without what matches the patterns."""
    apply: Callable[[Any, Setup], None] | None = None
    """In the worker: what it means there."""


def _add_path(folders: list[str], _: Setup) -> None:
    sys.path += [folder for folder in folders if folder not in sys.path and os.path.exists(folder)]


# In the order in which they are applied: what comes later is found first by imports.
PARTS: dict[str, Part] = {
    "env_vars": Part(variables.check, apply=variables.apply),
    "path": Part(list, apply=_add_path),
    "conda": Part(conda.check, apply=conda.apply),
    "py_executable": Part(interpreter.check, apply=interpreter.apply),
    "pip": Part(pip.check, apply=pip.apply),
    "py_modules": Part(py_modules.check, py_modules.pack, py_modules.apply),
    "working_dir": Part(working_dir.check, working_dir.pack, working_dir.apply),
    "excludes": Part(paths.check_excludes),
    "config": Part(config.check),
}

# Ray's, which are not there.
_LATER = ("container", "image_uri", "java_jars", "nsight", "uv")
# A conda environment has a Python of its own, with its own packages.
_OTHER_THAN_CONDA = ("pip", "py_executable")
# The driver's own business, and of the interpreter that is left.
_INTERNAL = ("path",)


def normalise(runtime_env: Mapping[str, Any] | None, inherited: str = "") -> str:
    """An environment over the one that it inherits, as ``CallOptions.env``: variables are joined, the rest replaced.

    >>> from sheaf._runtime import environment
    >>> environment.normalise({"env_vars": {"B": "2"}}, '{"env_vars": {"A": "1"}}')
    '{"env_vars": {"A": "1", "B": "2"}}'
    >>> environment.normalise({"env_var": {}})
    Traceback (most recent call last):
    ValueError: runtime_env has no key 'env_var'
      help: there are conda, config, env_vars, excludes, pip, py_executable, py_modules, working_dir
    """
    if not runtime_env:
        return inherited
    checked = {key: _check(key, value) for key, value in runtime_env.items() if value is not None}
    others = [key for key in _OTHER_THAN_CONDA if key in checked]
    if others and "conda" in checked:
        raise ValueError(
            f"runtime_env has {others[0]} and conda, which brings a Python and packages of its own\n"
            "  help: have pip: [...] among the dependencies of the conda environment"
        )
    replaced = _OTHER_THAN_CONDA if "conda" in checked else ("conda",) if others else ()
    whole = {key: value for key, value in json.loads(inherited or "{}").items() if key not in replaced}
    for key, value in checked.items():
        whole[key] = {**whole.get(key, {}), **value} if key == "env_vars" else value
    # They say how packages are made, which is over when there are none to make.
    if not any(key in whole for key, part in PARTS.items() if part.pack):
        whole.pop("excludes", None)
    # What is empty says nothing, but it replaced what was there.
    whole = {key: value for key, value in whole.items() if value not in ({}, [], {"packages": []})}
    if list(whole) == ["config"]:
        return ""
    return json.dumps(whole, sort_keys=True) if whole else ""


def pack(env: str, depot: Depot) -> str:
    """The same environment with packages in the place of folders, which are what they are now."""
    if not env:
        return env
    whole = json.loads(env)
    excludes = whole.pop("excludes", [])
    for key, part in PARTS.items():
        if part.pack and key in whole:
            whole[key] = part.pack(whole[key], excludes, depot)
    return json.dumps(whole, sort_keys=True)


def with_path(env: str, path: list[str]) -> str:
    """The same environment for workers on nodes that do not know the driver: they find what it can import."""
    here = os.getcwd()
    return json.dumps({**json.loads(env or "{}"), "path": [folder or here for folder in path]}, sort_keys=True)


def apply(env: str, depot: Depot) -> Setup | None:
    """Set this process up as the text says. Raises ``RuntimeEnvSetupError``.

    Where the worker is to be another interpreter, it returns with that in ``Setup.interpreter``, and the rest is to be
    done there.
    """
    if not env:
        return None
    asked = json.loads(env)
    if unknown := [key for key in asked if key not in PARTS]:
        raise RuntimeEnvSetupError(
            f"the environment asks for {unknown[0]!r}, which this version of Sheaf does not know"
        )
    made = Setup(depot, asked)
    for key, part in PARTS.items():
        if part.apply is None or key not in asked or _is_for_another(key, made):
            continue
        try:
            part.apply(asked[key], made)
        except RuntimeEnvSetupError:
            raise
        except Exception as error:
            raise RuntimeEnvSetupError(
                f"the environment of the worker cannot be set up: {key} {asked[key]!r}: {error}"
            ) from error
    return made


def _is_for_another(key: str, made: Setup) -> bool:
    """Whether that is for the interpreter to do that this process will be."""
    return made.interpreter is not None and key not in interpreter.DONE


def _check(key: str, value: Any) -> Any:
    if key in _LATER:
        raise UnsupportedError(
            f"runtime_env: {key!r} is not there\n"
            "  help: install what the program needs where it runs, or with pip or conda"
        )
    if key not in PARTS:
        there = ", ".join(sorted(key for key in PARTS if key not in _INTERNAL))
        raise ValueError(f"runtime_env has no key {key!r}\n  help: there are {there}")
    return PARTS[key].check(value)
