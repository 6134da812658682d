"""Jobs: programs that the head runs, by ``JobSubmissionClient`` and by ``sheaf job``, and what is left of them."""

import asyncio
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runtime.processes import becomes_true

from sheaf.job_submission import JobDetails, JobStatus, JobSubmissionClient, JobType

from .nodes import LIMIT_SECONDS, SHEAF, Cluster, all_pids, eventually, sheaf

pytestmark = pytest.mark.timeout(60)

SECONDS = 40


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head of two CPUs, whose jobs the tests of this file share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        cluster = Cluster(tmp_path_factory.mktemp("home"))
        try:
            cluster.add(num_cpus=2)
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
def client(home: Cluster) -> JobSubmissionClient:
    return JobSubmissionClient(home.address)


def test_a_head_runs_as_many_jobs_at_once_as_it_is_told(cluster: Cluster, tmp_path: Path) -> None:
    cluster.add(num_cpus=2, max_concurrent_jobs=1)
    client, go = JobSubmissionClient(cluster.address), tmp_path / "go"
    code = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)"
    first, second = (client.submit_job(entrypoint=shlex.join(["python", "-c", code])) for _ in range(2))
    eventually(lambda: client.get_job_status(first), JobStatus.RUNNING, SECONDS)
    # It would run by then.
    time.sleep(3)
    assert client.get_job_status(second) == JobStatus.PENDING
    go.touch()
    for submitted in (first, second):
        eventually(lambda submitted=submitted: client.get_job_status(submitted), JobStatus.SUCCEEDED, SECONDS)
    refused = sheaf("head", "--port", "0", "--max-concurrent-jobs", "0")
    assert refused.returncode == 2
    assert "no job would ever run" in refused.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(code: str) -> str:
    """A command that runs this code."""
    return f"python -c '{code}'"


def job(*arguments: object, **named: Any) -> subprocess.CompletedProcess[str]:
    """A command ``sheaf job``, to its end."""
    command = [*SHEAF, "job", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False, **named)


def over(client: JobSubmissionClient, name: str) -> JobDetails:
    """What a job has come to."""
    assert becomes_true(lambda: client.get_job_status(name).is_terminal(), SECONDS), client.get_job_info(name)
    return client.get_job_info(name)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


JOINS = """
import os, sheaf
sheaf.init()
@sheaf.remote
def who():
    return os.environ.get("WORD"), os.environ.get("SHEAF_JOB_ID")
print(os.environ["SHEAF_JOB_ID"], os.environ.get("WORD"), sheaf.get(who.remote(), timeout=30))
"""


def test_a_program_joins_the_cluster_in_the_environment_of_its_job(client: JobSubmissionClient) -> None:
    name = client.submit_job(
        entrypoint=program(JOINS),
        submission_id="joins",
        runtime_env={"env_vars": {"WORD": "hello"}},
        metadata={"team": "a"},
    )
    assert name == "joins"
    told = over(client, name)
    assert told.status == JobStatus.SUCCEEDED, client.get_job_logs(name)
    assert (told.type, told.driver_exit_code, told.metadata) == (JobType.SUBMISSION, 0, {"team": "a"})
    assert told.runtime_env == {"env_vars": {"WORD": "hello"}}
    assert told.start_time is not None
    assert told.end_time is not None
    assert told.end_time >= told.start_time > 1_700_000_000_000
    # A task has the environment of its job, and is no job.
    assert client.get_job_logs(name) == "joins hello ('hello', None)\n"


