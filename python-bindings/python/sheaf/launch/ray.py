"""A cluster of Sheaf's on the machines of a Ray cluster: actors of Ray's hold its nodes, for as long as a program runs.

>>> import ray, sheaf as sf  # doctest: +SKIP
>>> from sheaf.launch import ray as on_ray
>>> ray.init()  # doctest: +SKIP
>>> with on_ray.start(nodes=2, num_cpus=4) as cluster:  # doctest: +SKIP
...     session = sf.Session(**cluster.access)
...     session.read_parquet("/shared/orders/*.parquet").count()
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from types import ModuleType, TracebackType
from typing import Any

from sheaf._runtime.environment.head import Head
from sheaf.errors import InvalidInputError
from sheaf.exceptions import GetTimeoutError
from sheaf.launch import _actors
from sheaf.launch._process import Process, State, TokenFile, seconds_until
from sheaf.launch._wanted import Wanted, files_of, sizes

__all__ = ["Cluster", "Node", "start"]

_LOOPBACK = "127.0.0.1"
_TOKEN_BYTES = 32
# How often the head is asked whether the nodes have come, and how long their actors may take to say how they are.
_LOOK_SECONDS, _ANSWER_SECONDS = 0.1, 10.0
_ALIVE = re.compile(r'^sheaf_head_nodes\{state="alive"\} (\d+)', re.MULTILINE)

# Those that run: Ray ends actors that nobody refers to, and a cluster is there until it is stopped.
_running: set[Cluster] = set()


@dataclass(frozen=True)
class Node:
    """One node of a cluster, as the process knows it that holds it."""

    address: str | None
    """``"host:port"``, as ``sheaf nodes`` has it; ``None`` where its actor is gone."""
    ip: str
    """Of the machine, as Ray has it."""
    ray_node_id: str
    """Ray's name of the machine."""
    pid: int | None
    """Of ``sheaf node``, or ``sheaf head``."""
    ended: str | None
    """How it ended; ``None`` while it runs."""


def start(
    nodes: int | None = None,
    *,
    num_cpus: float | None = None,
    num_gpus: float = 0,
    memory: int | None = None,
    resources: Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
    object_store_memory: int | None = None,
    spill_dir: str | os.PathLike[str] | None = None,
    tls: Sequence[str | os.PathLike[str]] | None = None,
    strategy: str | None = None,
    timeout: float = 120.0,
) -> Cluster:
    """Start a cluster on the Ray cluster that this program has joined, and return it once all its nodes are there.

    Each node is a process ``sheaf node`` that an actor of Ray's holds, with CPUs, GPUs and resources of Ray's. All
    actors are in one placement group. The head is a child of this process, which joins through it, and has no CPUs for
    tasks. Nodes and head are reached from other machines only if Ray has put them on several, and by a token that is
    made for this cluster.

    It is there until ``stop``, the end of a ``with`` block, or the end of this program, however that comes.

    Args:
        nodes: How many, not counting the head; by default one for each machine of Ray's that has CPUs. On several
            machines each is on one of its own, as far as there are enough.
        num_cpus: CPUs of each, of Ray and for tasks; by default those of Ray's smallest machine, shared out among the
            nodes of a machine.
        num_gpus: GPUs of each.
        memory: Bytes of each, which Ray sets aside: 30 % for objects and 35 % for queries. By default nothing is set
            aside, and the nodes of a machine share what Ray counts there.
        resources: Other resources of each, under names that Ray knows.
        labels: Of each node, for strategies that choose by them. ``ray.io/node-id`` is there always.
        object_store_memory: Bytes of shared memory for objects on each.
        spill_dir: The folder for what does not fit into memory, on every machine.
        tls: PEM files, by paths that lead to such on every machine: the certificate of the machine, which has to name
            its address in Ray, the key, and the authority of all. Without them what nodes say to each other, and the
            token, can be heard in the network between the machines.
        strategy: Of the placement group: ``"PACK"``, ``"SPREAD"``, ``"STRICT_PACK"``, ``"STRICT_SPREAD"``.
        timeout: Seconds that all of it may take.

    Raises:
        InvalidInputError: An argument that cannot be, or Ray is not joined.
        UnsupportedError: Ray is not installed, or Sheaf is not on a machine of it, or of another version; or the
            program is outside of the Ray cluster (``ray://``).
        ActorUnschedulableError: Ray had no room in time.
        NodeDiedError: A process ended before it was there; the text has its last words.
        GetTimeoutError: Nodes were not there in time.

    >>> from sheaf.launch import ray as on_ray
    >>> cluster = on_ray.start(nodes=2, num_cpus=4, num_gpus=1)  # doctest: +SKIP
    >>> sf.init(**cluster.access)  # doctest: +SKIP
    >>> cluster.stop()  # doctest: +SKIP
    """
    wanted = Wanted(
        nodes=nodes,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        memory=memory,
        resources=dict(resources or {}),
        labels=dict(labels or {}),
        object_store_memory=object_store_memory,
        spill_dir=None if spill_dir is None else os.fspath(spill_dir),
        tls=files_of(tls),
        strategy=strategy,
        timeout=timeout,
    )
    cluster = Cluster(_actors.load(), wanted)
    try:
        cluster._start()
    except BaseException:
        cluster.stop()
        raise
    return cluster


