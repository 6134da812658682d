"""Clusters that the tests of a file share or start themselves, and the check that nothing is left of them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sheaf as ray

from .nodes import Cluster


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head with the resource ``a`` and a node with ``b``, two CPUs each."""
    cluster = Cluster(tmp_path_factory.mktemp("two"))
    try:
        cluster.add(num_cpus=2, resources={"a": 2}, labels={"zone": "x"})
        cluster.add(num_cpus=2, resources={"b": 2}, labels={"zone": "y"})
        yield cluster
    finally:
        ray.shutdown()
        cluster.stop()


@pytest.fixture
def driver(two: Cluster) -> Iterator[Cluster]:
    """The same, with this process as a driver."""
    ray.shutdown()
    ray.init(two.address)
    yield two
    ray.shutdown()


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One of the test's own, which adds the nodes that it needs."""
    ray.shutdown()
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.stop()


@pytest.fixture
def pair(cluster: Cluster) -> Callable[..., Cluster]:
    """Starts a head with the resource ``a`` and a node with ``b``, as the fixture ``two`` has them, for this test."""

    def start(**named: Any) -> Cluster:
        cluster.add(**{"num_cpus": 2, "resources": {"a": 2}, **named})
        cluster.add(**{"num_cpus": 2, "resources": {"b": 2}, **named})
        return cluster

    return start


@pytest.fixture
def trio(cluster: Cluster) -> Cluster:
    """A head for the driver, and three nodes with a CPU each."""
    cluster.add(num_cpus=0)
    for _ in range(3):
        cluster.add(num_cpus=1)
    return cluster
