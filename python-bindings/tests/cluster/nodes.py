"""Clusters on this machine: a head and nodes as processes, what is done to them, and that nothing is left of them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runtime.processes import becomes_true

from sheaf import shutdown

# As users would, without knowing where the script was installed.
SHEAF = [sys.executable, "-c", "import sys; from sheaf._cli import main; sys.exit(main())"]
# In the environment of all that a cluster starts, and inherited by what these start.
MARK = "SHEAF_TEST_CLUSTER"

LIMIT_SECONDS = 60
START_SECONDS = 20
END_SECONDS = 10
GONE_SECONDS = 5


class Member:
    """The process of one node."""

    def __init__(self, command: list[str], folder: Path, env: dict[str, str]) -> None:
        folder.mkdir()
        # Objects that do not fit into memory go there, and whatever else is temporary.
        self.spill, self._output, self._errors = folder / "spill", folder / "stdout", folder / "stderr"
        self.spill.mkdir()
        # As on machines of their own: what one unpacks the others do not see.
        self.cache = folder / "cache"
        self._command, self._env = command, {**env, "TMPDIR": str(self.spill), "XDG_CACHE_HOME": str(self.cache)}
        self.start()

    def start(self) -> None:
        """Start it, or, after its end, the same once more; what it wrote before is forgotten."""
        with self._output.open("w") as output, self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=self._env
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self) -> str:
        """What it wrote to standard error so far."""
        return self._errors.read_text()

    def await_place(self) -> str:
        """Its host and port, once it listens there."""

        def is_up() -> bool:
            return "\n" in self._output.read_text() or self.process.poll() is not None

        becomes_true(is_up, START_SECONDS)
        line = self._output.read_text().partition("\n")[0]
        assert "runs at" in line, f"it does not run: {line!r}\n{self.said()}"
        return line.rsplit("/", 1)[1]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that is to stop it has done so."""
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            # It runs on until the kernel comes to it.
            assert becomes_true(lambda: all(state_of(thread) == "T" for thread in threads_of(self.pid)), END_SECONDS)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait(END_SECONDS)

    def end(self) -> int:
        """Ask it to end, and its exit status."""
        self.process.terminate()
        return self.process.wait(END_SECONDS)


