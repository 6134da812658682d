"""What people see of a running cluster: tasks, actors, objects and their holders, logs, and who is warned of what."""

import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from runtime.processes import becomes_true

import sheaf as ray

from .nodes import Cluster, Member, eventually, sheaf

pytestmark = pytest.mark.timeout(60)

SECONDS = 30
MEGABYTE = 1_000_000
A, B = {"resources": {"a": 0.01}}, {"resources": {"b": 0.01}}


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head with the resource ``a`` and a node with ``b`` that keeps logs, and this process as a driver."""
    ray.shutdown()
    cluster = Cluster(tmp_path_factory.mktemp("looked at"))
    try:
        cluster.add(num_cpus=2, resources={"a": 2})
        cluster.add(num_cpus=2, resources={"b": 2}, log_dir=tmp_path_factory.mktemp("logs"))
        ray.init(cluster.address, namespace="looked at")
        yield cluster
    finally:
        ray.shutdown()
        cluster.stop()


@ray.remote
def runs(folder: Path, until: str) -> int:
    (folder / f"runs {os.getpid()}").touch()
    while not (folder / until).exists():
        time.sleep(0.02)
    return os.getpid()


@ray.remote
def takes(value: Any) -> Any:
    return value


@ray.remote
class Keeper:
    def __init__(self) -> None:
        self.kept: Any = None

    def keep(self, refs: Any) -> int:
        self.kept = refs
        return os.getpid()

    def wait_for(self, folder: Path, until: str) -> None:
        while not (folder / until).exists():
            time.sleep(0.02)

    def say(self, text: str) -> int:
        print(text, flush=True)
        return os.getpid()


def place(cluster: Cluster, number: int) -> str:
    return cluster.place_of(cluster.members[number])


def test_tasks_with_what_they_wait_for(looked_at: Cluster, tmp_path: Path) -> None:
    running = runs.options(num_cpus=0, **B).remote(tmp_path, "go")
    waiting = takes.options(num_cpus=0).remote(running)
    queued = [takes.options(resources={"nowhere": 1}).remote(number) for number in range(20)]
    assert becomes_true(lambda: list(tmp_path.glob("runs *")) != [], SECONDS)
    [pid] = (file.name.split()[1] for file in tmp_path.glob("runs *"))
    rows = {row["state"]: row for row in looked_at.rows("tasks")}
    assert rows["running"] | {"task": "", "attempt": "1"} == {
        "task": "",
        "name": "runs",
        "kind": "task",
        "state": "running",
        "attempt": "1",
        "node": place(looked_at, 1),
        "pid": pid,
        "owner": place(looked_at, 0),
        "why it waits": "",
    }
    assert (rows["waiting"]["name"], rows["waiting"]["pid"]) == ("takes", "")
    assert rows["running"]["task"].removeprefix("task") in rows["waiting"]["why it waits"]
    assert "no node has nowhere 1" in rows["queued"]["why it waits"]
    assert [row["name"] for row in looked_at.rows("tasks", "--name", "runs")] == ["runs"]
    assert len(looked_at.rows("tasks", "--state", "QUEUED")) == len(queued)
    done = sheaf("tasks", "--address", looked_at.place, "--limit", 3, "--format", "json")
    assert len(done.stdout.splitlines()) == 3
    assert "3 of 22 tasks are shown" in done.stderr
    (tmp_path / "go").touch()
    assert ray.get(waiting, timeout=SECONDS) == int(pid)
    for ref in queued:
        ray.cancel(ref)
    del queued, running, waiting
    eventually(lambda: looked_at.rows("tasks"), [])


BACKLOG = """
import sys
import sheaf as ray
ray.init(sys.argv[1])
impossible = ray.remote(lambda: 0).options(resources={"nowhere": 1})
refs = [impossible.remote() for _ in range(int(sys.argv[2]))]
ray.wait(refs, timeout=0)
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_backlog_is_counted_and_not_told(looked_at: Cluster) -> None:
    count = 30_000
    with looked_at.started_driver(BACKLOG, count) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        begun = time.monotonic()
        done = sheaf("tasks", "--address", looked_at.place, "--format", "csv")
        assert time.monotonic() - begun < 10
    assert len(done.stdout.splitlines()) == 1_001
    assert f"1000 of {count} tasks are shown" in done.stderr
    eventually(lambda: looked_at.rows("tasks"), [], 20)


