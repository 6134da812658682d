"""A program is handed to a cluster, which runs it when its author has gone home."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sheaf.job_submission import JobStatus, JobSubmissionClient

PROGRAM = """
import os
import greeting
import sheaf as ray

ray.init(log_to_driver=False)

@ray.remote
def greet(name):
    return f"{greeting.WORD}, {name}{os.environ['MARK']}"

for line in ray.get([greet.remote(name) for name in ("Ada", "Grace")]):
    print(line)
"""


@contextmanager
def cluster() -> Iterator[str]:
    """A head on this machine, unless the environment names one."""
    if address := os.environ.get("SHEAF_ADDRESS"):
        yield address
        return
    start = [sys.executable, "-c", "from sheaf._cli import main; main()", "head", "--port", "0", "--num-cpus", "2"]
    with subprocess.Popen(start, stdout=subprocess.PIPE, text=True) as head:
        try:
            assert head.stdout is not None
            yield head.stdout.readline().split()[-1]
        finally:
            head.send_signal(signal.SIGTERM)


def wait(client: JobSubmissionClient, job: str) -> JobStatus:
    """How a job ends, within a minute."""
    deadline = time.monotonic() + 60
    while not (status := client.get_job_status(job)).is_terminal():
        assert time.monotonic() < deadline, client.get_job_info(job)
        time.sleep(0.05)
    return status


def main() -> None:
    with cluster() as address, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "greeting.py").write_text("WORD = 'Hello'\n")
        (Path(folder) / "program.py").write_text(PROGRAM)
        client = JobSubmissionClient(address)
        job = client.submit_job(
            entrypoint="python program.py",
            runtime_env={"working_dir": folder, "env_vars": {"MARK": "!"}},
            metadata={"team": "greeters"},
        )
        print("it ends:", wait(client, job))
        print(client.get_job_logs(job), end="")
        print("of the team:", client.get_job_info(job).metadata["team"])

        job = client.submit_job(entrypoint="echo this one fails; exit 3")
        status = wait(client, job)
        print("it ends:", status, "with exit code", client.get_job_info(job).driver_exit_code)

        job = client.submit_job(entrypoint="sleep 600")
        while client.get_job_status(job) == JobStatus.PENDING:
            time.sleep(0.05)
        print("stopped:", client.stop_job(job), wait(client, job))


if __name__ == "__main__":
    main()
