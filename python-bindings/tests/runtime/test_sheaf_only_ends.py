"""What Ray has not, or not so: nothing is left of a killed driver, forks are refused, the store spills and forgets."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sheaf as ray
from sheaf._runtime import process

from . import processes

pytestmark = [pytest.mark.timeout(90), pytest.mark.usefixtures("nothing_left", "no_runtime")]

KILLED_SECONDS = 2
MEGABYTE = 1_000_000
STORE_BYTES = 128 * MEGABYTE


@ray.remote
def echo(value: Any) -> Any:
    return value


BUSY_DRIVER = """
import os, pathlib, sys, threading, time
import numpy as np
import sheaf as ray

folder = pathlib.Path(sys.argv[1])
ray.init(num_cpus=2, spill_dir=folder / "spill", object_store_memory=64_000_000)
kept = [ray.put(np.zeros(1_000_000)) for _ in range(12)]

@ray.remote
def stubborn():
    try:
        (folder / f"worker {os.getpid()}").touch()
        while True:
            time.sleep(60)
    finally:
        threading.Event().wait()

@ray.remote
class Actor:
    def __init__(self):
        (folder / f"worker {os.getpid()}").touch()

actor = Actor.remote()
refs = [stubborn.remote() for _ in range(10)]
sys.stdin.read()
"""


def test_nothing_is_left_of_a_killed_driver(tmp_path: Path) -> None:
    with processes.started_driver(BUSY_DRIVER, tmp_path) as child:
        assert processes.becomes_true(lambda: len(list(tmp_path.glob("worker *"))) == 3, 30)
        workers = {int(file.name.split()[1]) for file in tmp_path.glob("worker *")}
        below = {process.pid for process in processes.descendants(child.pid)}
        # The workers, and the process that they were forked from.
        assert below > workers
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=10)
        assert processes.becomes_true(lambda: not processes.running(below), KILLED_SECONDS)


def test_a_fork_cannot_use_the_runtime_and_does_not_harm_it() -> None:
    code = """
import os
import sheaf as ray
ray.init(num_cpus=2)
ref = ray.put("kept")
actions = [lambda: ray.get(ref), lambda: ray.put(1), lambda: ray.remote(lambda: 1).remote(), lambda: ray.init()]
for action in actions:
    if os.fork() == 0:
        try:
            action()
        except RuntimeError as error:
            print("refused:", error, flush=True)
        # It ends like a program: with what is registered for the end.
        raise SystemExit
    os.wait()
print(ray.get(ref), ray.get(ray.remote(lambda: 2).remote(), timeout=30))
"""
    done = processes.run_driver(code)
    assert done.returncode == 0, done.stderr
    *refused, last = done.stdout.splitlines()
    assert sum("refused:" in line and "fork" in line for line in refused) == 4, done.stdout
    assert last == "kept 2"


def test_repeated_lines_are_folded() -> None:
    code = """
import sheaf as ray
ray.init(num_cpus=2)

@ray.remote
class Speaker:
    def say(self, number):
        print(f"speaker {number} is ready")

speakers = [Speaker.remote() for _ in range(5)]
ray.get([speaker.say.remote(number) for number, speaker in enumerate(speakers)])
ray.shutdown()
print("done")
"""
    done = processes.run_driver(code)
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stdout
    assert lines[0].startswith("(Speaker pid=")
    assert "[repeated 4x" in lines[1]
    assert lines[2] == "done"


def test_the_last_words_of_workers_are_printed_before_the_end() -> None:
    code = """
import sheaf as ray
ray.init(num_cpus=2)
ray.get(ray.remote(lambda: print(*range(5_000), sep="\\n")).remote())
"""
    done = processes.run_driver(code)
    assert len(done.stdout.splitlines()) == 5_000, done.stderr


def test_objects_without_references_are_forgotten(tmp_path: Path) -> None:
    ray.init(num_cpus=2, object_store_memory=STORE_BYTES, spill_dir=tmp_path)
    for number in range(30):
        value = ray.get(echo.remote(ray.put(np.full(2 * MEGABYTE, number))))
        assert value[-1] == number
        del value
    assert spilled() == 0


def test_what_the_store_cannot_hold_is_spilled_and_comes_back(tmp_path: Path) -> None:
    ray.init(num_cpus=2, object_store_memory=STORE_BYTES, spill_dir=tmp_path)
    refs = [ray.put(np.full(2 * MEGABYTE, number)) for number in range(20)]
    assert processes.becomes_true(lambda: spilled() > STORE_BYTES, 10)
    for number in reversed(range(20)):
        assert set(ray.get(refs[number])[::100_000]) == {number}
    of_tasks = [echo.remote(ref) for ref in refs]
    assert [int(ray.get(ref)[0]) for ref in of_tasks] == list(range(20))
    refs.clear()
    of_tasks.clear()
    assert processes.becomes_true(lambda: spilled() == 0, 10)


def test_an_object_larger_than_the_store_is_refused(tmp_path: Path) -> None:
    ray.init(num_cpus=2, object_store_memory=STORE_BYTES, spill_dir=tmp_path)
    kept = ray.put(np.zeros(MEGABYTE))
    with pytest.raises(ray.exceptions.ObjectStoreFullError):
        ray.put(np.zeros(STORE_BYTES // 4))
    assert ray.get(kept).sum() == 0


def spilled() -> int:
    """Bytes of objects on disk."""
    return sum(size for _, size, place, _ in process.client().objects() if place == "spilled")


def test_references_of_an_earlier_runtime() -> None:
    ray.init(num_cpus=2)
    old = ray.put(np.zeros(MEGABYTE))
    value = ray.get(old)
    ray.shutdown()
    ray.init(num_cpus=2)
    with pytest.raises((ray.SheafError, RuntimeError, ValueError)) as raised:
        ray.get(old, timeout=5)
    assert not isinstance(raised.value, ray.exceptions.GetTimeoutError)
    # What was read is the reader's for as long as it likes.
    assert value.sum() == 0
    del old, value
    assert ray.get(echo.remote(os.getpid()), timeout=30) == os.getpid()


def test_a_thread_that_waits_when_the_driver_ends_says_nothing() -> None:
    ended = processes.run_driver("""
import threading, time
import sheaf

waiting = sheaf.remote(time.sleep).remote(60)
stands, goes_on = threading.Event(), sheaf.remote(lambda: 1)

def wait():
    stands.set()
    sheaf.get(waiting)

def ask_on():
    while True:
        sheaf.get(goes_on.remote())

for work in (wait, ask_on):
    threading.Thread(target=work, daemon=True).start()
stands.wait()
time.sleep(0.3)
print("over")
""")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "over\n", "")


def test_what_waits_for_a_pool_starts_no_runtime_after_the_end_of_its_own() -> None:
    code = """
import threading, time
import sheaf
from sheaf.util.multiprocessing import Pool
sheaf.init(num_cpus=1)
pool = Pool(1)
result = pool.apply_async(time.sleep, (60,), callback=print, error_callback=print)
time.sleep(0.5)
sheaf.shutdown()
until = time.monotonic() + 10
while any(thread.name == "sheaf-pool-callback" for thread in threading.enumerate()) and time.monotonic() < until:
    time.sleep(0.05)
print(sheaf.is_initialized(), [thread.name for thread in threading.enumerate() if "sheaf" in thread.name])
"""
    done = processes.run_driver(code)
    assert done.stdout == "False []\n", done.stdout + done.stderr
