"""Two nodes on this machine: what goes from one to the other."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from workloads import Settings
from workloads.objects import GIGABYTE
from workloads.windows import duration

# How long a node may take to end when it is asked to.
END_SECONDS = 30


def transfer_1gb(ray: Any, settings: Settings) -> dict[str, list[float]]:
    """An array that a task has made on the other node, in gigabytes per second until it can be read here.

    One array goes before it, for the connections to be there.
    """

    def ones() -> Any:
        return np.ones(GIGABYTE, np.uint8)

    def seconds() -> float:
        ref = ray.remote(resources={"far": 1})(ones).remote()
        ray.wait([ref], fetch_local=False)
        return duration(lambda: read(ray.get(ref)))

    with two_nodes(ray, settings.cores) as address:
        ray.init(address)
        try:
            seconds()
            return {"rate": [GIGABYTE / 1e9 / seconds()]}
        finally:
            ray.shutdown()


def read(array: Any) -> None:
    """Look at both ends of an array."""
    if len(array) != GIGABYTE or array[0] != 1 or array[-1] != 1:
        raise ValueError("another array came than was sent")


@contextmanager
def two_nodes(ray: Any, cores: int) -> Iterator[str]:
    """The address of a cluster: the head, and a node with the resource `far`."""
    if ray.__name__ == "ray":
        cluster = import_module("ray.cluster_utils").Cluster(initialize_head=True, head_node_args={"num_cpus": cores})
        try:
            cluster.add_node(num_cpus=cores, resources={"far": 1})
            yield cluster.address
        finally:
            cluster.shutdown()
        return
    flags = ["--num-cpus", str(cores), "--python", sys.executable]
    with node("head", "--port", "0", *flags) as head, node("node", "--head", head, "--resources", '{"far": 1}', *flags):
        yield f"sheaf://{head}"


@contextmanager
def node(*arguments: str) -> Iterator[str]:
    """A node of Sheaf's, by its command: its host and port."""
    with process_of(*arguments) as (_, place):
        yield place


@contextmanager
def process_of(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process of a node, and its host and port."""
    command = [str(Path(sys.executable).with_name("sheaf")), *arguments]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            said = process.stdout.readline()
            if "runs at" not in said:
                raise ValueError(f"a node does not start: {said!r}")
            yield process, said.split()[-1].rpartition("/")[2]
        finally:
            process.terminate()
            process.wait(END_SECONDS)
