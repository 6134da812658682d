"""Objects between nodes: they come whole, wherever they were made, within what else, and go when nobody wants them."""

import hashlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sheaf as ray

from .nodes import Cluster, eventually

pytestmark = pytest.mark.timeout(90)

SECONDS = 40
MEGABYTE = 1_000_000
A, B = {"resources": {"a": 0.01}}, {"resources": {"b": 0.01}}


@ray.remote
def made(size: int, seed: int = 0) -> Any:
    """Bytes that look alike nowhere."""
    return np.random.default_rng(seed).integers(0, 255, size, np.uint8)


@ray.remote
def digest(*values: Any) -> list[str]:
    return [hashlib.md5(value.tobytes()).hexdigest() for value in values]


@ray.remote
def echo(value: Any) -> Any:
    return value


@ray.remote
def read(refs: list[Any]) -> list[int]:
    return [int(value.sum()) for value in ray.get(refs)]


def expected(size: int, seed: int = 0) -> str:
    whole = np.random.default_rng(seed).integers(0, 255, size, np.uint8)
    return hashlib.md5(whole.tobytes()).hexdigest()


def md5(value: Any) -> str:
    return hashlib.md5(value.tobytes()).hexdigest()


@pytest.mark.parametrize("megabytes", [0.01, 0.5, 5, 60])
def test_a_value_made_on_another_node_is_read_here(driver: Cluster, megabytes: float) -> None:
    size = int(megabytes * MEGABYTE)
    ref = made.options(**B).remote(size)
    assert md5(ray.get(ref, timeout=SECONDS)) == expected(size)
    # A second time: from the copy that is here.
    assert md5(ray.get(ref, timeout=SECONDS)) == expected(size)


def test_300_megabytes_come_whole(driver: Cluster) -> None:
    size = 300 * MEGABYTE
    ref = made.options(**B).remote(size)
    assert ray.get(digest.options(**A).remote(ref), timeout=SECONDS) == [expected(size)]


def test_a_value_is_an_argument_on_the_other_node(driver: Cluster) -> None:
    for here, there in ((A, B), (B, A)):
        ref = made.options(**here).remote(5 * MEGABYTE, 3)
        assert ray.get(digest.options(**there).remote(ref), timeout=SECONDS) == [expected(5 * MEGABYTE, 3)]


def test_what_the_driver_put_is_read_on_the_other_node(driver: Cluster) -> None:
    for size in (1_000, 20 * MEGABYTE):
        value = np.random.default_rng(5).integers(0, 255, size, np.uint8)
        assert ray.get(digest.options(**B).remote(ray.put(value)), timeout=SECONDS) == [md5(value)]


def test_waiting_for_a_value_need_not_bring_it(driver: Cluster) -> None:
    eventually(driver.objects, [])
    ref = made.options(**B).remote(5 * MEGABYTE)
    assert ray.wait([ref], timeout=SECONDS, fetch_local=False) == ([ref], [])
    assert driver.objects(driver.members[0]) == []
    assert ray.wait([ref], timeout=SECONDS) == ([ref], [])
    assert driver.objects(driver.members[0]) != []


def test_many_at_once(driver: Cluster) -> None:
    refs = [made.options(**B).remote(2 * MEGABYTE, seed) for seed in range(40)]
    values = ray.get(refs, timeout=SECONDS)
    assert [md5(value) for value in values] == [expected(2 * MEGABYTE, seed) for seed in range(40)]
    of_one = digest.options(**A).remote(*refs)
    assert ray.get(of_one, timeout=SECONDS) == [md5(value) for value in values]


def test_references_within_values_cross_nodes(driver: Cluster) -> None:
    inner = [made.options(**where).remote(3 * MEGABYTE, seed) for seed, where in enumerate((A, B))]
    sums = [int(value.sum()) for value in ray.get(inner, timeout=SECONDS)]
    for where in (A, B):
        assert ray.get(read.options(**where).remote(inner), timeout=SECONDS) == sums
        nested = echo.options(**where).remote({"refs": [inner]})
        assert [int(each.sum()) for each in ray.get(ray.get(nested, timeout=SECONDS)["refs"][0])] == sums


