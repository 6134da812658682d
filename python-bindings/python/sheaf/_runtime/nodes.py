"""The nodes of the cluster and what they have, under Ray's names."""

from __future__ import annotations

import ipaddress
import socket
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
