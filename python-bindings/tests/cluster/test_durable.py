"""Durable actors in a cluster: who keeps them in a folder that nodes may not share is told so."""

import os
import signal
import warnings
from pathlib import Path
from typing import Any

import pytest
from runtime.processes import becomes_true

import sheaf as ray
from sheaf._runtime.durable.place import Place
from sheaf._runtime.durable.store import store_of

from .nodes import Cluster

pytestmark = pytest.mark.timeout(60)

SECONDS = 30


class Count:
    def __init__(self) -> None:
        self._count = 0

    def add(self) -> int:
        self._count += 1
        return self._count

    def pid(self) -> int:
        return os.getpid()


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


def test_the_head_keeps_files_as_other_stores_do(cluster: Cluster, tmp_path: Path) -> None:
    cluster.add(num_cpus=1, state_dir=tmp_path / "state")
    ray.init(cluster.address)
    place = Place("head://actors", "space/%2E")
    store, other = store_of(place), store_of(place)
    assert (store.names("x"), store.read("x/1")) == ([], None)
    assert store.create("x/1", b"one")
    assert not other.create("x/1", b"two")
    store.append("x/2", b"a")
    store.append("x/2", b"b")
    assert [other.read(f"x/{name}") for name in (1, 2)] == [b"one", b"ab"]
    with pytest.raises(FileExistsError, match="another program"):
        other.append("x/2", b"not both")
    assert store.create("y/1", b"")
    names = store.names("x")
    store.delete([*(f"x/{name}" for name in names), "x/none"])
    assert (store.names("x"), store.names("y")) == ([], ["1"])
    with pytest.raises(OSError, match="413"):
        store.create("y/2", bytes(20 << 20))


def test_an_actor_is_saved_in_the_tables_of_the_head(cluster: Cluster, tmp_path: Path) -> None:
    head = cluster.add(num_cpus=1, resources={"a": 1}, state_dir=tmp_path / "state")
    lost = cluster.add(num_cpus=1, resources={"b": 1})
    ray.init(cluster.address, namespace="durable")
    count = ray.remote(durable=ray.Durable(store="head://"), max_restarts=-1, max_task_retries=-1)(Count)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = count.options(name="clicks", num_cpus=0.5).remote()
    assert [ray.get(first.add.remote(), timeout=SECONDS) for _ in range(3)] == [1, 2, 3]
    os.kill(ray.get(first.pid.remote(), timeout=SECONDS), signal.SIGKILL)
    assert ray.get(first.add.remote(), timeout=SECONDS) == 4
    # Wherever it was, and with whatever dies: a node, and then all.
    lost.kill()
    assert ray.get(first.add.remote(), timeout=SECONDS) == 5
    assert ray.util.list_durable("head://") == [{"namespace": "durable", "name": "clicks"}]
    ray.shutdown()
    head.kill()
    head.start()
    ray.init(f"sheaf://{head.await_place()}", namespace="durable")
    again = count.options(name="clicks", num_cpus=0.5).remote()
    assert ray.get(again.add.remote(), timeout=SECONDS) == 6
    ray.kill(again)
    assert becomes_true(lambda: "clicks" not in ray.util.list_named_actors(), SECONDS)
    assert ray.util.delete_durable("clicks", store="head://", namespace="durable")
    assert ray.util.list_durable("head://") == []


def test_a_head_that_keeps_nothing_says_so(cluster: Cluster) -> None:
    cluster.add(num_cpus=1)
    ray.init(cluster.address)
    with pytest.raises(ray.exceptions.RayActorError, match="state-dir"):
        ray.get(made("none", "head://").add.remote(), timeout=SECONDS)
    ray.shutdown()
    ray.init("local", num_cpus=1)
    for store, why in (("head://", "runs in none"), ("nowhere://x", "nowhere")):
        with pytest.raises(ray.exceptions.RayActorError, match=why):
            ray.get(made("none", store).add.remote(), timeout=SECONDS)