def test_a_reference_that_a_task_returns_outlives_it(driver: Cluster) -> None:
    @ray.remote
    def returns_references(depth: int) -> list[Any]:
        put = ray.put(np.full(MEGABYTE, depth, np.uint8))
        large = made.options(**A).remote(MEGABYTE, depth)
        deeper = [returns_references.options(**(A if depth % 2 else B)).remote(depth - 1)] if depth else []
        return [put, large, *deeper]

    ref, depth = returns_references.options(**B).remote(3), 3
    while depth >= 0:
        put, large, *deeper = ray.get(ref, timeout=SECONDS)
        assert set(ray.get(put, timeout=SECONDS)) == {depth}
        assert md5(ray.get(large, timeout=SECONDS)) == expected(MEGABYTE, depth)
        ref, depth = (deeper or [None])[0], depth - 1


def test_objects_are_freed_everywhere(driver: Cluster) -> None:
    eventually(driver.objects, [])
    large = made.options(**B).remote(5 * MEGABYTE)
    ray.get(digest.options(**A).remote(large), timeout=SECONDS)
    box = echo.options(**A).remote([large, ray.put(np.zeros(3 * MEGABYTE, np.uint8))])
    ray.get(digest.options(**B).remote(ray.get(box, timeout=SECONDS)[1]), timeout=SECONDS)
    assert len(driver.objects(driver.members[0])) >= 2
    assert len(driver.objects(driver.members[1])) >= 2
    del large
    # The box holds what is in it.
    assert [value.nbytes for value in ray.get(ray.get(box), timeout=SECONDS)] == [5 * MEGABYTE, 3 * MEGABYTE]
    del box
    eventually(driver.objects, [])


def test_a_value_goes_on_to_a_third_node(pair: Callable[..., Cluster]) -> None:
    cluster = pair()
    cluster.add(num_cpus=1, resources={"c": 1})
    ray.init(cluster.address)
    ref = made.options(**B).remote(20 * MEGABYTE)
    there = digest.options(resources={"c": 0.01})
    assert ray.get(there.remote(ref), timeout=SECONDS) == [expected(20 * MEGABYTE)]
    second = echo.options(resources={"c": 0.01}).remote([ref])
    [inner] = ray.get(second, timeout=SECONDS)
    assert md5(ray.get(inner, timeout=SECONDS)) == expected(20 * MEGABYTE)
    del ref, second, inner
    eventually(cluster.objects, [])


def test_stores_that_are_smaller_than_the_objects(pair: Callable[..., Cluster]) -> None:
    cluster = pair(object_store_memory=60 * MEGABYTE)
    ray.init(cluster.address)
    refs = [made.options(**B).remote(10 * MEGABYTE, seed) for seed in range(20)]
    ray.wait(refs, num_returns=20, timeout=SECONDS)
    on_disk = [row for row in cluster.rows("objects") if row["on disk"] == "yes"]
    assert len(on_disk) >= 12
    digests = [digest.options(**A).remote(ref) for ref in refs]
    assert ray.get(digests, timeout=SECONDS) == [[expected(10 * MEGABYTE, seed)] for seed in range(20)]
    # Nothing is kept by the reader but the one that it reads.
    for seed, ref in enumerate(refs):
        assert md5(ray.get(ref, timeout=SECONDS)) == expected(10 * MEGABYTE, seed)
    del refs, ref
    eventually(cluster.objects, [])


def test_a_value_that_the_reader_has_no_room_for(cluster: Cluster) -> None:
    cluster.add(num_cpus=2, resources={"a": 2}, object_store_memory=20 * MEGABYTE)
    cluster.add(num_cpus=2, resources={"b": 2}, object_store_memory=200 * MEGABYTE)
    ray.init(cluster.address)
    ref = made.options(**B).remote(50 * MEGABYTE)
    with pytest.raises(ray.exceptions.ObjectStoreFullError, match="50") as raised:
        ray.get(ref, timeout=SECONDS)
    assert "20" in str(raised.value)
    with pytest.raises(ray.exceptions.ObjectStoreFullError):
        ray.get(digest.options(**A).remote(ref), timeout=SECONDS)
    # Where there is room it is read.
    assert ray.get(digest.options(**B).remote(ref), timeout=SECONDS) == [expected(50 * MEGABYTE)]
    small = made.options(**B).remote(2 * MEGABYTE)
    assert md5(ray.get(small, timeout=SECONDS)) == expected(2 * MEGABYTE)


def test_the_driver_writes_nothing_to_the_disk(driver: Cluster) -> None:
    ray.get(made.options(**B).remote(5 * MEGABYTE), timeout=SECONDS)
    assert [os.listdir(member.spill) for member in driver.members] == [[], []]
