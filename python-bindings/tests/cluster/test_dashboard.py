"""A driver whose own runtime listens: jobs, other drivers and nodes come to it, and it is gone with the driver."""

import json
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from runtime.processes import becomes_true, descendants, run_driver, started_driver

import sheaf as ray
from sheaf.job_submission import JobStatus, JobSubmissionClient

from .nodes import GONE_SECONDS, Member, all_pids, eventually, sheaf

pytestmark = pytest.mark.timeout(60)

SECONDS = 30


@pytest.fixture
def place() -> Iterator[str]:
    """Where the runtime of this process listens."""
    ray.shutdown()
    context = ray.init(num_cpus=2, include_dashboard=True)
    assert context.address_info["address"] == f"sheaf://{context.dashboard_url}"
    assert context.address_info["webui_url"] == context.dashboard_url
    yield context.dashboard_url
    ray.shutdown()


def listens(place: str) -> bool:
    host, _, port = place.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_jobs_are_submitted_to_it(place: str, tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("WORD = 'hello'\n")
    code = "import sheaf, words; print(sheaf.get(sheaf.remote(lambda: words.WORD).remote()))"
    client = JobSubmissionClient(f"http://{place}")
    job = client.submit_job(entrypoint=f'python -c "{code}"', runtime_env={"working_dir": str(tmp_path)})
    eventually(lambda: client.get_job_status(job), JobStatus.SUCCEEDED, SECONDS)
    assert client.get_job_logs(job) == "hello\n"


def test_its_own_tasks_have_the_folders_they_ask_for(place: str, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("here")
    read = ray.remote(lambda: Path("file.txt").read_text())
    assert ray.get(read.options(runtime_env={"working_dir": str(tmp_path)}).remote(), timeout=SECONDS) == "here"


def test_the_command_line_sees_it(place: str) -> None:
    done = sheaf("nodes", "--address", place, "--format", "json")
    assert [json.loads(line)["address"] for line in done.stdout.splitlines()] == [f"http://{place}"], done.stderr


def test_drivers_and_nodes_join_it(place: str, tmp_path: Path) -> None:
    code = "import sheaf, sys; sheaf.init(sys.argv[1]); print(sheaf.get(sheaf.remote(lambda: 6 * 7).remote()))"
    assert run_driver(code, f"sheaf://{place}").stdout == "42\n"
    command = [sys.executable, "-c", "from sheaf._cli import main; main()", "node", "--head", place]
    node = Member([*command, "--num-cpus", "1", "--resources", '{"there": 1}'], tmp_path / "node", {})
    try:
        ones = ray.remote(resources={"there": 1})(lambda: np.ones(1_000_000))
        assert ray.get(ones.remote(), timeout=SECONDS).sum() == 1_000_000
    finally:
        node.end()


def test_all_of_it_ends_with_the_shutdown() -> None:
    ray.shutdown()
    place = ray.init(num_cpus=1, include_dashboard=True).dashboard_url
    client = JobSubmissionClient(f"http://{place}")
    job = client.submit_job(entrypoint="sleep 600")
    eventually(lambda: client.get_job_status(job), JobStatus.RUNNING, SECONDS)
    processes = {process.pid for process in descendants()}
    ray.shutdown()
    assert becomes_true(lambda: not processes & all_pids(), GONE_SECONDS)
    assert not listens(place)


def test_all_of_it_ends_with_the_driver() -> None:
    code = """
import time
import sheaf
from sheaf.job_submission import JobStatus, JobSubmissionClient
client = JobSubmissionClient(sheaf.init(num_cpus=1, include_dashboard=True).dashboard_url)
job = client.submit_job(entrypoint="sleep 600")
while client.get_job_status(job) != JobStatus.RUNNING:
    time.sleep(0.05)
print("runs", flush=True)
time.sleep(600)
"""
    with started_driver(code) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "runs\n"
        processes = {process.pid for process in descendants(driver.pid)}
        driver.send_signal(signal.SIGKILL)
        assert becomes_true(lambda: not processes & all_pids(), GONE_SECONDS)


def test_a_port_can_be_chosen_and_strangers_are_kept_out(tmp_path: Path) -> None:
    ray.shutdown()
    with pytest.raises(ValueError, match=r"reached from other machines.*token"):
        ray.init(include_dashboard=True, dashboard_host="0.0.0.0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="cannot listen"):
            ray.init(include_dashboard=True, dashboard_port=taken.getsockname()[1])
        port = taken.getsockname()[1]
    token = tmp_path / "token"
    token.write_text("a secret of the tests, long enough\n")
    with ray.init(num_cpus=1, include_dashboard=True, dashboard_port=port, token_file=token) as context:
        assert context.dashboard_url == f"127.0.0.1:{port}"
        with pytest.raises(RuntimeError, match="token"):
            JobSubmissionClient(context.dashboard_url).list_jobs()
        assert JobSubmissionClient(context.dashboard_url, token_file=token).list_jobs() == []


def test_without_it_nothing_listens() -> None:
    def listening() -> set[tuple[str, int]]:
        found = [each for each in psutil.Process().net_connections() if each.status == psutil.CONN_LISTEN]
        return {tuple(each.laddr) for each in found if each.family in (socket.AF_INET, socket.AF_INET6)}

    ray.shutdown()
    before = listening()
    with ray.init(num_cpus=1) as context:
        assert context.dashboard_url == ""
        assert listening() <= before
