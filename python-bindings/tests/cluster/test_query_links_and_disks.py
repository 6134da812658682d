"""Links that are cut while a query runs, and disks that are full of what its tasks make."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime.processes import becomes_true

import sheaf as sf

from . import test_full_disk, test_links
from .gates import SECONDS, SUMS, Gate, asked, write_numbers
from .hosts import Hosts
from .nodes import Cluster, eventually

pytestmark = pytest.mark.timeout(180)

# Two hosts with a node each, and a folder with room for little.
hosts, apart, disk = test_links.hosts, test_links.apart, test_full_disk.disk
# Random numbers that a function makes of each row: half the rows are more than is kept in memory while it is written.
NOISE = 220
OTHERS_BYTES = 30 * test_full_disk.MEGABYTE


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_numbers(tmp_path_factory.mktemp("numbers") / "files")


# Asks one query after the other, each of which the test holds at its gate.
DRIVER = """
import json, pathlib, sys
import sheaf as sf

address, token, tests, folder, data = sys.argv[1:]
sys.path.insert(0, tests)
from cluster.gates import Gate, groups

with sf.Session(threads=1, address=address, token_file=token) as there:
    for name, late in (("short", False), ("long", True), ("mended", False), ("after", False)):
        print(json.dumps(groups(there, data, Gate(pathlib.Path(folder, name)), late=late)), flush=True)
"""


def test_links_that_are_cut_while_queries_run(hosts: Hosts, apart: Cluster, data: str, tmp_path: Path) -> None:
    node = apart.members[1]
    name = apart.name_of(node)
    token = tmp_path / "token"
    token.write_text("of hosts that are apart\n")
    short, long, mended, after = (Gate(tmp_path / name) for name in ("short", "long", "mended", "after"))
    with apart.started_driver(DRIVER, token, Path(__file__).parents[1], tmp_path, data) as child:

        def answer() -> Any:
            assert child.stdout is not None
            assert child.stderr is not None
            return json.loads(child.stdout.readline() or child.stderr.read())

        short.await_nodes(["node 0", "node 1"])
        hosts.cut()
        short.open()
        # Less than it takes to be taken for dead.
        assert not becomes_true(lambda: long.nodes() != [], 3)
        hosts.mend()
        assert answer() == SUMS
        assert apart.name_of(node) == name
        long.await_nodes(["node 0", "node 1"])
        hosts.cut()
        long.open()
        # What is there, and what others there need of it, is made again here.
        assert answer() == SUMS
        mended.await_nodes(["node 0"])
        hosts.mend()
        assert becomes_true(lambda: "declared it dead" in node.said(), SECONDS), node.said()
        eventually(lambda: len(apart.nodes()), 2)
        mended.open()
        assert answer() == SUMS
        after.await_nodes(["node 0", "node 1"])
        after.open()
        assert answer() == SUMS
        assert child.wait(SECONDS) == 0
    apart.becomes_empty()


def test_a_disk_that_is_full_of_what_tasks_make(disk: Path, cluster: Cluster, data: str, tmp_path: Path) -> None:
    cluster.add(num_cpus=0)
    cluster.add(num_cpus=1)
    full = cluster.add(num_cpus=1, object_store_memory=16 << 20, spill_dir=disk)
    # What others have written there leaves little room.
    (disk / "of others").write_bytes(bytes(OTHERS_BYTES))
    before = test_full_disk.used(disk)

    def noise(batch: dict[str, Any]) -> dict[str, Any]:
        drawn = np.random.default_rng(int(batch["a"][0]))
        return {"a": batch["a"], "noise": drawn.random((len(batch["a"]), NOISE))}

    with sf.Session(threads=1, address=cluster.address) as there:
        rows = there.read_parquet(data).select("a")
        rows = rows.map_batches(noise, batch_format="numpy", batch_size=2_000).sort("a")
        with pytest.raises(sf.errors.DiskFullError, match=f"on {cluster.place_of(full)}: stage 0") as told:
            rows.write_parquet(str(tmp_path / "never"))
        assert list(tmp_path.rglob("part-*")) == []
        cluster.becomes_empty()
        eventually(lambda: test_full_disk.used(disk), before, SECONDS)
        gate = Gate(tmp_path / "after")
        answer = asked(there, data, gate)
        gate.await_nodes(["node 1", "node 2"])
        gate.open()
        assert answer.result(SECONDS) == SUMS
        cluster.becomes_empty()
    assert str(disk) in str(told.value)