def test_actors_with_their_processes_and_calls(looked_at: Cluster, tmp_path: Path) -> None:
    named = Keeper.options(name="ann", lifetime="detached", max_restarts=1, **B).remote()
    other = Keeper.options(num_cpus=0, **A).remote()
    pid, other_pid = ray.get([named.keep.remote(None), other.keep.remote(None)], timeout=SECONDS)
    calls = [named.wait_for.remote(tmp_path, "go") for _ in range(3)]
    [row] = looked_at.rows("actors", "--name", "ann")
    assert row | {"actor": "", "owner": ""} == {
        "actor": "",
        "name": "ann",
        "namespace": "looked at",
        "class": "Keeper",
        "state": "alive",
        "node": place(looked_at, 1),
        "pid": str(pid),
        "restarts": "0",
        "pending calls": "3",
        "detached": "yes",
        "owner": "",
        "why it ended": "",
    }
    rows = {row["pid"]: row for row in looked_at.rows("actors", "--name", "Keeper")}
    assert set(rows) == {str(pid), str(other_pid)}
    assert (rows[str(other_pid)]["name"], rows[str(other_pid)]["pending calls"]) == ("", "0")
    (tmp_path / "go").touch()
    ray.get(calls, timeout=SECONDS)
    os.kill(pid, signal.SIGKILL)
    alive = ("actors", "--state", "alive", "--name", "ann")
    eventually(lambda: [row["restarts"] for row in looked_at.rows(*alive)], ["1"])
    ray.kill(named)
    eventually(lambda: [row["state"] for row in looked_at.rows("actors") if row["name"] == "ann"], [])
    del other
    eventually(lambda: looked_at.rows("actors", "--state", "alive"), [])


def test_objects_with_what_made_and_who_holds_them(looked_at: Cluster) -> None:
    keeper = Keeper.options(num_cpus=0, **B).remote()
    put = ray.put(np.zeros(3 * MEGABYTE, np.uint8))
    [made] = [takes.options(num_cpus=0, **B).remote(np.ones(2 * MEGABYTE, np.uint8))]
    ray.wait([made], timeout=SECONDS, fetch_local=False)
    pid = ray.get(keeper.keep.remote([put, made]), timeout=SECONDS)
    value = ray.get(put)
    me = f"a driver (pid {os.getpid()})"

    def row_of(size: int, node: int) -> dict[str, str]:
        rows = looked_at.rows("memory")
        found = [
            row for row in rows if size <= int(row["bytes"]) < size + 10_000 and row["node"] == place(looked_at, node)
        ]
        return found[0] if found else {"held by": "", "made by": "", "in": ""}

    assert becomes_true(lambda: "borrowed by" in row_of(3 * MEGABYTE, 0)["held by"], SECONDS), looked_at.rows("memory")
    row = row_of(3 * MEGABYTE, 0)
    assert row["made by"] == f"put by {me}"
    assert f"read by {me}" in row["held by"]
    assert f"referenced by {me}" in row["held by"]
    assert f"borrowed by node-{looked_at.name_of(looked_at.members[1])}" in row["held by"]
    assert (row["in"], row["owner"]) == ("memory", place(looked_at, 0))
    row = row_of(2 * MEGABYTE, 1)
    assert re.fullmatch(r"takes \(pid \d+\)", row["made by"])
    assert f"referenced by Keeper.keep (pid {pid})" in row["held by"]
    assert f"on its owner: referenced by {me}" in row["held by"]
    sizes = [int(row["bytes"]) for row in looked_at.rows("memory")]
    assert sizes == sorted(sizes, reverse=True)
    totals = {row["node"]: row for row in looked_at.rows("memory", "--totals")}
    assert int(totals[place(looked_at, 0)]["bytes in memory"]) >= 3 * MEGABYTE
    assert int(totals[place(looked_at, 1)]["objects in memory"]) >= 1
    table = sheaf("memory", "--address", looked_at.place, "--limit", 1)
    assert "the 1 largest of" in table.stderr
    assert f"{place(looked_at, 1)}: " in table.stderr
    del value, put, made, keeper
    eventually(looked_at.objects, [])


