"""SIGKILL in the middle of things: transfers, spills, calls. What was promised is kept, and nothing is left."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import psutil
import pytest
from runtime.processes import becomes_true, descendants

import sheaf as ray

from .nodes import Cluster, Member, eventually

pytestmark = pytest.mark.timeout(120)

SECONDS = 60
MEGABYTE = 1_000_000
A, B = {"resources": {"a": 0.01}}, {"resources": {"b": 0.01}}
STORE_BYTES = 64 * MEGABYTE
OBJECT_BYTES = 4 * MEGABYTE
# Together more than both stores hold.
COUNT = 40
SEED = 7


@ray.remote(max_retries=-1)
def filled(size: int, value: int) -> Any:
    return np.full(size, value, np.uint8)


@ray.remote(max_retries=-1)
def total(value: Any) -> int:
    return int(value.astype(int).sum())


@ray.remote(max_restarts=-1, max_task_retries=-1)
class Adder:
    def total(self, value: Any) -> int:
        return int(value.astype(int).sum())


def workers_of(member: Member) -> list[psutil.Process]:
    """What the node's only child has forked."""
    (zygote,) = psutil.Process(member.pid).children()
    return zygote.children()


def test_workers_are_killed_while_objects_are_spilled_and_sent(pair: Callable[..., Cluster]) -> None:
    cluster = pair(object_store_memory=STORE_BYTES)
    ray.init(cluster.address)
    ended = threading.Event()
    kills = 0

    def kill() -> None:
        nonlocal kills
        chosen = random.Random(SEED)
        while not ended.wait(chosen.uniform(0.1, 0.3)):
            workers = [worker for member in cluster.members for worker in workers_of(member)]
            if workers:
                with suppress(psutil.NoSuchProcess):
                    chosen.choice(workers).kill()
                    kills += 1

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        actors = [Adder.options(num_cpus=0, **where).remote() for where in (A, B)]
        # Made on one node and read on the other.
        made = [filled.options(**(A, B)[value % 2]).remote(OBJECT_BYTES, value) for value in range(COUNT)]
        sums = [total.options(**(B, A)[value % 2]).remote(ref) for value, ref in enumerate(made)]
        calls = [actors[value % 2].total.remote(ref) for value, ref in enumerate(made)]
        expected = [value * OBJECT_BYTES for value in range(COUNT)]
        assert ray.get(sums, timeout=SECONDS) == expected
        assert ray.get(calls, timeout=SECONDS) == expected
    finally:
        ended.set()
        killer.join()
    assert kills >= 3
    del made, sums, calls, actors
    eventually(cluster.objects, [], 20)
    whole = ray.cluster_resources()
    eventually(lambda: ray.available_resources() == whole, True, 20)


def test_a_node_is_killed_with_what_it_has_spilled(pair: Callable[..., Cluster]) -> None:
    cluster = pair(object_store_memory=STORE_BYTES)
    ray.init(cluster.address)
    made = [filled.options(**B).remote(OBJECT_BYTES, value) for value in range(24)]
    ray.wait(made, num_returns=24, timeout=SECONDS, fetch_local=False)
    held = cluster.objects(cluster.members[1])
    # More than its memory holds.
    assert sum(held) > STORE_BYTES
    lost = cluster.members[1]
    cluster.add(num_cpus=2, resources={"b": 2}, object_store_memory=STORE_BYTES)
    lost.kill()
    sums = [total.options(**A).remote(ref) for ref in made]
    assert ray.get(sums, timeout=SECONDS) == [value * OBJECT_BYTES for value in range(24)]
    assert list(lost.spill.iterdir()) == []


GREEDY = """
import pathlib, sys, threading
import numpy as np
import sheaf as ray

address = sys.argv[1]
ray.init(address)
A, B = {"resources": {"a": 0.01}}, {"resources": {"b": 0.01}}

@ray.remote
def filled(size, value):
    return np.full(size, value, np.uint8)

class Actor:
    def last(self, value):
        return int(value[-1])

actors = [ray.remote(Actor).options(num_cpus=0, **where).remote() for where in (A, B)]
refs = [filled.options(**(A, B)[value % 2]).remote(4_000_000, value) for value in range(60)]
calls = [actors[(value + 1) % 2].last.remote(ref) for value, ref in enumerate(refs)]
assert ray.get(calls[0]) == 0
print("ready", flush=True)
for ref in refs:
    ray.get(ref)
sys.stdin.read()
"""


@pytest.mark.parametrize("seconds", [0, 0.5])
def test_a_driver_is_killed_while_objects_are_spilled_and_sent(two: Cluster, seconds: float) -> None:
    with two.started_driver(GREEDY) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(seconds)
        child.kill()
        child.wait(10)
    eventually(two.objects, [], 20)
    # Nothing runs, or waits to run, for it any more.
    eventually(lambda: [row for row in two.rows("workers") if row["tasks"] != "0" or row["actor"]], [], 20)


HEADLESS = """
import os, pathlib, sys, time
import numpy as np
import sheaf as ray

address, folder, phase = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
ray.init(address)
B = {"resources": {"b": 0.01}}

@ray.remote
def sleep(seconds):
    (folder / f"task {os.getpid()}").touch()
    time.sleep(seconds)

@ray.remote
class Actor:
    def sleep(self, seconds):
        (folder / f"call {os.getpid()}").touch()
        time.sleep(seconds)

@ray.remote
def filled(size):
    return np.zeros(size, np.uint8)

if phase == "task":
    wanted = sleep.options(**B).remote(600)
elif phase == "call":
    actor = Actor.options(num_cpus=0, **B).remote()
    wanted = actor.sleep.remote(600)
else:
    wanted = filled.options(**B).remote(400_000_000)
    ray.wait([wanted], fetch_local=False)
    (folder / f"transfer {os.getpid()}").touch()
try:
    ray.get(wanted)
    print("got", flush=True)
except Exception as error:
    print(type(error).__name__, flush=True)
ray.shutdown()
"""


@pytest.mark.parametrize("phase", ["task", "call", "transfer"])
def test_nothing_hangs_and_nothing_is_left_when_the_head_is_killed(
    pair: Callable[..., Cluster], tmp_path_factory: pytest.TempPathFactory, phase: str
) -> None:
    folder = tmp_path_factory.mktemp("phase")
    cluster = pair()
    head, node = cluster.members
    with cluster.started_driver(HEADLESS, folder, phase) as child:
        assert becomes_true(lambda: any(folder.glob(f"{phase} *")), SECONDS)
        of_head = {process.pid for process in descendants(head.pid)}
        head.kill()
        # It is told by its own node's end, whatever it waits for.
        output, errors = child.communicate(timeout=SECONDS)
        assert child.returncode == 0, errors
        assert output.strip() != ""
    assert becomes_true(lambda: not of_head & cluster.processes(), 10)
    # The node waits for its head, and ends when it is asked to.
    assert node.process.poll() is None
    assert node.end() == 0
    assert becomes_true(lambda: not cluster.processes(), 10)
