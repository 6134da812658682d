"""Runtime environments: what a program asks for, checked and as text, and that text applied in a new worker."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from sheaf.errors import UnsupportedError
from sheaf.exceptions import RuntimeEnvSetupError

# Ray's, of which those without a value have no meaning on the machine of the driver itself.
_LATER = ("conda", "container", "image_uri", "java_jars", "nsight", "pip", "py_executable", "uv")
_WITHOUT_MEANING = ("config", "excludes")

_UNSET = re.compile(r"\$\{[A-Za-z0-9_]+\}")


def normalise(runtime_env: Mapping[str, Any] | None, inherited: str = "") -> str:
    """An environment over the one that it inherits, as ``CallOptions.env``: variables are joined, the rest replaced.

    >>> from sheaf._runtime import environment
    >>> environment.normalise({"env_vars": {"B": "2"}}, '{"env_vars": {"A": "1"}}')
    '{"env_vars": {"A": "1", "B": "2"}}'
    >>> environment.normalise({"env_var": {}})
    Traceback (most recent call last):
    ValueError: runtime_env has no key 'env_var'
      help: there are env_vars, py_modules, working_dir
    """
    if not runtime_env:
        return inherited
    whole: dict[str, Any] = json.loads(inherited or "{}")
    for key, value in runtime_env.items():
        if key in _WITHOUT_MEANING or value is None:
            continue
        if key in _LATER:
            raise UnsupportedError(
                f"runtime_env: {key!r} is not there yet\n"
                "  help: install what the program needs where it runs; env_vars, working_dir and py_modules are there"
            )
        if key not in _KEYS:
            raise ValueError(f"runtime_env has no key {key!r}\n  help: there are {', '.join(sorted(_KEYS))}")
        checked = _KEYS[key][0](value)
        whole[key] = {**whole.get(key, {}), **checked} if key == "env_vars" else checked
    return json.dumps(whole, sort_keys=True) if whole else ""


def with_path(env: str, path: list[str]) -> str:
    """The same environment for workers on nodes that do not know the driver: they find what it can import."""
    here = os.getcwd()
    return json.dumps({**json.loads(env or "{}"), "path": [folder or here for folder in path]}, sort_keys=True)


def apply(env: str) -> None:
    """Set this process up as the text of ``normalise`` says. Raises ``RuntimeEnvSetupError``."""
    if not env:
        return
    asked = json.loads(env)
    for key, value in asked.items():
        if key == "path":
            sys.path += [folder for folder in value if folder not in sys.path and os.path.exists(folder)]
            continue
        if key not in _KEYS:
            raise RuntimeEnvSetupError(f"the environment asks for {key!r}, which this version of Sheaf does not know")
        try:
            _KEYS[key][1](value)
        except Exception as error:
            raise RuntimeEnvSetupError(
                f"the environment of the worker cannot be set up: {key} {value!r}: {error}"
            ) from error


def _checked_variables(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError(f"runtime_env: env_vars is {value!r}, and has to be a dict of text to text")
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError(f"runtime_env: env_vars[{name!r}] is {text!r}; names and values have to be text")
        if not name or "=" in name or "\0" in name + text:
            raise ValueError(f"runtime_env: env_vars[{name!r}] is {text!r}, which no environment can hold")
    return dict(value)


def _checked_folder(value: Any) -> str:
    path = _checked_path("working_dir", value)
    if not path.is_dir():
        raise ValueError(f"runtime_env: the working_dir {str(path)!r} is not a folder")
    return str(path)


def _checked_modules(value: Any) -> list[str]:
    if isinstance(value, str | os.PathLike) or not isinstance(value, list | tuple):
        raise TypeError(f"runtime_env: py_modules is {value!r}, and has to be a list of paths or modules")
    return [str(_checked_path("py_modules", _path_of(each))) for each in value]


def _path_of(module: Any) -> Any:
    if not isinstance(module, ModuleType):
        return module
    # A package is its folder, a namespace package its first one.
    found = next(iter(getattr(module, "__path__", ())), None) or module.__file__
    if found is None:
        raise ValueError(f"runtime_env: py_modules has {module.__name__!r}, which has no file")
    return found


def _checked_path(key: str, value: Any) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"runtime_env: {key} has {value!r}, and has to be a local path")
    text = os.fspath(value)
    if "://" in text or text.endswith((".zip", ".whl")):
        raise UnsupportedError(
            f"runtime_env: {key} {text!r}: archives and URLs are not there yet\n  help: give a folder"
        )
    path = Path(text).expanduser().absolute()
    if not path.exists():
        raise ValueError(f"runtime_env: {key} {str(path)!r} does not exist")
    return path


def _set_variables(variables: dict[str, str]) -> None:
    for name, text in variables.items():
        # As Ray: values may name variables, those that are not set are empty.
        os.environ[name] = _UNSET.sub("", os.path.expandvars(text))
    # Python reads these only when it starts.
    if "PYTHONPATH" in variables:
        sys.path[:0] = [folder for folder in os.environ["PYTHONPATH"].split(os.pathsep) if folder]
    if "TZ" in variables:
        time.tzset()


def _enter_folder(folder: str) -> None:
    os.chdir(folder)
    sys.path.insert(0, folder)


def _add_modules(paths: list[str]) -> None:
    for path in paths:
        os.stat(path)
    # A path is of the module itself, and is found by its parent.
    sys.path[:0] = dict.fromkeys(str(Path(path).parent) for path in paths)


_KEYS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], None]]] = {
    "env_vars": (_checked_variables, _set_variables),
    "py_modules": (_checked_modules, _add_modules),
    "working_dir": (_checked_folder, _enter_folder),
}
