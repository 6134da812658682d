"""Where this process is in the network."""

from __future__ import annotations

import socket


def get_node_ip_address() -> str:
    """The address under which other machines reach this one; ``127.0.0.1`` where there is no network.

    >>> import sheaf
    >>> sheaf.util.get_node_ip_address().count(".")
    3
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: this only asks from which address that would be.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