def test_a_folder_goes_with_the_job_and_to_its_tasks(client: JobSubmissionClient, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("WORD = 'mine'\n")
    (tmp_path / "program.py").write_text("""
import os, sheaf, mine
sheaf.init()
@sheaf.remote
def word():
    import mine
    return mine.WORD, os.path.exists("program.py")
print(mine.WORD, sorted(os.listdir()), sheaf.get(word.remote(), timeout=30))
""")
    name = client.submit_job(entrypoint="python program.py", runtime_env={"working_dir": str(tmp_path)})
    told = over(client, name)
    lines = client.get_job_logs(name).splitlines()
    assert told.status == JobStatus.SUCCEEDED, lines
    assert lines == ["mine ['mine.py', 'program.py'] ('mine', True)"]
    assert told.runtime_env["working_dir"].startswith("package://")


def test_a_job_that_fails_says_how(client: JobSubmissionClient) -> None:
    name = client.submit_job(entrypoint=program('import sys; print("so it goes"); sys.exit(3)'))
    told = over(client, name)
    assert (told.status, told.driver_exit_code) == (JobStatus.FAILED, 3)
    assert told.message is not None
    assert "exit code 3" in told.message
    assert "so it goes" in told.message

    name = client.submit_job(entrypoint="kill -SEGV $$")
    told = over(client, name)
    assert (told.status, told.driver_exit_code) == (JobStatus.FAILED, None)
    assert "SIGSEGV" in (told.message or "")


def test_what_keeps_a_job_from_its_beginning_is_told(home: Cluster, client: JobSubmissionClient) -> None:
    # The client would refuse it.
    asked = {"entrypoint": "echo never", "submission_id": "never", "runtime_env": {"working_dir": "/no/such/folder"}}
    connection = http.client.HTTPConnection(home.place, timeout=SECONDS)
    connection.request("POST", "/api/jobs/", json.dumps(asked))
    assert connection.getresponse().status == http.client.OK
    told = over(client, "never")
    assert told.status == JobStatus.FAILED
    assert "could not begin" in (told.message or "")
    assert "/no/such/folder" in (told.message or "")
    assert client.get_job_logs("never") == ""


def test_what_cannot_be_is_refused_at_once(client: JobSubmissionClient) -> None:
    with pytest.raises(ValueError, match="no key 'env_var'"):
        client.submit_job(entrypoint="true", runtime_env={"env_var": {}})
    with pytest.raises(ValueError, match="label_selector"):
        client.submit_job(entrypoint="true", entrypoint_label_selector={"zone": "a"})
    with pytest.raises(RuntimeError, match="CPU 3"):
        client.submit_job(entrypoint="true", entrypoint_num_cpus=3)
    with pytest.raises(RuntimeError, match='no job "nobody"') as refused:
        client.get_job_status("nobody")
    assert getattr(refused.value, "status", None) == http.client.NOT_FOUND
    client.submit_job(entrypoint="true", submission_id="twice")
    with pytest.raises(RuntimeError, match="already"):
        client.submit_job(entrypoint="true", submission_id="twice")
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:1"):
        JobSubmissionClient("sheaf://127.0.0.1:1").get_version()
    with pytest.raises(ValueError, match="no address"):
        JobSubmissionClient("nonsense")


def test_logs_are_followed_to_the_end(client: JobSubmissionClient, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    name = client.submit_job(entrypoint=f"echo grün; while [ ! -e {gate} ]; do sleep 0.05; done; echo ende; exit 1")

    async def follow() -> list[str]:
        parts = []
        async for part in client.tail_job_logs(name):
            parts.append(part)
            # Only what was followed opens it.
            gate.touch()
        return parts

    assert asyncio.run(asyncio.wait_for(follow(), SECONDS)) == ["grün\n", "ende\n"]
    assert client.get_job_status(name) == JobStatus.FAILED


SLEEPS = """
import os, sys, time, sheaf
sheaf.init()
@sheaf.remote
def sleep():
    print("worker", os.getpid(), flush=True)
    time.sleep(600)
print("driver", os.getpid())
sheaf.get(sleep.remote())
"""


def test_a_stop_ends_the_driver_and_what_it_had_on_the_cluster(client: JobSubmissionClient) -> None:
    name = client.submit_job(entrypoint=program(SLEEPS))
    assert becomes_true(lambda: "worker" in client.get_job_logs(name), SECONDS), client.get_job_info(name)
    driver, worker = (int(line.split()[-1]) for line in client.get_job_logs(name).splitlines())
    assert client.get_job_status(name) == JobStatus.RUNNING
    assert lives(driver)
    assert lives(worker)
    with pytest.raises(RuntimeError, match="not over"):
        client.delete_job(name)
    assert client.stop_job(name)
    assert over(client, name).status == JobStatus.STOPPED
    assert becomes_true(lambda: not lives(driver) and not lives(worker), 5)
    assert not client.stop_job(name)
    assert client.delete_job(name)
    assert name not in [told.submission_id for told in client.list_jobs()]


def test_a_job_survives_who_submitted_it(home: Cluster, client: JobSubmissionClient, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    line = f"echo begun; while [ ! -e {gate} ]; do sleep 0.05; done; echo done"
    command = [*SHEAF, "job", "submit", "--address", home.place, "--submission-id", "orphan", "--", line]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as submitter:
        assert submitter.stdout is not None
        assert submitter.stdout.readline() == "begun\n"
        submitter.kill()
    assert client.get_job_status("orphan") == JobStatus.RUNNING
    gate.touch()
    assert over(client, "orphan").status == JobStatus.SUCCEEDED
    assert client.get_job_logs("orphan") == "begun\ndone\n"


def test_ctrl_c_leaves_the_job_running_and_says_so(home: Cluster, client: JobSubmissionClient) -> None:
    line = "echo begun; sleep 600"
    command = [*SHEAF, "job", "submit", "--address", home.place, "--submission-id", "goes-on", "--", line]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as submitter:
        assert submitter.stdout is not None
        assert submitter.stdout.readline() == "begun\n"
        submitter.send_signal(signal.SIGINT)
        _, errors = submitter.communicate(timeout=SECONDS)
    assert submitter.returncode == 130
    assert "goes on" in errors
    assert "sheaf job stop goes-on" in errors
    assert client.get_job_status("goes-on") == JobStatus.RUNNING
    done = job("stop", "goes-on", "--address", home.place)
    assert (done.returncode, done.stdout) == (0, "the job goes-on has ended: STOPPED\n"), done.stderr


def test_the_command_line_ends_as_the_job_does(home: Cluster, tmp_path: Path) -> None:
    address = ["--address", home.place]
    (tmp_path / "hello.py").write_text("import sys, os\nprint('hello', *sys.argv[1:], os.environ['A'])\n")
    submit = ["submit", *address, "--working-dir", tmp_path, "--runtime-env-json", '{"env_vars": {"A": "b c"}}']
    done = job(*submit, "--submission-id", "says", "--", "python", "hello.py", "it's me", "--python")
    assert (done.returncode, done.stdout) == (0, "hello it's me --python b c\n"), done.stderr
    done = job("submit", *address, "--submission-id", "fails", "--", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout) == (10, "out\nerr\n")
    assert "exit code 3" in done.stderr
    done = job("submit", *address, "--no-wait", "--submission-id", "later", "--", "true")
    assert done.returncode == 0
    assert "sheaf job logs -f later" in done.stdout
    eventually(lambda: "SUCCEEDED" in job("status", "later", *address).stdout, True, SECONDS)

    assert job("logs", "fails", *address).stdout == job("logs", "-f", "fails", *address).stdout == "out\nerr\n"
    rows = [json.loads(line) for line in job("list", *address, "--format", "json").stdout.splitlines()]
    [row] = [row for row in rows if row["job"] == "fails"]
    assert list(row)[:6] == ["job", "status", "entry point", "began", "ended", "exit code"]
    assert (row["status"], row["exit code"]) == ("FAILED", 3)
    assert "exit code 3" in job("status", "fails", *address, "--format", "csv").stdout
    assert job("delete", "fails", *address).returncode == 0
    done = job("logs", "fails", *address)
    assert done.returncode == 3
    assert "no job" in done.stderr
    done = job("submit", *address, "--working-dir", "/no/such/folder", "--", "true")
    assert done.returncode == 2
    assert "/no/such/folder" in done.stderr


def test_strangers_and_web_pages_submit_nothing(cluster: Cluster, tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("0123456789abcdef\n")
    wrong.write_text("0123456789abcdeF\n")
    cluster.add("--token-file", right, num_cpus=1, wait=False)
    for file in (wrong, None):
        with pytest.raises(RuntimeError, match="token") as refused:
            JobSubmissionClient(cluster.address, token_file=file).submit_job(entrypoint="true")
        assert getattr(refused.value, "status", None) == http.client.UNAUTHORIZED
        flags = ["--token-file", file] if file else []
        assert job("submit", "--address", cluster.place, *flags, "--", "true").returncode == 6
    client = JobSubmissionClient(cluster.address, token_file=right)
    assert client.list_jobs() == []
    # The token reaches the job, by the file that has it.
    code = "import sheaf; sheaf.init(); print(sheaf.get(sheaf.remote(lambda: 5).remote(), timeout=30))"
    name = client.submit_job(entrypoint=program(code))
    assert (over(client, name).status, client.get_job_logs(name)) == (JobStatus.SUCCEEDED, "5\n")

    headers = {"Authorization": "Bearer 0123456789abcdef", "Origin": "http://evil.example"}
    connection = http.client.HTTPConnection(cluster.place, timeout=SECONDS)
    connection.request("POST", "/api/jobs/", '{"entrypoint": "true"}', headers)
    assert connection.getresponse().status == http.client.FORBIDDEN
    assert len(client.list_jobs()) == 1


TREE = "sleep 600 & echo $!; sleep 601 & echo $!; echo $$; wait"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_jobs_when_the_head_ends(cluster: Cluster, number: signal.Signals) -> None:
    head = cluster.add(num_cpus=1, wait=False)
    client = JobSubmissionClient(cluster.address)
    names = [client.submit_job(entrypoint=line) for line in (TREE, "trap '' TERM; " + TREE)]
    assert becomes_true(lambda: all(client.get_job_logs(name).count("\n") == 3 for name in names), SECONDS)
    pids = {int(line) for name in names for line in client.get_job_logs(name).split()}
    assert pids <= all_pids()
    os.kill(head.pid, number)
    head.process.wait(SECONDS)
    assert becomes_true(lambda: not any(lives(pid) for pid in pids), 5)
    assert becomes_true(lambda: not cluster.processes(), SECONDS), cluster.processes()


def test_a_head_that_is_killed_and_starts_again_has_its_jobs(cluster: Cluster, tmp_path: Path) -> None:
    head = cluster.add("--state-dir", tmp_path / "state", port=free_port(), num_cpus=1, wait=False)
    client = JobSubmissionClient(cluster.address)
    holds = client.submit_job(entrypoint="echo begun; sleep 600", entrypoint_num_cpus=1)
    waits = client.submit_job(entrypoint="echo at last", entrypoint_num_cpus=1, metadata={"team": "a"})

    async def follow() -> str:
        parts = []
        async for part in client.tail_job_logs(holds):
            parts.append(part)
            if len(parts) == 1:
                assert client.get_job_status(holds) == JobStatus.RUNNING
                assert client.get_job_status(waits) == JobStatus.PENDING
                await asyncio.to_thread(head.kill)
                assert becomes_true(lambda: not cluster.processes(), SECONDS), cluster.processes()
                await asyncio.to_thread(head.start)
        return "".join(parts)

    # Who follows a job hears of its end from the next head.
    assert asyncio.run(asyncio.wait_for(follow(), SECONDS)) == "begun\n"
    told = client.get_job_info(holds)
    assert told.status == JobStatus.FAILED
    assert "the head ended while the job ran" in (told.message or "")
    assert client.get_job_logs(holds) == "begun\n"
    told = over(client, waits)
    assert (told.status, told.metadata, client.get_job_logs(waits)) == (JobStatus.SUCCEEDED, {"team": "a"}, "at last\n")
    assert client.delete_job(holds)
    assert [file.name for file in (tmp_path / "state" / "jobs").iterdir()] == [f"{waits}.log"]


def test_the_version_is_that_of_the_head(client: JobSubmissionClient) -> None:
    assert client.get_version() in sheaf("--version").stdout
