"""A program is handed to a cluster, which runs it, with its folder, and keeps what it printed."""

import tempfile
import time
from pathlib import Path

import sheaf as ray
from sheaf.job_submission import JobStatus, JobSubmissionClient

PROGRAM = """
import os
import greeting
import sheaf as ray

ray.init(log_to_driver=False, logging_level="ERROR")

@ray.remote
def greet(name):
    return f"{greeting.WORD}, {name}{os.environ['MARK']}"

for line in ray.get([greet.remote(name) for name in ("Ada", "Grace")]):
    print(line)
"""


def wait(client: JobSubmissionClient, job: str) -> JobStatus:
    """How a job ends, within a minute."""
    deadline = time.monotonic() + 60
    while not (status := client.get_job_status(job)).is_terminal():
        assert time.monotonic() < deadline, client.get_job_info(job)
        time.sleep(0.05)
    return status


def main() -> None:
    context = ray.init(num_cpus=2, include_dashboard=True, log_to_driver=False)
    client = JobSubmissionClient(f"http://{context.dashboard_url}")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "greeting.py").write_text("WORD = 'Hello'\n")
        (Path(folder) / "program.py").write_text(PROGRAM)
        job = client.submit_job(
            entrypoint="python program.py",
            runtime_env={"working_dir": folder, "env_vars": {"MARK": "!"}},
            metadata={"team": "greeters"},
        )
        print("it ends:", wait(client, job))
        print(*[line for line in client.get_job_logs(job).splitlines() if line.startswith("Hello")], sep="\n")
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
