"""Other interpreters: a worker that was forked becomes one of ``py_executable`` or of a conda environment.

The process stays, with its sockets and its locks; only the program in it is another one, which begins with ``boot.py``.
"""

from __future__ import annotations

import json
import os
import shlex
import site
import sys
import sysconfig
from pathlib import Path
from typing import Any, NoReturn

from sheaf._runtime.environment.setup import Setup
from sheaf.exceptions import RuntimeEnvSetupError

# What was done before the interpreter is another one; the rest is done by that.
DONE = ("env_vars", "conda", "py_executable")


def check(value: Any) -> str:
    """A command that starts Python, as a shell would read it."""
    if not isinstance(value, str):
        raise TypeError(f"runtime_env: py_executable is {value!r}, and has to be a command as text")
    if not shlex.split(value):
        raise ValueError("runtime_env: py_executable is empty")
    return value


def apply(value: str, made: Setup) -> None:
    """Let it be the interpreter of the worker."""
    made.interpreter = shlex.split(value)


def become(made: Setup, command: list[str], socket: int, pipe: int) -> NoReturn:
    """Be another interpreter, which goes on with the set-up and tells of its failure by the pipe."""
    import cloudpickle

    import sheaf

    told = {
        "python": list(sys.version_info[:2]),
        "sheaf": list(dict.fromkeys(os.path.dirname(each.__path__[0]) for each in (sheaf, cloudpickle))),
        "path": [folder for folder in sys.path if not _is_of_python(folder)],
        "depot": made.depot.told,
        "env": json.dumps({key: value for key, value in made.asked.items() if key not in DONE}),
        "socket": socket,
        "pipe": pipe,
    }
    # By a file: a command line is short, and seen by everybody.
    letter = os.memfd_create("sheaf-setup")
    with open(letter, "w", encoding="utf-8", closefd=False) as file:
        json.dump(told, file)
    for each in (letter, socket, pipe, *made.depot.cache.files):
        os.set_inheritable(each, True)
    words = [*command, str(Path(__file__).with_name("boot.py")), str(letter)]
    try:
        os.execvp(words[0], words)
    except OSError as error:
        raise RuntimeEnvSetupError(f"the worker cannot run with {shlex.join(command)}: {error}") from error


def _is_of_python(folder: str) -> bool:
    """Whether a folder has what comes with this Python or was installed for it, and not the program's own modules."""
    own = [*sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()]
    return folder in own or folder.endswith(".zip") or os.path.basename(folder) == "lib-dynload"
