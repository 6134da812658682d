"""``sheaf.launch.ray`` on a real Ray cluster: two machines of Ray's, both of them this one, with an address each."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="run scripts/test-deploy, which has an environment with Ray")

import sheaf as sf  # noqa: E402
from sheaf.exceptions import ActorUnschedulableError, NodeDiedError  # noqa: E402
from sheaf.launch import ray as on_ray  # noqa: E402

MARK = "SHEAF_TEST_LAUNCH"
SECONDS = 60
SHEAF = [sys.executable, "-c", "import sys; from sheaf._cli import main; sys.exit(main())"]
SETTINGS = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@pytest.fixture(scope="module")
def machines() -> Iterator[str]:
    """Ray, joined by this process, which is on a machine with three CPUs; another has one. Its address."""
    from ray.cluster_utils import Cluster

    # Sockets have short paths.
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SETTINGS, "RAY_TMPDIR": folder, MARK: folder}.items():
            patch.setenv(name, value)
        here = {"num_cpus": 3, "resources": {"here": 2}, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=here)
        try:
            cluster.add_node(num_cpus=1, node_ip_address="127.0.0.2")
            ray.init(address=cluster.address, logging_level="warning")
            yield cluster.address
        finally:
            ray.shutdown()
            cluster.shutdown()
            shutil.rmtree(folder)
    eventually(processes, set())


@pytest.fixture(scope="module")
def cluster(machines: str) -> Iterator[on_ray.Cluster]:
    """One of the whole Ray cluster, for tests that leave it as it is."""
    with on_ray.start(num_cpus=1) as started:
        yield started
    eventually(processes, set())


def test_every_machine_of_ray_has_a_node(cluster: on_ray.Cluster) -> None:
    nodes = cluster.nodes()
    assert len({node.ip for node in nodes}) == len({node.ray_node_id for node in nodes}) == 2
    # They are reached where Ray has its machines, and nowhere else.
    assert [str(node.address).rpartition(":")[0] for node in nodes] == [node.ip for node in nodes]
    assert [node.ended for node in (cluster.head, *nodes)] == [None] * 3
    eventually(free_cpus, 2)


def test_a_query_runs_on_all_nodes(cluster: on_ray.Cluster) -> None:
    with sf.Session(**cluster.access) as session:
        assert nodes_of(session) == {node.pid for node in cluster.nodes()}


def test_tasks_know_the_machine_of_ray(cluster: on_ray.Cluster) -> None:
    with sf.init(**cluster.access):
        labels = {node["Labels"].get("ray.io/node-id") for node in sf.nodes()}
        assert labels == {None, *(node.ray_node_id for node in cluster.nodes())}


def test_the_token_is_seen_by_nobody(cluster: on_ray.Cluster) -> None:
    token = Path(cluster.token_file).read_bytes().strip()
    assert len(token) > 16
    assert os.stat(cluster.token_file).st_mode & 0o777 == 0o600
    seen = [pid for pid in everything() if token in of(pid, "cmdline") + of(pid, "environ")]
    logs = [file for file in Path(os.environ["RAY_TMPDIR"]).rglob("*") if file.is_file() and token in file.read_bytes()]
    assert (seen, logs) == ([], [])
    with pytest.raises(sf.PermissionDeniedError):
        sf.Session(address=cluster.address)


def test_a_node_that_dies_is_told_of_and_missed_by_nobody(
    cluster: on_ray.Cluster, capfd: pytest.CaptureFixture[str]
) -> None:
    # What is left is on the machine of this program.
    with on_ray.start(2, resources={"here": 1}, num_cpus=1, labels={"a": "b"}, timeout=30) as other:
        assert other.address.startswith("sheaf://127.0.0.1:")
        killed, left = other.nodes()
        assert killed.ip == left.ip == other.head.ip
        assert killed.pid is not None
        assert len(listed(other)) == 3
        os.kill(killed.pid, signal.SIGKILL)
        eventually(lambda: [node.ended for node in other.nodes()], ["killed by SIGKILL", None])
        said: list[str] = []
        told = f"{killed.address} has ended: killed by SIGKILL"
        eventually(lambda: bool(said.append(capfd.readouterr().err)) or told in "".join(said), True)
        eventually(lambda: f"http://{killed.address}" in listed(other), False)
        with sf.Session(**other.access) as session:
            assert session.range(100).map(lambda row: row).count() == 100
    eventually(free_cpus, 2)
    assert [node.ended for node in cluster.nodes()] == [None, None]


def listed(cluster: on_ray.Cluster) -> list[str]:
    """The addresses that ``sheaf nodes`` prints."""
    place = cluster.address.removeprefix("sheaf://")
    command = ["nodes", "--address", place, "--token-file", cluster.token_file, "--format", "json"]
    done = subprocess.run([*SHEAF, *command], capture_output=True, text=True, timeout=SECONDS, check=True)
    return [json.loads(line)["address"] for line in done.stdout.splitlines()]


def test_what_cannot_start_leaves_nothing(cluster: on_ray.Cluster, tmp_path: Path) -> None:
    before = processes()
    with pytest.raises(ActorUnschedulableError, match=r"no room in time for 2 nodes of \{'CPU': 64.0\}"):
        on_ray.start(2, num_cpus=64, timeout=1)
    with pytest.raises(NodeDiedError, match="the head has ended: exit code") as raised:
        on_ray.start(1, num_cpus=1, tls=[str(tmp_path / name) for name in ("cert", "key", "ca")])
    assert str(tmp_path) in str(raised.value)
    eventually(processes, before)
    eventually(free_cpus, 2)


DRIVER = """
import os, sys, time
import ray
from sheaf.launch import ray as on_ray

