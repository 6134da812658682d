"""Clusters that grow when something waits, and shrink when nothing does."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runtime.processes import becomes_true

import sheaf as ray

from .nodes import Cluster, command_of, eventually, sheaf

pytestmark = pytest.mark.timeout(90)

SECONDS = 30
IDLE_SECONDS = 1
MEGABYTE = 1_000_000


def types(**tables: str) -> str:
    """A file of node types: what each has, as TOML."""
    head = f'provider = "processes"\nidle_seconds = {IDLE_SECONDS}\nboot_seconds = 20\nmax_nodes = 4\n'
    return head + "".join(f"[node_types.{name}]\n{table}\n" for name, table in tables.items())


CPU = types(cpu="num_cpus = 1\nmax = 2")


@pytest.fixture
def grows(cluster: Cluster, tmp_path: Path) -> Callable[..., Cluster]:
    """Starts a head without CPUs for nodes of these types, and makes this process its driver."""

    def start(text: str, **named: object) -> Cluster:
        file = tmp_path / "types.toml"
        file.write_text(text)
        cluster.add(**{"num_cpus": 0, "node_types": file, **named})
        ray.init(cluster.address)
        return cluster

    return start


@pytest.fixture
def released(tmp_path: Path) -> Iterator[Path]:
    """A file that tasks wait for; it is there after the test."""
    file = tmp_path / "released"
    yield file
    file.touch()


def others(cluster: Cluster) -> list[dict[str, str]]:
    """The nodes but for the head."""
    return [row for row in cluster.rows("nodes") if not row["head"]]


def started(cluster: Cluster) -> int:
    """How many nodes have been started so far."""
    return cluster.members[0].said().count("sheaf: starts cpu-")


def has(cluster: Cluster, count: int, seconds: float = SECONDS) -> None:
    eventually(lambda: len(others(cluster)), count, seconds)


@ray.remote
def waits(file: Path, size: int = 0) -> tuple[str, int, np.ndarray]:
    """Wait for a file, and say where that was."""
    while not file.exists():
        time.sleep(0.02)
    return ray.get_runtime_context().get_node_id(), os.getpid(), np.ones(size, np.uint8)


def test_nodes_come_for_what_waits_and_leave_when_they_are_idle(grows: Callable[..., Cluster], released: Path) -> None:
    cluster = grows(CPU)
    refs = [waits.options(num_cpus=1).remote(released, MEGABYTE) for _ in range(4)]
    has(cluster, 2)
    # Two more wait, and there may be no more nodes.
    eventually(
        lambda: [(row["asks for"], row["count"], row["types"]) for row in cluster.rows("demand")],
        [("CPU 1", "2", "cpu")],
    )
    time.sleep(IDLE_SECONDS + 2)
    assert len(others(cluster)) == 2
    before = cluster.processes()
    released.touch()
    ready, _ = ray.wait(refs, num_returns=4, timeout=SECONDS)
    assert len(ready) == 4
    has(cluster, 0)
    # What they made has moved to where it is wanted.
    results = ray.get(refs)
    assert len({node for node, _, _ in results}) == 2
    assert all(array.sum() == MEGABYTE for _, _, array in results)
    eventually(lambda: len(cluster.processes()) < len(before), True)
    said = cluster.members[0].said()
    assert started(cluster) == 2
    assert said.count("nothing to do for 1 s") == 2
    assert cluster.rows("demand") == []


def test_queries_bring_their_nodes(grows: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = grows(CPU)
    folder = tmp_path / "rows"
    folder.mkdir()
    for number in range(4):
        pq.write_table(
            pa.table({"n": np.arange(2_000_000) + number, "g": np.arange(2_000_000) % 7}),
            folder / f"{number}.parquet",
            compression=None,
        )
    text = f"SELECT g, count(*) AS c FROM '{folder}/*.parquet' GROUP BY g ORDER BY g"
    # No node is there yet on which its tasks could run at once.
    explained = ray.Session(address=cluster.address, exchange="streaming").sql(text).explain()
    assert "durable (its nodes are still to come)" in explained
    assert "tasks=2" in explained
    rows = ray.sql(text)
    assert rows.to_pandas()["c"].sum() == 8_000_000
    assert started(cluster) == 2
    # They are there now, and rows come as they are made.
    assert next(ray.read_parquet(str(folder)).iter_batches(batch_size=10)) is not None
    has(cluster, 0)


def test_rows_that_are_read_as_they_come_bring_their_nodes(grows: Callable[..., Cluster], tmp_path: Path) -> None:
    cluster = grows(CPU)
    pq.write_table(pa.table({"n": np.arange(100_000)}), tmp_path / "n.parquet")
    counted = sum(len(batch["n"]) for batch in ray.read_parquet(str(tmp_path / "n.parquet")).iter_batches())
    assert counted == 100_000
    assert started(cluster) == 1


@ray.remote
def leaves_something() -> list[ray.ObjectRef]:
    return [ray.put(np.ones(MEGABYTE, np.uint8))]


def test_a_node_stays_that_owns_what_others_hold(grows: Callable[..., Cluster]) -> None:
    cluster = grows(CPU)
    [kept] = ray.get(leaves_something.options(num_cpus=1).remote())
    time.sleep(IDLE_SECONDS + 3)
    assert len(others(cluster)) == 1
    assert ray.get(kept).sum() == MEGABYTE
    del kept
    has(cluster, 0)


def test_rows_in_memory_bring_their_nodes(grows: Callable[..., Cluster]) -> None:
    cluster = grows(CPU)
    rows = ray.from_arrow(pa.table({"n": np.arange(400_000)}))
    assert sum(len(batch["n"]) for batch in rows.filter(ray.col("n") % 2 == 0).iter_batches()) == 200_000
    assert started(cluster) >= 1


def test_there_is_room_for_what_is_asked_for(grows: Callable[..., Cluster]) -> None:
    cluster = grows(CPU)
    ray.request_resources(num_cpus=2)
    has(cluster, 2)
    time.sleep(IDLE_SECONDS + 3)
    assert len(others(cluster)) == 2
    assert [row["what"] for row in cluster.rows("demand")] == ["room", "room"]
    ray.request_resources(bundles=[{"CPU": 1}])
    has(cluster, 1)
    time.sleep(IDLE_SECONDS + 2)
    assert len(others(cluster)) == 1
    # It holds until something else is asked for, whoever is there.
    ray.shutdown()
    time.sleep(IDLE_SECONDS + 2)
    assert len(others(cluster)) == 1
    ray.init(cluster.address)
    ray.request_resources()
    has(cluster, 0)
    for wrong in ({"num_cpus": -1}, {"bundles": [{"CPU": -1}]}, {"bundles": [{"GPU": 1.5}]}):
        with pytest.raises(ValueError, match=r"-1|1\.5"):
            ray.request_resources(**wrong)


def test_gpus_come_for_those_who_ask_for_them(grows: Callable[..., Cluster], released: Path) -> None:
    cluster = grows(
        types(cpu="num_cpus = 1\nmax = 1", gpu='num_cpus = 1\nnum_gpus = 1\nmax = 1\nlabels = {zone = "g"}')
    )
    plain = waits.options(num_cpus=1).remote(released)
    has(cluster, 1)
    assert "sheaf/node-type cpu" in others(cluster)[0]["labels"]
    with_gpu = waits.options(num_gpus=0.5, num_cpus=0).remote(released)
    has(cluster, 2)
    released.touch()
    assert ray.get(plain)[0] != ray.get(with_gpu)[0]


def test_a_node_that_dies_has_another_one_in_its_place(grows: Callable[..., Cluster], released: Path) -> None:
    cluster = grows(CPU)
    ref = waits.options(num_cpus=1, max_retries=3).remote(released)
    has(cluster, 1)
    first = others(cluster)[0]["node"]
    eventually(lambda: [row["state"] for row in cluster.rows("tasks")], ["running"], SECONDS)
    pid = next(pid for pid in cluster.processes() if is_node(pid))
    os.kill(pid, signal.SIGKILL)
    assert becomes_true(lambda: [row["node"] for row in others(cluster)] not in ([], [first]), SECONDS)
    released.touch()
    assert ray.get(ref, timeout=SECONDS)[1] > 0


def is_node(pid: int) -> bool:
    return " node --head " in command_of(pid)


def test_what_cannot_be_started_is_told_and_tried_again(grows: Callable[..., Cluster], released: Path) -> None:
    cluster = grows(types(cpu='num_cpus = 1\nmax = 1\nflags = ["--no-such-flag"]'))
    waits.options(num_cpus=1).remote(released)
    head = cluster.members[0]
    assert becomes_true(lambda: head.said().count("gives cpu-") >= 2, SECONDS), head.said()
    told = sheaf("demand", "--address", cluster.place, "--format", "json")
    assert "no node of type cpu can be started now: its process ended with exit code 2" in told.stderr
    assert others(cluster) == []


def test_the_nodes_of_a_head_that_is_killed_end_with_it(grows: Callable[..., Cluster], released: Path) -> None:
    cluster = grows(CPU)
    waits.options(num_cpus=1).remote(released)
    has(cluster, 1)
    cluster.members[0].kill()
    ray.shutdown()
    assert becomes_true(lambda: not cluster.processes(), SECONDS)


def test_what_no_node_could_ever_run_is_an_error_at_once(grows: Callable[..., Cluster], released: Path) -> None:
    grows(CPU)
    begun = time.monotonic()
    with pytest.raises(ray.exceptions.TaskUnschedulableError, match="CPU 3"):
        ray.get(waits.options(num_cpus=3, fail_if_unschedulable=True).remote(released), timeout=SECONDS)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "missing field `provider`"),
        (types(cpu="num_cpus = 1\nmax = 0"), "0 at the most"),
        (types(cpu="num_cpus = 1\nmax = 1\npod = 'a.json'"), "cpu has a pod, and nodes are processes"),
        (CPU.replace("processes", "kubernetes"), "cpu has no pod"),
    ],
)
def test_a_file_that_is_wrong_is_refused(text: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "types.toml"
    file.write_text(text)
    done = sheaf("head", "--port", "0", "--num-cpus", "1", "--node-types", file)
    assert done.returncode != 0
    assert expected in done.stderr
    assert str(file) in done.stderr
