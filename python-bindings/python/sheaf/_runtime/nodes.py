"""The nodes of the cluster and what they have, under Ray's names."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from sheaf._runtime import process

_LOOPBACK = "127.0.0.1"


def nodes() -> list[dict[str, Any]]:
    """The nodes of the cluster that live, under Ray's names: id, address, ports, resources and labels.

    A port is 0 where nothing is served.

    >>> import sheaf
    >>> [node["Alive"] for node in sheaf.nodes()]
    [True]
    """
    return [_row(*node) for node in process.client().nodes()]


def cluster_resources() -> dict[str, float]:
    """What all nodes have together.

    >>> import sheaf
    >>> sheaf.cluster_resources()["CPU"] >= 1
    True
    """
    return _sum([total for _, _, total, _, _ in process.client().nodes()])


def available_resources() -> dict[str, float]:
    """What of it is free now.

    >>> import sheaf
    >>> sheaf.available_resources()["CPU"] <= sheaf.cluster_resources()["CPU"]
    True
    """
    return _sum([free for _, _, _, free, _ in process.client().nodes()])


def request_resources(num_cpus: int | None = None, bundles: Sequence[Mapping[str, float]] | None = None) -> None:
    """Ask for a cluster that has room for this, whether anything uses it or not.

    Nodes come for it where they may (``sheaf head --node-types``), and those that it takes do not leave when they are
    idle. It replaces what was asked for before, by whomever, and holds until something else is asked for; with neither
    argument nothing is asked for any more. It returns at once: ``sheaf.nodes()`` tells what has come.

    Args:
        num_cpus: So many CPUs, on whatever nodes.
        bundles: What is to fit at the same time, each of them on one node, such as ``[{"CPU": 4, "GPU": 1}]``.

    Raises:
        ValueError: For amounts that are negative or no whole CPUs, and parts of more than one GPU.

    >>> import sheaf
    >>> sheaf.request_resources(num_cpus=1, bundles=[{"CPU": 1}])
    >>> sheaf.request_resources()
    """
    if num_cpus is not None and (isinstance(num_cpus, bool) or not isinstance(num_cpus, int) or num_cpus < 0):
        raise ValueError(f"num_cpus is {num_cpus!r}, and not a count of CPUs")
    room = [{"CPU": 1.0}] * (num_cpus or 0)
    room += [{name: float(amount) for name, amount in bundle.items()} for bundle in bundles or ()]
    process.client().keep_room(room)


def _row(
    node_id: str, address: str, total: dict[str, float], _free: dict[str, float], labels: dict[str, str]
) -> dict[str, Any]:
    place = urlsplit(address)
    host, port = place.hostname or _LOOPBACK, place.port or 0
    is_own = node_id == process.client().node_id
    # A node has one port for everything; a driver's own may have another for its metrics.
    exported = process.metrics_port() if is_own else None
    return {
        "NodeID": node_id,
        "NodeName": host,
        "NodeManagerAddress": host,
        "NodeManagerHostname": socket.gethostname() if is_own or _is_here(host) else host,
        "NodeManagerPort": port,
        "MetricsExportPort": exported or port,
        "Alive": True,
        "alive": True,
        "Resources": total,
        "Labels": labels,
    }


def _is_here(host: str) -> bool:
    """Whether an address is of this machine, whoever asks."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _sum(parts: list[dict[str, float]]) -> dict[str, float]:
    names = sorted({name for part in parts for name in part})
    return {name: sum(part.get(name, 0.0) for part in parts) for name in names}
