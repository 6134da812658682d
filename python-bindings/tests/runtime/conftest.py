"""The runtime that the tests of a file share, and the check that it leaves nothing behind."""

from collections.abc import Iterator

import pytest

import sheaf as ray

from . import processes

GONE_SECONDS = 5


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the soak of the runtime in full, some minutes")


@pytest.fixture(scope="module")
def nothing_left() -> Iterator[None]:
    """After the shutdown no process, thread or open file is left that was not there before."""
    ray.shutdown()
    before = processes.held()
    yield
    processes.becomes_true(lambda: processes.held() <= before, GONE_SECONDS)
    assert processes.held() - before == set()


@pytest.fixture(scope="module")
def runtime(nothing_left: None) -> Iterator[None]:
    """Two CPUs, whatever the machine has."""
    ray.init(num_cpus=2)
    yield
    workers = processes.descendants()
    ray.shutdown()
    processes.becomes_true(lambda: not processes.alive(workers), GONE_SECONDS)
    assert processes.alive(workers) == set()


@pytest.fixture
def no_runtime() -> Iterator[None]:
    """For tests that start it themselves: none before, none after."""
    ray.shutdown()
    yield
    ray.shutdown()
