"""Jobs under Ray's path, ``ray.job_submission``: programs that the head of a cluster runs, over HTTP.

A job goes on when who submitted it is gone. Its entry point runs on the head's machine, and its ``sheaf.init()`` joins
the cluster.

>>> from sheaf.job_submission import JobStatus
>>> JobStatus.FAILED.is_terminal()
True
"""

from __future__ import annotations

import asyncio
import enum
import http.client
import json
import math
import os
import time
import urllib.parse
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sheaf._runtime.environment.head import Head

__all__ = ["DriverInfo", "JobDetails", "JobInfo", "JobStatus", "JobSubmissionClient", "JobSubmissionError", "JobType"]

_DEFAULT_PLACE = "127.0.0.1:7070"
# How long the head waits for something to be printed before it answers.
_WAIT_SECONDS = 10
# How long a head is asked again that does not answer who follows a log, and how often.
_PATIENCE_SECONDS, _PAUSE_SECONDS = 30.0, 0.5


class JobStatus(enum.StrEnum):
    """Where a job is."""

    PENDING = "PENDING"
    """It waits for others, or its environment is set up."""
    RUNNING = "RUNNING"
    """Its entry point runs."""
    STOPPED = "STOPPED"
    """It was stopped."""
    SUCCEEDED = "SUCCEEDED"
    """Its entry point ended with exit code 0."""
    FAILED = "FAILED"
    """It ended otherwise; the message says how."""

    def is_terminal(self) -> bool:
        """Whether nothing more will happen to it."""
        return self in {JobStatus.STOPPED, JobStatus.SUCCEEDED, JobStatus.FAILED}


class JobType(enum.StrEnum):
    """How a job came about. Here all of them were submitted."""

    SUBMISSION = "SUBMISSION"
    DRIVER = "DRIVER"


@dataclass
class DriverInfo:
    """The driver of a job, as Ray tells it. Here it is not told."""

    id: str
    node_ip_address: str
    pid: str


@dataclass
class JobDetails:
    """A job: what was asked for, and what came of it. Times are milliseconds since 1970-01-01 UTC."""

    type: JobType
    submission_id: str
    status: JobStatus
    entrypoint: str
    message: str | None = None
    error_type: str | None = None
    start_time: int | None = None
    """When it was submitted."""
    end_time: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    runtime_env: dict[str, Any] = field(default_factory=dict)
    job_id: str | None = None
    driver_info: DriverInfo | None = None
    driver_agent_http_address: str | None = None
    driver_node_id: str | None = None
    driver_exit_code: int | None = None
    entrypoint_resources: dict[str, float] = field(default_factory=dict)
    """What it holds of the head's machine while it runs, among the other entry points."""

    @classmethod
    def _of(cls, told: Mapping[str, Any]) -> JobDetails:
        known = {name: told[name] for name in cls.__dataclass_fields__ if name in told}
        return cls(**{**known, "type": JobType(told["type"]), "status": JobStatus(told["status"])})


# Ray's older name.
JobInfo = JobDetails


class JobSubmissionError(RuntimeError):
    """What the head answers to a request that it refuses."""

    def __init__(self, status: int, kind: str, message: str, hint: str | None = None) -> None:
        super().__init__(message + (f"\n  help: {hint}" if hint else ""))
        self.status = status
        """Of HTTP, such as 404."""
        self.kind = kind
        """Such as ``"not found"``."""
        self.hint = hint


