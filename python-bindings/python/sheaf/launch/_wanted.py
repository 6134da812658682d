"""What a cluster is to be: the arguments of ``start``, checked, and what Ray and ``sheaf node`` are told of them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sheaf._runtime.options import check_amount, check_resources
from sheaf.errors import InvalidInputError

STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")
# How a node's memory is shared out: as `sheaf node` does with that of a machine. The rest is for tasks.
_STORE_PART, _QUERY_PART = 0.3, 0.35


@dataclass(frozen=True)
class Wanted:
    """What each node is to have, and how many there are to be."""

    nodes: int | None
    num_cpus: float | None
    num_gpus: float
    memory: int | None
    resources: Mapping[str, float]
    labels: Mapping[str, str]
    object_store_memory: int | None
    spill_dir: str | None
    tls: tuple[str, str, str] | None
    strategy: str | None
    timeout: float

    def __post_init__(self) -> None:
        try:
            self._check()
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"sheaf.launch.ray.start: {error}") from None

    def _check(self) -> None:
        for name in ("nodes", "memory", "object_store_memory"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"{name} is {value!r}, and has to be a whole number above 0")
        for name in ("num_cpus", "num_gpus", "timeout"):
            if (value := getattr(self, name)) is not None:
                check_amount(name, value)
        if self.num_cpus is not None and self.num_cpus < 1:
            raise ValueError(f"num_cpus is {self.num_cpus}, and a node without a whole CPU runs no queries")
        check_resources(self.resources)
        for name, text in self.labels.items():
            if not isinstance(name, str) or not isinstance(text, str):
                raise ValueError(f"labels has {name!r}: {text!r}; both are text")
        if self.strategy is not None and self.strategy not in STRATEGIES:
            raise ValueError(f"strategy is {self.strategy!r}; there are {', '.join(STRATEGIES)}")

    def bundle(self, num_cpus: float) -> dict[str, float]:
        """What Ray is asked for, for one node."""
        asked = {"CPU": num_cpus, "GPU": self.num_gpus, "memory": self.memory or 0, **self.resources}
        return {name: float(value) for name, value in asked.items() if value}

    def flags(self, num_cpus: float, share: int | None, ray_node: str) -> list[str]:
        """The flags of one node's ``sheaf node``.

        Args:
            num_cpus: Its CPUs.
            share: Bytes of its machine's memory that are its own; ``None`` where the machine does not say what it has.
            ray_node: The node of Ray's that it is on.
        """
        labels = {"ray.io/node-id": ray_node, **self.labels}
        told = ["--num-cpus", _number(num_cpus), "--num-gpus", _number(self.num_gpus)]
        told += ["--resources", json.dumps(dict(self.resources)), "--labels", json.dumps(labels)]
        return [*told, *self.common_flags(share)]

    def common_flags(self, share: int | None) -> list[str]:
        """The flags that the head has too."""
        share = self.memory or share
        store = self.object_store_memory or (None if share is None else int(share * _STORE_PART))
        told = [] if store is None else ["--object-store-memory", str(store)]
        told += [] if share is None else ["--memory-limit", str(int(share * _QUERY_PART))]
        told += [] if self.spill_dir is None else ["--spill-dir", self.spill_dir]
        for name, file in zip(("cert", "key", "ca"), self.tls or (), strict=False):
            told += [f"--tls-{name}", file]
        return told


def files_of(tls: Sequence[str | os.PathLike[str]] | None) -> tuple[str, str, str] | None:
    """The files of ``tls``, whose paths have to be whole: a process elsewhere is in another folder."""
    if tls is None:
        return None
    files = [os.fspath(file) for file in tls]
    if len(files) != 3 or not all(os.path.isabs(file) for file in files):
        raise InvalidInputError(
            f"sheaf.launch.ray.start: tls is {files!r}\n"
            "  help: tls=(certificate, key, authority), three paths from / that lead to such files on every machine"
        )
    return files[0], files[1], files[2]


def sizes(wanted: Wanted, machines: Sequence[Mapping[str, Any]]) -> tuple[int, float, str]:
    """How many nodes there are to be, the CPUs of each, and the strategy of their placement.

    By default one node for each machine of Ray's that has CPUs, with those of the smallest; two that have to share a
    machine have half of them.

    >>> from sheaf.launch._wanted import Wanted, sizes
    >>> wanted = Wanted(None, None, 0, None, {}, {}, None, None, None, None, 60)
    >>> sizes(wanted, [{"CPU": 8.0}, {"CPU": 16.0}, {"memory": 1e9}])
    (2, 8, 'STRICT_SPREAD')
    """
    cpus = [machine["CPU"] for machine in machines if machine.get("CPU")]
    if not cpus and (wanted.nodes is None or wanted.num_cpus is None):
        raise InvalidInputError("no machine of the Ray cluster has CPUs\n  help: say nodes= and num_cpus=")
    nodes = wanted.nodes or len(cpus)
    num_cpus = wanted.num_cpus
    if num_cpus is None:
        num_cpus = max(math.floor(min(cpus) / math.ceil(nodes / len(cpus))), 1)
    asked = wanted.bundle(num_cpus)
    fitting = [machine for machine in machines if all(machine.get(name, 0) >= asked[name] for name in asked)]
    spread = "STRICT_SPREAD" if 1 < nodes <= len(fitting) else "SPREAD"
    return nodes, num_cpus, wanted.strategy or spread


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)
