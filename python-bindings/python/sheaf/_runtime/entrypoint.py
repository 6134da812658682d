"""The entry point of a job: its environment, packed where it is submitted, and set up on the head before it runs.

The head starts ``main`` in a process of its own, which becomes the entry point. What keeps it from that goes into a
pipe.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from sheaf._runtime import environment
from sheaf._runtime.environment import Depot, interpreter
from sheaf._runtime.environment.head import Head
from sheaf._runtime.environment.setup import put_first_in_variable

# Where a job finds its environment, as the head was given it.
_VARIABLE = "SHEAF_JOB_RUNTIME_ENV"
# What the head hears of a failure; a pipe takes so much whether it is read or not.
_WHY_BYTES = 32 * 1024
_TLS = ("SHEAF_TLS_CERT", "SHEAF_TLS_KEY", "SHEAF_TLS_CA")


def environment_of_job() -> str:
    """The environment of the job that this process is of, as ``CallOptions.env``; nothing outside of jobs."""
    text = os.environ.get(_VARIABLE)
    return environment.normalise(json.loads(text)) if text else ""


def packed(runtime_env: Mapping[str, Any], head: Head) -> dict[str, Any]:
    """The environment for a job as the head is given it: checked, with packages that it has in the place of folders."""
    env = environment.normalise(runtime_env)
    depot = Depot(head=head)
    try:
        told: dict[str, Any] = json.loads(environment.pack(env, depot) or "{}")
    finally:
        depot.close()
    return told


def pack() -> None:
    """The same for the command line: the environment and the head are arguments, the answer is printed as JSON."""
    try:
        told = json.loads(sys.argv[2])
        head = Head.at(told["head"], told["token_file"], told["tls"])
        answer: dict[str, Any] = {"runtime_env": packed(json.loads(sys.argv[1]), head)}
    except Exception as error:
        answer = {"error": str(error) or type(error).__name__}
    sys.stdout.write(json.dumps(answer))


def main() -> NoReturn:
    """Be the entry point that is the last argument of the command line, in the job's environment."""
    pipe, cluster, line = int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
    # Its end says that the entry point runs.
    os.set_inheritable(pipe, False)
    try:
        _join(cluster)
        depot = _set_up(environment_of_job(), cluster)
        # What it uses of the cache is not removed while it runs.
        for file in depot.cache.files:
            os.set_inheritable(file, True)
        os.execvp("sh", ["sh", "-c", line])
    except BaseException as error:
        os.write(pipe, (str(error) or type(error).__name__).encode(errors="replace")[:_WHY_BYTES])
        os._exit(1)


def _join(cluster: Mapping[str, Any]) -> None:
    """Let ``init`` in the job join the cluster, by the Python of its workers."""
    os.environ["SHEAF_ADDRESS"] = f"sheaf://{cluster['head']}"
    told = dict(zip(_TLS, cluster.get("tls") or (), strict=False))
    if cluster.get("token_file"):
        told["SHEAF_TOKEN_FILE"] = cluster["token_file"]
    for name in (*_TLS, "SHEAF_TOKEN_FILE"):
        os.environ.pop(name, None)
    os.environ.update(told)
    put_first_in_variable("PATH", os.path.dirname(sys.executable))


def _set_up(env: str, cluster: Mapping[str, Any]) -> Depot:
    """Let this process, and what it becomes, have the environment."""
    depot = Depot.of(cluster)
    before = list(sys.path)
    made = environment.apply(env, depot)
    if made is not None and made.interpreter is not None:
        # The entry point finds that by its name; what is left to do is the same for any Python.
        rest = {key: value for key, value in json.loads(env).items() if key not in interpreter.DONE}
        environment.apply(json.dumps(rest) if rest else "", depot)
    found = [folder for folder in sys.path if folder not in before]
    if found:
        # The other Python finds what this one would.
        put_first_in_variable("PYTHONPATH", os.pathsep.join(found))
    return depot
