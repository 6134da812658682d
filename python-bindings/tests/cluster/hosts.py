"""Hosts that are namespaces of the kernel's network, and a link between them that can be cut."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

LIMIT_SECONDS = 10


class Hosts:
    """Two hosts with a link between them. ``inside`` is what runs a command on one of them."""

    # No other network sees them.
    addresses = ("10.213.97.1", "10.213.97.2")

    def __init__(self) -> None:
        self._names = [f"sheaf-{os.getpid()}-{end}" for end in "ab"]
        self._ends = [f"sf{os.getpid() % 1_000_000}{end}" for end in "ab"]

    def inside(self, host: int) -> list[str]:
        return ["ip", "netns", "exec", self._names[host]]

    def cut(self) -> None:
        """Nothing arrives any more, and nobody is told."""
        for host in range(2):
            ip("-n", self._names[host], "link", "set", self._ends[host], "down")

    def mend(self) -> None:
        for host in range(2):
            ip("-n", self._names[host], "link", "set", self._ends[host], "up")

    def make(self) -> None:
        for name in self._names:
            ip("netns", "add", name)
        ends = [part for end, name in zip(self._ends, self._names, strict=True) for part in (end, name)]
        ip("link", "add", ends[0], "netns", ends[1], "type", "veth", "peer", "name", ends[2], "netns", ends[3])
        for name, end, address in zip(self._names, self._ends, self.addresses, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", end)
            ip("-n", name, "link", "set", "lo", "up")
        self.mend()

    def remove(self) -> None:
        for name in self._names:
            ip("netns", "delete", name, check=False)


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Two hosts, gone with what is in them afterwards; the test is skipped where that cannot be had."""
    if shutil.which("ip") is None:
        pytest.skip("needs the command ip (Debian: apt install iproute2)")
    hosts = Hosts()
    try:
        try:
            hosts.make()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces are not permitted here: {error.stderr.strip()}")
        yield hosts
    finally:
        hosts.remove()


def ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True, timeout=LIMIT_SECONDS)