class Cluster:
    """A cluster on Ray's machines; ``start`` makes it. As a context manager it is stopped at the end."""

    def __init__(self, ray: ModuleType, wanted: Wanted) -> None:
        self._ray, self._wanted = ray, wanted
        self._token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._file = TokenFile(self._token)
        self._nodes = _actors.Nodes(ray)
        self._head: Process | None = None
        self._place = ""
        # Of this program, as Ray has it.
        self._machine: Mapping[str, Any] = _machine_of(ray)

    @property
    def address(self) -> str:
        """``"sheaf://host:port"``, for ``Session`` and ``init``."""
        return f"sheaf://{self._place}"

    @property
    def token_file(self) -> str:
        """The file with the secret of the cluster. This user's processes on this machine read it until ``stop``."""
        return self._file.path

    @property
    def tls(self) -> tuple[str, str, str] | None:
        """The files that were given to ``start``."""
        return self._wanted.tls

    @property
    def access(self) -> dict[str, Any]:
        """``address``, ``token_file`` and ``tls``, as arguments of ``Session``, ``init`` and ``JobSubmissionClient``.

        >>> session = sf.Session(**cluster.access)  # doctest: +SKIP
        """
        return {"address": self.address, "token_file": self.token_file, "tls": self.tls}

    @property
    def head(self) -> Node:
        """The head, which runs beside this program."""
        state = self._head.state if self._head else State(None, None, "it is stopped", "")
        return Node(state.place, self._ip, self._machine["NodeID"], state.pid, state.ended)

    def nodes(self) -> list[Node]:
        """The nodes, also those that have ended, without the head: their actors are asked, for ten seconds at the most.

        >>> [node.ended for node in cluster.nodes()]  # doctest: +SKIP
        [None, 'killed by SIGKILL']
        """
        states = self._nodes.states(_ANSWER_SECONDS)
        each = zip(self._nodes.places, states, strict=True)
        return [Node(state.place, place.ip, place.ray_node, state.pid, state.ended) for place, state in each]

    def stop(self, timeout: float = 30.0) -> None:
        """End the nodes, then the head, the actors and the placement group. What is stopped already is left alone.

        Sessions and ``init`` that have joined should be closed before. Tasks that run are ended.

        Args:
            timeout: Seconds; what has not ended by then is killed.
        """
        _running.discard(self)
        self._nodes.stop(timeout / 2)
        if self._head is not None:
            self._head.stop(timeout / 2)
            self._head = None
        self._file.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Cluster(address={self.address!r}, nodes={len(self._nodes.places)})"

    def _start(self) -> None:
        _running.add(self)
        until = time.monotonic() + self._wanted.timeout
        machines = {node["NodeID"]: node for node in self._ray.nodes() if node["Alive"]}
        count, num_cpus, strategy = sizes(self._wanted, [node["Resources"] for node in machines.values()])
        self._nodes.place([self._wanted.bundle(num_cpus)] * count, strategy, until)
        places, own = self._nodes.places, str(self._machine["NodeID"])
        alone = {place.ip for place in places} <= {self._ip} and not self.tls
        shares = _shares(machines, [own, *(place.ray_node for place in places)])
        self._start_head(_hosts(_LOOPBACK if alone else self._ip) + self._wanted.common_flags(shares[own]), until)
        commands = []
        for place in places:
            flags = self._wanted.flags(num_cpus, shares[place.ray_node], place.ray_node)
            hosts = _hosts(_LOOPBACK if alone else place.ip)
            commands.append(["node", "--head", self._place, *hosts, *flags])
        self._nodes.start(commands, self._token, until)
        self._await_nodes(count + 1, until)

    def _start_head(self, flags: list[str], until: float) -> None:
        if _LOOPBACK not in flags and self.tls is None and os.environ.get("RAY_USE_TLS") == "1":
            raise InvalidInputError(
                "this Ray cluster has certificates (RAY_USE_TLS), and without tls= Sheaf's nodes speak openly\n"
                "  help: tls=(certificate, key, authority); those of Ray will do if they name the machines' addresses"
            )
        self._head = Process(["head", "--port", "0", "--num-cpus", "0", "--num-gpus", "0", *flags], self._token)
        state = self._head.await_start(seconds_until(until))
        _actors.check_started("the head", state)
        self._place = state.place or ""

    def _await_nodes(self, count: int, until: float) -> None:
        while (found := self._alive()) != count:
            states = self._nodes.states(_ANSWER_SECONDS)
            for place, state in zip(self._nodes.places, states, strict=True):
                _actors.check_started(f"the node on {place.ip}", state)
            if not seconds_until(until):
                why = f"{found} of {count} nodes, with itself" if isinstance(found, int) else f"no answer: {found}"
                raise GetTimeoutError(
                    f"the nodes have not come to the head at {self._place} in time ({why})\n"
                    "  help: Ray's machines have to reach each other at all ports; or give more timeout=\n"
                    + "\n".join(state.words for state in states)
                )
            time.sleep(_LOOK_SECONDS)

    def _alive(self) -> int | Exception:
        """How many nodes the head has, itself among them, or why it does not say."""
        head = Head(self._place, self.token_file, self.tls)
        try:
            with contextlib.closing(head.connection()) as connection:
                connection.request("GET", "/metrics", headers=head.credentials())
                found = _ALIVE.search(connection.getresponse().read().decode())
        except (OSError, HTTPException) as error:
            return error
        return int(found[1]) if found else 0

    @property
    def _ip(self) -> str:
        return str(self._machine["NodeManagerAddress"])


def _machine_of(ray: ModuleType) -> Mapping[str, Any]:
    """The machine of this program, as Ray has it."""
    own = ray.get_runtime_context().get_node_id()
    return next(node for node in ray.nodes() if node["NodeID"] == own)


def _hosts(address: str) -> list[str]:
    """Where to listen, which is where others look for it: not at other networks of the machine."""
    return ["--host", f"[{address}]" if ":" in address else address]


def _shares(machines: Mapping[str, Mapping[str, Any]], used: Sequence[str]) -> dict[str, int | None]:
    """Bytes of memory for each process on a machine, of what Ray counts there; ``used``: the machines of them all."""
    counts = Counter(used)
    memory = {name: machines[name]["Resources"].get("memory", 0) if name in machines else 0 for name in counts}
    return {name: int(memory[name] / count) or None for name, count in counts.items()}