def test_logs_are_listed_and_printed(looked_at: Cluster, tmp_path: Path) -> None:
    keeper = Keeper.options(num_cpus=0, **B).remote()
    pid = ray.get([keeper.say.remote(f"line {number}") for number in range(1_000)], timeout=SECONDS)[0]
    file, at = f"worker-{pid}.out", ["--address", looked_at.place]
    assert becomes_true(lambda: file in {row["file"] for row in looked_at.rows("logs")}, SECONDS)
    [row] = [row for row in looked_at.rows("logs") if row["file"] == file]
    assert row["node"] == place(looked_at, 1)
    # The head keeps none, and says so.
    assert "--log-dir" in sheaf("logs", *at).stderr
    eventually(lambda: sheaf("logs", file, *at).stdout, "".join(f"line {number}\n" for number in range(1_000)))
    assert sheaf("logs", file, *at, "--tail", 2, "--node", place(looked_at, 1)).stdout == "line 998\nline 999\n"
    for wrong, code in (("../../stderr", 3), ("/etc/hostname", 3), ("worker-0.out", 3)):
        done = sheaf("logs", wrong, *at)
        assert (done.returncode, done.stdout) == (code, "")
        assert wrong in done.stderr
    with looked_at.started(["logs", file, *at, "--tail", "1", "--follow"]) as follows:
        assert follows.stdout is not None
        assert follows.stdout.readline() == "line 999\n"
        ray.get(keeper.say.remote("and more"), timeout=SECONDS)
        assert follows.stdout.readline() == "and more\n"
        follows.send_signal(signal.SIGINT)
        assert follows.wait(SECONDS) != 0


def metrics(cluster: Cluster, number: int) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """What a node serves, by name and tags."""
    with urllib.request.urlopen(f"http://{place(cluster, number)}/metrics", timeout=SECONDS) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        families = list(text_string_to_metric_families(answer.read().decode()))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family is told twice"
    assert all(family.documentation and family.type != "unknown" for family in families)
    told: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for sample in (sample for family in families for sample in family.samples):
        tags = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "node"))
        assert told.setdefault(sample.name, {}).setdefault(tags, sample.value) == sample.value, "a sample is told twice"
    return told


def test_every_node_serves_metrics(looked_at: Cluster) -> None:
    @ray.remote(num_cpus=0)
    def count(where: str) -> None:
        from sheaf.util.metrics import Counter, Histogram

        Counter("seen", 'What was\n"seen"', tag_keys=("where",)).inc(2, {"where": where})
        Histogram("took", "How long it took", boundaries=[1.0, 10.0]).observe(3)

    ray.get([count.options(**A).remote("here"), count.options(**B).remote('th"ere')], timeout=SECONDS)
    seen = {0: (("where", "here"),), 1: (("where", 'th"ere'),)}
    for number, tags in seen.items():
        assert becomes_true(lambda: metrics(looked_at, number).get("seen_total") == {tags: 2}, SECONDS)  # noqa: B023
        told = metrics(looked_at, number)
        assert told["took_bucket"][(("le", "1"),)] == 0
        assert told["took_bucket"][(("le", "10"),)] == told["took_count"][()] == 1
        assert told["sheaf_resources_total"][(("name", "CPU"),)] == 2
    assert metrics(looked_at, 0)["sheaf_head_nodes"][(("state", "alive"),)] == 2
    assert metrics(looked_at, 0)["sheaf_head_leases_waiting"] == {(): 0}
    assert "sheaf_head_nodes" not in metrics(looked_at, 1)


# The last ones: they leave this process without its connection.
def test_a_node_that_does_not_answer_hides_no_other(pair: Any) -> None:
    cluster = pair()
    lost: Member = cluster.members[1]
    lost.kill()
    # Before the head knows.
    done = sheaf("workers", "--address", cluster.place, "--format", "json")
    assert done.returncode == 0
    assert place(cluster, 0) in done.stdout
    assert f"nothing of http://{place(cluster, 1)} is shown" in done.stderr


WAITS = """
import sys, time
import sheaf as ray
ray.init(sys.argv[1])

@ray.remote(resources={"never": 1})
def impossible(): ...

@ray.remote(resources={"never": 2})
class Impossible: ...

refs = [impossible.remote(), Impossible.remote()]
group = ray.util.placement_group([{"never": 3}])
time.sleep(5)
"""


def test_every_driver_is_warned_of_what_nobody_has(looked_at: Cluster) -> None:
    with looked_at.started_driver(WAITS) as first, looked_at.started_driver(WAITS) as second:
        for child in (first, second):
            _, errors = child.communicate(timeout=SECONDS)
            assert re.search(r"impossible asks for .*no node has never 1", errors), errors
            assert re.search(r"Impossible\S* asks for .*no node has never 2", errors), errors
            assert re.search(r"placement group .*waits", errors), errors
            assert child.returncode == 0
    # Words for drivers are not those of nodes.
    assert "impossible" not in looked_at.members[0].said()
