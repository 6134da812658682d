"""Nodes and heads that stop, die, come and come back while queries run: the right rows, and nothing left of them."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime.processes import becomes_true

import sheaf as sf

from . import test_head_restart
from .gates import SECONDS, SUMS, Gate, asked, write_numbers
from .nodes import Cluster, driven, eventually

pytestmark = pytest.mark.timeout(180)

NAMES = ["node 1", "node 2", "node 3"]
# A head that can start again, and two nodes.
trio = test_head_restart.trio


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_numbers(tmp_path_factory.mktemp("numbers") / "files")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head for the driver, and three nodes with a CPU each."""
    with driven(tmp_path_factory.mktemp("nodes"), 1, 1, 1) as started:
        yield started


@pytest.fixture
def there(nodes: Cluster) -> Iterator[sf.Session]:
    with sf.Session(threads=1, address=nodes.address) as session:
        yield session


def test_a_node_that_stands_still_comes_back(nodes: Cluster, there: sf.Session, data: str, tmp_path: Path) -> None:
    victim = nodes.members[1]
    name = nodes.name_of(victim)
    gate = Gate(tmp_path / "given up")
    answer = asked(there, data, gate)
    gate.await_nodes(NAMES)
    victim.send(signal.SIGSTOP)
    gate.open()
    # What it had is made elsewhere, for it has not come back.
    assert answer.result(SECONDS) == SUMS
    victim.send(signal.SIGCONT)
    assert becomes_true(lambda: "declared it dead" in victim.said(), SECONDS), victim.said()
    eventually(lambda: len(nodes.nodes()), 4)
    assert nodes.name_of(victim) != name
    name = nodes.name_of(victim)
    gate = Gate(tmp_path / "again")
    # Before it has run anything of this one, and only for a moment.
    victim.send(signal.SIGSTOP)
    answer = asked(there, data, gate)
    assert not becomes_true(lambda: gate.nodes() == NAMES or answer.done(), 3)
    victim.send(signal.SIGCONT)
    gate.await_nodes(NAMES)
    gate.open()
    assert answer.result(SECONDS) == SUMS
    assert nodes.name_of(victim) == name
    nodes.becomes_empty()


def test_two_queries_and_a_node_that_dies(nodes: Cluster, there: sf.Session, data: str, tmp_path: Path) -> None:
    gates = [Gate(tmp_path / name) for name in ("first", "second")]
    first = asked(there, data, gates[0])
    gates[0].await_nodes(NAMES)
    second = asked(there, data, gates[1])
    # It has a result of the one, and runs a part of the other.
    gates[0].open("node 2")
    gates[1].await_nodes(["node 2"])
    nodes.members[2].kill()
    assert not first.done()
    assert not second.done()
    for gate in gates:
        gate.open()
    assert [answer.result(SECONDS) for answer in (first, second)] == [SUMS, SUMS]
    nodes.restart(nodes.members[2])
    nodes.becomes_empty()


def test_a_node_that_joins_is_used_by_the_next_query(
    nodes: Cluster, there: sf.Session, data: str, tmp_path: Path
) -> None:
    gates = [Gate(tmp_path / name) for name in ("before", "after")]
    answer = asked(there, data, gates[0])
    gates[0].await_nodes(NAMES)
    new = nodes.add(num_cpus=1)
    try:
        gates[0].open()
        assert answer.result(SECONDS) == SUMS
        answer = asked(there, data, gates[1])
        gates[1].await_nodes([*NAMES, "node 4"])
        gates[1].open()
        assert answer.result(SECONDS) == SUMS
        nodes.becomes_empty()
    finally:
        assert new.end() == 0
    eventually(lambda: len(nodes.nodes()), 4)


def test_a_head_that_starts_again_while_queries_run(trio: test_head_restart.Trio, data: str, tmp_path: Path) -> None:
    cluster = trio.cluster
    held, lost, late = (Gate(tmp_path / name) for name in ("held", "lost", "late"))
    # Nodes of drivers have no CPUs.
    own = cluster.add(num_cpus=0)
    with sf.Session(threads=1, address=f"sheaf://{cluster.place_of(own)}") as there:
        answer = asked(there, data, held)
        held.await_nodes(["node 1", "node 2"])
        with sf.Session(threads=1, address=cluster.address) as gone:
            of_head = asked(gone, data, lost)
            assert becomes_true(lambda: cluster.place in {row["owner"] for row in cluster.rows("tasks")}, SECONDS)
            trio.kill_head()
            # The node of its program was in the head's process.
            with pytest.raises(sf.errors.CancelledError, match="the node that this program belongs to is gone"):
                of_head.result(SECONDS)
        # What is asked for meanwhile waits, and what has begun does so where it ends a stage.
        waits = asked(there, data, held)
        held.open()
        assert not becomes_true(lambda: answer.done() or waits.done(), 1)
        trio.start_head(nodes=4)
        assert [each.result(SECONDS) for each in (answer, waits)] == [SUMS, SUMS]
        # The tasks of the last stage end without a head.
        answer = asked(there, data, late, late=True)
        late.await_nodes(["node 1", "node 2"])
        trio.kill_head()
        late.open()
        trio.start_head(nodes=4)
        assert answer.result(SECONDS) == SUMS
        with sf.Session(threads=1, address=cluster.address) as back:
            assert asked(back, data, late).result(SECONDS) == SUMS
    cluster.becomes_empty()


def test_nodes_that_come_late_to_a_new_head_are_waited_for(
    trio: test_head_restart.Trio, data: str, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    own = trio.cluster.add(num_cpus=0)
    with sf.Session(threads=1, address=f"sheaf://{trio.cluster.place_of(own)}") as there:
        trio.kill_head()
        for node in (trio.a, trio.b):
            node.send(signal.SIGSTOP)
        answer = asked(there, data, gate)
        trio.head.start()
        trio.head.await_place()
        # So long a node may be silent.
        assert not becomes_true(lambda: answer.done(), 3)
        for node in (trio.a, trio.b):
            node.send(signal.SIGCONT)
        gate.await_nodes(["node 1", "node 2"])
        gate.open()
        assert answer.result(SECONDS) == SUMS
    trio.cluster.becomes_empty()