class JobSubmissionClient:
    """Submits jobs to the head of a cluster, and looks after them.

    Requests that the head refuses raise ``JobSubmissionError``, a ``RuntimeError``; a head that does not answer,
    ``ConnectionError``.

    Args:
        address: Of the head: ``"sheaf://host:port"``, ``"http://host:port"`` or ``"host:port"``. By default what
            ``SHEAF_ADDRESS`` says, else ``127.0.0.1:7070``.
        create_cluster_if_needed: Ray's; a cluster has to be there.
        cookies: To be sent along.
        metadata: For all jobs; that of a job comes over it.
        headers: To be sent along.
        verify: Ray's; certificates are always looked at.
        token_file: The file whose first line is the secret of the cluster; by default what ``SHEAF_TOKEN_FILE`` says.
        tls: PEM files: the certificate that is shown to the head, its key, and the authority of the head's; by default
            what ``SHEAF_TLS_CERT``, ``SHEAF_TLS_KEY`` and ``SHEAF_TLS_CA`` say.

    >>> from sheaf.job_submission import JobSubmissionClient
    >>> JobSubmissionClient("sheaf://127.0.0.1:1").list_jobs()
    Traceback (most recent call last):
    ConnectionError: the head at 127.0.0.1:1 does not answer: [Errno 111] Connection refused
    """

    def __init__(
        self,
        address: str | None = None,
        create_cluster_if_needed: bool = False,
        cookies: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        verify: str | bool | None = True,
        *,
        token_file: str | os.PathLike[str] | None = None,
        tls: Sequence[str | os.PathLike[str]] | None = None,
    ) -> None:
        if address in (None, "auto"):
            address = os.environ.get("SHEAF_ADDRESS", _DEFAULT_PLACE)
        self._head = _head(address or _DEFAULT_PLACE, token_file, tls)
        self._metadata = dict(metadata or {})
        self._headers = dict(headers or {})
        if cookies:
            self._headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())

    def get_version(self) -> str:
        """The version of the head."""
        return str(self._ask("GET", "/api/version")["version"])

    def submit_job(
        self,
        *,
        entrypoint: str,
        job_id: str | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
        submission_id: str | None = None,
        entrypoint_num_cpus: float | None = None,
        entrypoint_num_gpus: float | None = None,
        entrypoint_memory: float | None = None,
        entrypoint_resources: Mapping[str, float] | None = None,
        entrypoint_label_selector: Mapping[str, str] | None = None,
    ) -> str:
        """Let the head run a program, and return the name of the job.

        Args:
            entrypoint: The command, as a shell reads it.
            job_id: An old name of ``submission_id``.
            runtime_env: The environment of the entry point and, by default, of all that it runs on the cluster. A
                ``working_dir`` on this machine is sent along, and is where the entry point runs.
            metadata: Words of your own.
            submission_id: What the job is to be called: letters, digits, ``_``, ``-`` and ``.``; by default a new name.
            entrypoint_num_cpus: CPUs that the entry point holds while it runs. The head's machine shares what it has
                among entry points; tasks and actors are not counted.
            entrypoint_num_gpus: GPUs, likewise.
            entrypoint_memory: Bytes of memory, likewise.
            entrypoint_resources: Other resources, likewise.
            entrypoint_label_selector: Ray's; entry points run on the head's machine.
        """
        if entrypoint_label_selector:
            raise ValueError(
                f"entrypoint_label_selector {dict(entrypoint_label_selector)!r} cannot be met: entry points run on the "
                "head's machine\n  help: choose nodes for tasks and actors, by label_selector or scheduling_strategy"
            )
        asked: dict[str, Any] = {
            "entrypoint": entrypoint,
            "submission_id": submission_id or job_id,
            "metadata": {**self._metadata, **(metadata or {})},
            "entrypoint_num_cpus": entrypoint_num_cpus,
            "entrypoint_num_gpus": entrypoint_num_gpus,
            "entrypoint_memory": entrypoint_memory,
            "entrypoint_resources": None if entrypoint_resources is None else dict(entrypoint_resources),
        }
        if runtime_env:
            from sheaf._runtime import entrypoint as entry

            asked["runtime_env"] = entry.packed(runtime_env, self._head)
        return str(self._ask("POST", "/api/jobs/", asked)["submission_id"])

    def get_job_status(self, job_id: str) -> JobStatus:
        """Where a job is."""
        return self.get_job_info(job_id).status

    def get_job_info(self, job_id: str) -> JobDetails:
        """What is known of a job."""
        return JobDetails._of(self._ask("GET", _path(job_id)))

    def list_jobs(self) -> list[JobDetails]:
        """The jobs that there are and were, in the order in which they came; of those that are over the last ones."""
        return [JobDetails._of(told) for told in self._ask("GET", "/api/jobs/")]

    def get_job_logs(self, job_id: str) -> str:
        """What a job has printed so far."""
        parts, offset = [], 0
        while (told := self._logs(job_id, offset))["logs"]:
            parts.append(told["logs"])
            offset = told["next"]
        return "".join(parts)

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        """What a job prints, from its beginning until it is over, as it comes.

        A connection that breaks is made again, and goes on where it was: a head that starts again has the logs.
        """
        offset, given_up = 0, math.inf
        while True:
            try:
                told = await asyncio.to_thread(self._logs, job_id, offset, _WAIT_SECONDS)
            except ConnectionError:
                given_up = min(given_up, time.monotonic() + _PATIENCE_SECONDS)
                if time.monotonic() >= given_up:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            given_up = math.inf
            if told["logs"]:
                yield told["logs"]
            offset = told["next"]
            if told["is_over"]:
                return

    def stop_job(self, job_id: str) -> bool:
        """Let a job end: its processes are asked to, and killed three seconds later. Says whether it was not over."""
        return bool(self._ask("POST", _path(job_id, "/stop"))["stopped"])

    def delete_job(self, job_id: str) -> bool:
        """Forget a job that is over, and its log."""
        return bool(self._ask("DELETE", _path(job_id))["deleted"])

    def get_address(self) -> str:
        """Where the head is."""
        return f"{'http' if self._head.tls is None else 'https'}://{self._head.place}"

    def _logs(self, job_id: str, offset: int, wait: int = 0) -> Any:
        return self._ask("GET", _path(job_id, f"/logs?offset={offset}&wait={wait}"))

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        headers = {"Content-Type": "application/json", **self._headers, **self._head.credentials()}
        text = None if body is None else json.dumps(body)
        connection = self._head.connection()
        try:
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            told = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionError(f"the head at {self._head.place} does not answer: {error}") from error
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise _refused(answer.status, answer.reason, told)
        return json.loads(told)


def _head(
    address: str, token_file: str | os.PathLike[str] | None, tls: Sequence[str | os.PathLike[str]] | None
) -> Head:
    from sheaf._access import certificates_of, file_of
    from sheaf._runtime.environment.head import Head

    place = address.rsplit("://", 1)[-1].rstrip("/")
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{address!r} is no address of a head\n  help: write its host and port: sheaf://host:7070")
    return Head.at(place, file_of(token_file, "SHEAF_TOKEN_FILE"), certificates_of(tls))


def _path(job_id: str, rest: str = "") -> str:
    return f"/api/jobs/{urllib.parse.quote(job_id, safe='')}{rest}"


def _refused(status: int, reason: str, told: bytes) -> JobSubmissionError:
    try:
        error = json.loads(told)["error"]
        return JobSubmissionError(status, error["kind"], error["message"], error.get("hint"))
    except (ValueError, KeyError, TypeError):
        return JobSubmissionError(status, reason, f"the head answers {status} {reason}: {told[:200]!r}")