ray.init(address=sys.argv[1], log_to_driver=False, logging_level="error", runtime_env=eval(sys.argv[2]))
try:
    cluster = on_ray.start(1, num_cpus=1)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
print(len(cluster.nodes()), flush=True)
time.sleep(60)
"""


def test_a_driver_that_is_killed_leaves_nothing(machines: str, cluster: on_ray.Cluster) -> None:
    before = processes()
    with driver(machines, {}) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "1\n"
        # A head, a node, and what forks their workers.
        assert len(processes() - before) >= 2
        program.kill()
    eventually(processes, before)


def test_another_sheaf_or_none_on_a_machine_is_refused(machines: str, cluster: on_ray.Cluster, tmp_path: Path) -> None:
    package = tmp_path / "sheaf"
    package.mkdir()
    package.joinpath("__init__.py").write_text("")
    told = ["cannot import Sheaf: ModuleNotFoundError", "has 0.0.7"]
    for text in told:
        with driver(machines, {"env_vars": {"PYTHONPATH": str(tmp_path)}}) as program:
            _, errors = program.communicate(timeout=SECONDS)
        assert "UnsupportedError" in errors
        assert text in errors
        package.joinpath("_sheaf.py").write_text("VERSION = '0.0.7'\n")


def test_stop_leaves_nothing_and_may_come_twice(machines: str, cluster: on_ray.Cluster) -> None:
    before = processes()
    other = on_ray.start(1, num_cpus=1)
    assert processes() > before
    other.stop()
    assert processes() == before
    other.stop()
    assert other.nodes() == []
    eventually(free_cpus, 2)


@contextlib.contextmanager
def driver(address: str, runtime_env: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", DRIVER, address, repr(runtime_env)]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        try:
            yield program
        finally:
            program.kill()


def nodes_of(session: sf.Session) -> set[int]:
    """The processes of the nodes in whose workers a function runs."""

    def told(row: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.02)
        zygote = os.getppid()
        with open(f"/proc/{zygote}/stat") as file:
            return {"pid": int(file.read().rpartition(")")[2].split()[1])}

    return set(session.range(40).map(told).to_pydict()["pid"])


def free_cpus() -> float:
    return float(ray.available_resources().get("CPU", 0))


def everything() -> list[int]:
    mark = f"{MARK}={os.environ[MARK]}".encode() if MARK in os.environ else MARK.encode()
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and mark in of(int(pid), "environ")]


def processes() -> set[int]:
    """Those of Sheaf's that came of these tests and live: heads, nodes, what forks their workers, and workers."""
    return {pid for pid in everything() if b"\0from sheaf." in of(pid, "cmdline")}


def of(pid: int, what: str) -> bytes:
    """Nothing of one that ended."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""


def eventually(value: Callable[[], Any], expected: Any, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while (found := value()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == expected
