"""A link between two hosts that is cut: for a moment, which nobody notices, and for so long that a node is given up."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runtime.processes import becomes_true

from .hosts import Hosts, two_hosts
from .nodes import Cluster, eventually

pytestmark = pytest.mark.timeout(120)

SECONDS = 40
DEATH_SECONDS = 20

# Says what it has, and goes on when a file appears that the test makes.
DRIVER = """
import json, os, pathlib, sys, time, uuid
import numpy as np
import sheaf as ray

address, folder = sys.argv[1], pathlib.Path(sys.argv[2])
ray.init(address, token_file=sys.argv[3])
B = {"resources": {"b": 0.01}}

@ray.remote
def begin(name, until):
    (folder / f"{name} {os.getpid()}").touch()
    while not (folder / until).exists():
        time.sleep(0.02)
    return ray.get_runtime_context().get_node_id(), str(uuid.uuid4())

@ray.remote
def filled(size, value):
    return np.full(size, value, np.uint8)

@ray.remote
class Counter:
    def __init__(self):
        self.count = 0
    def add(self, name):
        (folder / f"{name} {os.getpid()}").touch()
        self.count += 1
        return self.count

def tell(**what):
    print(json.dumps(what), flush=True)

def wait_for(name):
    while not (folder / name).exists():
        time.sleep(0.02)
"""

SHORT = (
    DRIVER
    + """
counter = Counter.options(num_cpus=0, **B).remote()
assert ray.get(counter.add.remote("first"), timeout=40) == 1
tasks = [begin.options(num_cpus=0.1, **B).remote(f"task{number}", "go") for number in range(4)]
large = filled.options(**B).remote(50_000_000, 7)
ray.wait([large], fetch_local=False)
tell(ready=True)
wait_for("cut")
calls = [counter.add.remote(f"call{number}") for number in range(20)]
later = [begin.options(num_cpus=0.1, **B).remote(f"later{number}", "go") for number in range(4)]
tell(nodes=len({node for node, _ in ray.get(tasks + later, timeout=40)}), calls=ray.get(calls, timeout=40),
     large=int(ray.get(large, timeout=40).astype(int).sum()))
"""
)

LONG = (
    DRIVER
    + """
spread = begin.options(num_cpus=1, scheduling_strategy="SPREAD")
counter = Counter.options(num_cpus=0, **B).remote()
assert ray.get(counter.add.remote("first"), timeout=40) == 1
tasks = [spread.remote(f"task{number}", "go") for number in range(4)]
tell(ready=True)
wait_for("cut")
results = ray.get(tasks, timeout=60)
try:
    ray.get(counter.add.remote("late"), timeout=60)
    error = ""
except ray.exceptions.ActorDiedError:
    error = "ActorDiedError"
tell(nodes=sorted({node for node, _ in results}), error=error)
wait_for("mended")
again = ray.get(begin.options(**B).remote("again", "go"), timeout=60)
tell(same=ray.get(tasks) == results, again=again[0])
"""
)


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with two_hosts() as hosts:
        yield hosts


@pytest.fixture
def apart(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head on one host and a node with the resource ``b`` on the other."""
    folder = tmp_path_factory.mktemp("apart")
    token = folder / "token"
    token.write_text("of hosts that are apart\n")
    cluster = Cluster(folder / "cluster", inside=hosts.inside(0), token_file=token)
    try:
        cluster.add(num_cpus=2, host=hosts.addresses[0])
        cluster.add(num_cpus=2, host=hosts.addresses[1], resources={"b": 2}, inside=hosts.inside(1))
        yield cluster
    finally:
        cluster.stop()


def attempts(folder: Path, pattern: str) -> int:
    return len(list(folder.glob(pattern)))


def reader(child: Any) -> Callable[[], dict[str, Any]]:
    def told() -> dict[str, Any]:
        line = child.stdout.readline()
        assert line, child.stderr.read()
        return dict(json.loads(line))

    return told


def test_a_link_that_is_cut_for_a_moment(hosts: Hosts, apart: Cluster, tmp_path: Path) -> None:
    node = apart.name_of(apart.members[1])
    token = tmp_path / "token"
    token.write_text("of hosts that are apart\n")
    with apart.started_driver(SHORT, tmp_path, token) as child:
        told = reader(child)
        assert told() == {"ready": True}
        assert becomes_true(lambda: attempts(tmp_path, "task* *") == 4, SECONDS)
        hosts.cut()
        (tmp_path / "cut").touch()
        (tmp_path / "go").touch()
        # Less than it takes to be taken for dead.
        assert not becomes_true(lambda: child.poll() is not None, 4)
        hosts.mend()
        end = told()
        assert end == {"nodes": 1, "calls": list(range(2, 22)), "large": 7 * 50_000_000}
        assert child.wait(SECONDS) == 0
    # Nothing was done twice, and nobody was given up.
    assert attempts(tmp_path, "task* *") == attempts(tmp_path, "later* *") == 4
    assert attempts(tmp_path, "call* *") == 20
    assert apart.name_of(apart.members[1]) == node


def test_a_link_that_is_cut_for_too_long(hosts: Hosts, apart: Cluster, tmp_path: Path) -> None:
    head, node = apart.members
    head_name, name = apart.name_of(head), apart.name_of(node)
    token = tmp_path / "token"
    token.write_text("of hosts that are apart\n")
    with apart.started_driver(LONG, tmp_path, token) as child:
        told = reader(child)
        assert told() == {"ready": True}
        assert becomes_true(lambda: attempts(tmp_path, "task* *") == 4, SECONDS)
        hosts.cut()
        (tmp_path / "cut").touch()
        (tmp_path / "go").touch()
        assert told() == {"nodes": [head_name], "error": "ActorDiedError"}
        assert attempts(tmp_path, "late *") == 0
        hosts.mend()
        assert becomes_true(lambda: "declared it dead" in node.said(), DEATH_SECONDS), node.said()
        assert becomes_true(lambda: len(apart.nodes()) == 2, SECONDS)
        (tmp_path / "mended").touch()
        assert apart.name_of(node) != name
        # What ran there meanwhile has changed nothing.
        assert told() == {"same": True, "again": apart.name_of(node)}
        assert child.wait(SECONDS) == 0
    assert sorted(attempts(tmp_path, f"task{number} *") for number in range(4)) == [1, 1, 2, 2]
    eventually(apart.objects, [])
