"""The process that forks workers, spoken to as the node does, with a worker that only says what it sees."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

# In place of the worker's loop: tell of the process, and live as long as the socket.
ZYGOTE = """
import json, os, signal, socket, sys, threading
sys.path[:] = json.loads(sys.argv.pop(1))
from sheaf._runtime import worker, zygote

def main(fd):
    node = socket.socket(fileno=fd)
    print("out")
    print("err", file=sys.stderr)
    import random
    seen = {
        "files": sorted(os.readlink(f"/proc/self/fd/{each}").split(":")[0] for each in range(10)
                        if os.path.exists(f"/proc/self/fd/{each}")),
        "heavy": sorted({"numpy", "pandas", "pyarrow"} & set(sys.modules)),
        "threads": threading.active_count(),
        "random": random.random(),
        "value": os.environ.get("SHEAF_TEST"),
        "stdin": sys.stdin.read(),
    }
    node.sendall(json.dumps(seen).encode())
    node.recv(1)
    os._exit(3)

worker.main = main
zygote.main()
"""


class Node:
    def __init__(self):
        self.socket, there = socket.socketpair()
        command = [sys.executable, "-c", ZYGOTE, json.dumps(sys.path), str(there.fileno())]
        self.process = subprocess.Popen(command, pass_fds=[there.fileno()], stderr=subprocess.PIPE)
        there.close()
        self.socket.settimeout(20)
        self.lines = self.socket.makefile()
        self.workers = []

    def heard(self):
        return json.loads(self.lines.readline())

    def fork(self, number, env="", cut=None):
        here, there = socket.socketpair()
        here.settimeout(20)
        (out, to_out), (err, to_err) = os.pipe(), os.pipe()
        line = json.dumps({"fork": number, "env": env}).encode() + b"\n"
        socket.send_fds(self.socket, [line[:cut]], [there.fileno(), to_out, to_err])
        if cut is not None:
            time.sleep(0.05)
            self.socket.sendall(line[cut:])
        there.close()
        os.close(to_out)
        os.close(to_err)
        self.workers.append(here)
        return here, out, err


@pytest.fixture
def node():
    node = Node()
    yield node
    for each in (node.socket, node.lines, *node.workers):
        each.close()
    node.process.kill()
    node.process.wait()
    node.process.stderr.close()


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z"
    except OSError:
        return True


def until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_worker_has_its_files_and_nothing_else(node):
    worker, out, err = node.fork(7)
    assert node.heard()["forked"] == 7
    seen = json.loads(worker.recv(10_000))
    assert seen["files"] == ["/dev/null", "pipe", "pipe", "socket"]
    assert (seen["heavy"], seen["threads"], seen["stdin"]) == ([], 1, "")
    assert (os.read(out, 100), os.read(err, 100)) == (b"out\n", b"err\n")
    other = json.loads(node.fork(8, cut=5)[0].recv(10_000))
    assert other["random"] != seen["random"]


def test_the_end_of_a_worker_is_told(node):
    worker, *_ = node.fork(1)
    pid = node.heard()["pid"]
    assert worker.recv(10_000)
    worker.close()
    assert node.heard() == {"exited": pid, "status": 3 << 8}


def test_only_workers_are_killed(node):
    node.fork(1)
    pid = node.heard()["pid"]
    # Its number with the node, not that of its process.
    for each in (os.getpid(), pid, 1):
        node.socket.sendall(json.dumps({"kill": each}).encode() + b"\n")
    assert node.heard() == {"exited": pid, "status": int(signal.SIGKILL)}


def test_many_are_asked_for_before_any_is_heard_of(node):
    # More than fits into the buffers of the socket, both ways.
    count = 800
    for number in range(count):
        _, out, err = node.fork(number)
        for each in (out, err):
            os.close(each)
        node.workers.pop().close()
    pids = [heard["pid"] for heard in (node.heard() for _ in range(2 * count)) if "forked" in heard]
    assert len(set(pids)) == count


def test_an_environment_is_applied_or_the_worker_failed(node, tmp_path):
    worker, *_ = node.fork(1, json.dumps({"env_vars": {"SHEAF_TEST": "yes"}}))
    assert node.heard()["forked"] == 1
    assert json.loads(worker.recv(10_000))["value"] == "yes"
    node.fork(2, json.dumps({"working_dir": str(tmp_path / "gone")}))
    failed = node.heard()
    assert failed["failed"] == 2
    assert "gone" in failed["error"]
    # Its process ended, of which nothing is said.
    node.fork(3)
    assert node.heard()["forked"] == 3


def test_workers_end_with_the_node(node):
    for number in range(3):
        node.fork(number)
    pids = [node.heard()["pid"] for _ in range(3)]
    begun = time.monotonic()
    node.socket.shutdown(socket.SHUT_RDWR)
    assert node.process.wait(5) == 0
    assert time.monotonic() - begun < 1
    until(lambda: all(map(is_gone, pids)))
    assert node.process.stderr.read() == b""


def test_workers_end_with_a_zygote_that_is_killed(node):
    node.fork(1)
    pid = node.heard()["pid"]
    node.process.kill()
    until(lambda: is_gone(pid))
