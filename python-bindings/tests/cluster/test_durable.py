"""Durable actors in a cluster: who keeps them in a folder that nodes may not share is told so."""

import warnings
from pathlib import Path
from typing import Any

import pytest

import sheaf as ray

from .nodes import Cluster

pytestmark = pytest.mark.timeout(60)

SECONDS = 30


class Count:
    def __init__(self) -> None:
        self._count = 0

    def add(self) -> int:
        self._count += 1
        return self._count


def made(name: str, store: Any) -> Any:
    return ray.remote(durable=ray.Durable(store=store))(Count).options(name=name).remote()


def test_a_folder_that_nodes_may_not_share_is_told_once(driver: Cluster, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=rf"in {tmp_path}/one, a folder of the node.*\n.*s3://") as told:
        first = made("first", tmp_path / "one")
    # Where the program makes the actor.
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = made("second", f"file://{tmp_path}/one")
        made("third", "memory:///by-a-url")
    assert ray.get([first.add.remote(), second.add.remote()], timeout=SECONDS) == [1, 1]
    with pytest.warns(UserWarning, match=f"in {tmp_path}/two, "):
        made("fourth", tmp_path / "two")


def test_where_there_is_one_node_nobody_is_warned(cluster: Cluster, tmp_path: Path) -> None:
    cluster.add(num_cpus=1)
    for address in (cluster.address, "local"):
        ray.init(address)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert ray.get(made("only", tmp_path / address[-4:]).add.remote(), timeout=SECONDS) == 1
        ray.shutdown()
