"""``conda``: an environment of conda, mamba or micromamba, by its name or made of a file, whose Python workers run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sheaf._runtime.environment import setup
from sheaf._runtime.environment.setup import Setup
from sheaf.exceptions import RuntimeEnvSetupError

_KEY = "conda"
_PROGRAMS = ("mamba", "conda", "micromamba")
_FILES = (".yml", ".yaml")


def check(value: Any) -> dict[str, str]:
    """The name of an environment, or the text of its file."""
    if isinstance(value, Mapping):
        if list(value) in (["name"], ["file"]):
            # Checked before, as in an environment that a task was told.
            return dict(value)
        try:
            # What is JSON is YAML.
            return {"file": json.dumps(value, sort_keys=True)}
        except TypeError as error:
            raise TypeError(f"runtime_env: conda is {value!r}, which no file can say: {error}") from error
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"runtime_env: conda is {value!r}, and has to be a name, the path of a file, or a dict")
    text = os.fspath(value)
    if not text.endswith(_FILES):
        if not text:
            raise ValueError("runtime_env: conda is empty")
        return {"name": text}
    try:
        return {"file": Path(text).expanduser().read_text(encoding="utf-8")}
    except OSError as error:
        raise ValueError(f"runtime_env: the conda environment cannot be read: {error}") from error


def apply(value: dict[str, str], made: Setup) -> None:
    """Let the worker run the environment's Python."""
    folder = _named(value["name"], made.until) if "name" in value else _made(value["file"], made)
    python = folder / "bin" / "python"
    if not python.exists():
        raise RuntimeEnvSetupError(
            f"the conda environment {folder} has no Python\n  help: have python in its dependencies"
        )
    os.environ["CONDA_PREFIX"] = str(folder)
    os.environ["CONDA_DEFAULT_ENV"] = value.get("name", str(folder))
    os.environ.pop("PYTHONHOME", None)
    setup.put_first_in_variable("PATH", folder / "bin")
    made.interpreter = [str(python)]


def _program() -> str:
    named = os.environ.get("CONDA_EXE") or os.environ.get("MAMBA_EXE")
    for program in (named, *_PROGRAMS):
        if program and (found := shutil.which(program)):
            return found
    raise RuntimeEnvSetupError(
        f"none of {', '.join(_PROGRAMS)} is on this node\n"
        "  help: install one, and let PATH or CONDA_EXE of sheaf node lead to it"
    )


def _named(name: str, until: float) -> Path:
    """Where the environment of this name is."""
    from sheaf._runtime.environment import commands

    if os.path.isabs(name):
        return Path(name)
    told = commands.read([_program(), "env", "list", "--json"], "the conda environments cannot be listed", until=until)
    try:
        folders = [Path(folder) for folder in json.loads(told)["envs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise RuntimeEnvSetupError(f"what conda says of its environments cannot be read: {told[:200]!r}") from error
    # The first one is that of conda itself, whose folder may have any name.
    found = folders[:1] if name == "base" else [folder for folder in folders if folder.name == name]
    if not found:
        there = ", ".join(sorted(folder.name for folder in folders)) or "none"
        raise RuntimeEnvSetupError(f"there is no conda environment {name!r} on this node: there are {there}")
    return found[0]


def _made(text: str, made: Setup) -> Path:
    from sheaf._runtime.environment import commands

    program = _program()

    def create(folder: Path) -> None:
        file = folder.with_name("environment.yml")
        file.write_text(text, encoding="utf-8")
        # The folder is conda's to make.
        folder.rmdir()
        verb = ["create", "--yes"] if Path(program).name == "micromamba" else ["env", "create"]
        command: list[str | Path] = [program, *verb, "--prefix", folder, "--file", file]
        commands.run(command, "the conda environment cannot be made: conda", until=made.until, folder=folder.parent)

    key = hashlib.sha256(re.sub(r"\s+\n", "\n", text).encode()).hexdigest()
    return made.depot.cache.hold(_KEY, key, create, until=made.until, remembers_failure=True)
