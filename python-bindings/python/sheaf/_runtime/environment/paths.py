"""Paths that an environment names, checked in the driver."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sheaf._runtime.environment import packages
from sheaf.errors import UnsupportedError


def check(key: str, value: Any, *, endings: tuple[str, ...]) -> str:
    """The absolute path of a folder or of a file with one of these endings, or the name of a package."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"runtime_env: {key} has {value!r}, and has to be a local path")
    text = os.fspath(value)
    if packages.is_package(text):
        return str(packages.read(text))
    if "://" in text:
        raise UnsupportedError(
            f"runtime_env: {key} {text!r}: URLs are not there\n  help: give a folder, or an archive on this machine"
        )
    path = Path(text).expanduser().absolute()
    if not path.exists():
        raise ValueError(f"runtime_env: {key} {str(path)!r} does not exist")
    if not path.is_dir() and not path.name.endswith(endings):
        named = ", ".join(endings)
        raise ValueError(f"runtime_env: {key} {str(path)!r} is not a folder, and does not end with {named}")
    return str(path)


def check_excludes(value: Any) -> list[str]:
    """Patterns of what stays out of packages."""
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise TypeError(f"runtime_env: excludes is {value!r}, and has to be a list of patterns, as .gitignore has them")
    return list(value)