class Cluster:
    """A head and any number of nodes, of which nothing may be left after ``stop``."""

    def __init__(self, folder: Path, *, inside: Sequence[str] = (), token_file: Path | None = None) -> None:
        """``inside``: what runs the commands that are to be where the head is."""
        folder.mkdir(parents=True, exist_ok=True)
        self._inside = list(inside)
        self._token = [] if token_file is None else ["--token-file", str(token_file)]
        self._folder = folder
        self._mark = uuid.uuid4().hex
        self.members: list[Member] = []
        self._places: dict[Member, str] = {}

    def add(self, *flags: object, wait: bool = True, inside: Sequence[str] | None = None, **named: object) -> Member:
        """Start a node; the first one is the head. ``num_cpus=1`` stands for ``--num-cpus 1``, a dict for its JSON."""
        role = ["node", "--head", self.place] if self.members else ["head", "--port", str(named.pop("port", 0))]
        for name, value in named.items():
            role += [f"--{name.replace('_', '-')}", json.dumps(value) if isinstance(value, dict) else str(value)]
        role += [*self._token, *map(str, flags)]
        inside = self._inside if inside is None else inside
        member = Member([*inside, *SHEAF, *role], self._folder / f"node {len(self.members)}", self.env)
        self.members.append(member)
        self._places[member] = member.await_place()
        if wait:
            assert becomes_true(lambda: self.place_of(member) in self.nodes(), START_SECONDS), member.said()
        return member

    def restart(self, member: Member) -> None:
        """Start one that has ended once more, at a place of its own again."""
        member.start()
        self._places[member] = member.await_place()
        assert becomes_true(lambda: self.place_of(member) in self.nodes(), START_SECONDS), member.said()

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, MARK: self._mark}

    @property
    def place(self) -> str:
        """The head's host and port."""
        return self._places[self.members[0]]

    @property
    def address(self) -> str:
        return f"sheaf://{self.place}"

    def place_of(self, member: Member) -> str:
        return self._places[member]

    def name_of(self, member: Member) -> str:
        """The node's id, as the names of users' strategies have it."""
        return str(self.nodes()[self.place_of(member)]["node"]).removeprefix("node-").zfill(16)

    def nodes(self) -> dict[str, dict[str, str]]:
        """What the head says of the nodes that live, by host and port."""
        return {row["address"].rsplit("/", 1)[1]: row for row in self.rows("nodes")}

    def rows(self, what: str, *flags: str) -> list[dict[str, str]]:
        """What ``sheaf nodes``, ``workers`` or ``objects`` prints."""
        done = sheaf(what, "--address", self.place, "--format", "json", *self._token, *flags, inside=self._inside)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def objects(self, member: Member | None = None) -> list[int]:
        """The sizes of the objects in all stores, or in that of one node."""
        rows = self.rows("objects")
        there = [row for row in rows if member is None or row["node"].endswith(self.place_of(member))]
        return sorted(int(row["bytes"]) for row in there)

    def becomes_empty(self) -> None:
        """Assert that no task is left, nor anything of what tasks have made."""
        eventually(lambda: (self.rows("tasks"), self.objects()), ([], []))

    def run_driver(self, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """A program of its own, to its end; its first argument is the address."""
        command = [*self._inside, sys.executable, "-c", code, self.address, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False, env=self.env)

    @contextmanager
    def started_driver(self, code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
        """A program that runs beside the test, and is killed after it, or when it is overdue."""
        with self._run([*self._inside, sys.executable, "-c", code, self.address, *map(str, arguments)]) as child:
            yield child

    def interrupted(self, code: str, *arguments: object) -> str:
        """Press Ctrl-C in a program that has printed a line, and assert that its tasks stop at once; the line."""
        with self.started_driver(code, *arguments) as child:
            assert child.stdout is not None
            line = child.stdout.readline()
            child.send_signal(signal.SIGINT)
            stopped = time.monotonic()
            assert child.wait(LIMIT_SECONDS) != 0
            assert becomes_true(lambda: not self.rows("tasks"), LIMIT_SECONDS)
            assert time.monotonic() - stopped < GONE_SECONDS
        return line

    @contextmanager
    def started(self, arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
        """The same of a command of Sheaf's."""
        with self._run([*self._inside, *SHEAF, *arguments]) as child:
            yield child

    @contextmanager
    def _run(self, command: list[str]) -> Iterator[subprocess.Popen[str]]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, text=True, env=self.env, **pipes) as child:
            overdue = threading.Timer(LIMIT_SECONDS, child.kill)
            overdue.start()
            try:
                yield child
            finally:
                overdue.cancel()
                child.kill()

    def processes(self) -> set[int]:
        """All processes that came of this cluster and live."""
        mark = f"{MARK}={self._mark}".encode()
        return {pid for pid in all_pids() if mark in environment(pid)}

    def stop(self) -> None:
        """End all nodes, the head last, and check that they ended in time and left nothing."""
        overdue = []
        for member in reversed(self.members):
            if member.process.poll() is None:
                member.send(signal.SIGCONT)
                try:
                    member.end()
                except subprocess.TimeoutExpired:
                    overdue.append(member.pid)
                    member.kill()
        becomes_true(lambda: not self.processes(), GONE_SECONDS)
        left = {pid: command_of(pid) for pid in self.processes()}
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        files = [file for member in self.members for file in member.spill.iterdir()]
        assert (overdue, left, files) == ([], {}, []), (overdue, left, files)


@contextmanager
def driven(folder: Path, *cpus: int) -> Iterator[Cluster]:
    """A head for the driver, and nodes with so many CPUs; at the end this process has left it."""
    started = Cluster(folder)
    try:
        started.add(num_cpus=0)
        for count in cpus:
            started.add(num_cpus=count)
        yield started
    finally:
        shutdown()
        started.stop()


def sheaf(*arguments: object, inside: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """A command of Sheaf's, to its end."""
    command = [*inside, *SHEAF, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)


def eventually(value: Callable[[], Any], expected: Any, seconds: float = 10) -> None:
    """Assert that it becomes what is expected."""
    deadline = time.monotonic() + seconds
    while (found := value()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == expected, f"{found!r} has not become {expected!r} within {seconds} s"


def all_pids() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def threads_of(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").iterdir())


def state_of(thread: Path) -> str:
    """As the kernel calls it: ``T`` for one that is stopped."""
    return (thread / "stat").read_text().rpartition(")")[2].split()[0]


def environment(pid: int) -> bytes:
    """With which the process was started; nothing for one that ended, even where nobody has buried it."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
