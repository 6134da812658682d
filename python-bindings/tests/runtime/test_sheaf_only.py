"""What Ray has not, or not so: causes of a death, cancelling of sleeps, explanations, executors."""

import ctypes
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sheaf as ray
from sheaf.exceptions import GetTimeoutError, TaskCancelledError, WorkerCrashedError
from sheaf.util.executor import Executor

from . import processes

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]

WARNED_SECONDS = 5


@ray.remote
def echo(value: Any = None) -> Any:
    return value


@ray.remote
def sleep(seconds: float, started: Path | None = None) -> float:
    if started:
        started.touch()
    time.sleep(seconds)
    return seconds


def test_rays_names_are_aliases() -> None:
    assert ray.exceptions.RayError is ray.exceptions.SheafError is ray.SheafError
    assert ray.exceptions.RayTaskError is ray.exceptions.TaskError
    assert ray.exceptions.RayActorError is ray.exceptions.ActorError


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"SIGKILL|signal:? 9"),
        (lambda: ctypes.string_at(0), r"SIGSEGV|signal:? 11"),
        (lambda: os._exit(3), r"(code|status):? 3"),
        (lambda: sys.exit(4), r"(code|status):? 4"),
        (lambda: sys.exit("no more paper"), r"no more paper"),
    ],
    ids=["killed", "segmentation fault", "os._exit", "sys.exit", "sys.exit with a text"],
)
def test_a_crash_tells_its_cause_and_the_last_lines(end: Callable[[], None], told: str) -> None:
    @ray.remote(max_retries=0)
    def crash() -> None:
        for line in range(1_000):
            print("line", line, file=sys.stderr)
        print("said before the end", file=sys.stderr)
        end()

    with pytest.raises(WorkerCrashedError) as raised:
        ray.get(crash.remote())
    text = str(raised.value)
    assert "crash" in text
    assert re.search(told, text)
    assert "line 999" in text
    assert "said before the end" in text
    assert "line 5\n" not in text


@pytest.mark.parametrize("recursive", [True, False])
def test_cancel_ends_a_sleep(tmp_path: Path, recursive: bool) -> None:
    ref = sleep.remote(60, tmp_path / "sleeps")
    assert processes.becomes_true((tmp_path / "sleeps").exists, 20)
    start = time.monotonic()
    ray.cancel(ref, recursive=recursive)
    with pytest.raises(TaskCancelledError):
        ray.get(ref, timeout=10)
    assert time.monotonic() - start < 1
    assert ray.get(echo.remote(1), timeout=10) == 1


def test_cancel_of_threads_and_of_what_was_just_submitted() -> None:
    @ray.remote(max_concurrency=2)
    class Threaded:
        def loop(self) -> None:
            while True:
                time.sleep(0.01)

        def echo(self, value: int) -> int:
            return value

    threaded = Threaded.remote()
    looping = threaded.loop.remote()
    assert ray.get(threaded.echo.remote(1), timeout=30) == 1
    blockers = [sleep.remote(60) for _ in range(2)]
    refs = [looping, *blockers, (queued := echo.remote(1)), echo.remote(queued)]
    start = time.monotonic()
    for ref in refs[::-1]:
        ray.cancel(ref)
    for ref in refs:
        with pytest.raises(TaskCancelledError):
            ray.get(ref, timeout=10)
    assert time.monotonic() - start < 1
    assert ray.get(threaded.echo.remote(2), timeout=10) == 2


def test_wait_gives_the_first_of_the_list() -> None:
    refs = [ray.put(number) for number in range(5)]
    assert ray.wait(refs) == (refs[:1], refs[1:])
    assert ray.wait(refs[::-1], num_returns=2) == (refs[:2:-1], refs[2::-1])


def test_a_write_into_shared_memory_faults() -> None:
    @ray.remote(max_retries=0)
    def write(values: np.ndarray) -> int:
        return ctypes.memset(values.ctypes.data, 1, 1)

    ref = ray.put(np.zeros(1_000_000))
    with pytest.raises(WorkerCrashedError, match=r"SIGSEGV|signal:? 11"):
        ray.get(write.remote(ref))
    assert ray.get(ref).sum() == 0


def test_what_was_mutable_stays_mutable() -> None:
    back = ray.get(echo.remote(ray.put(bytearray(300_000))))
    assert type(back) is bytearray
    back[0] = 1


def test_explain_and_a_warning_say_what_nobody_has(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="sheaf"):
        ref = echo.options(resources={"unobtainium": 2}).remote()
        assert processes.becomes_true(lambda: "unobtainium" in caplog.text, WARNED_SECONDS)
    assert "echo" in caplog.text
    assert "unobtainium" in ray.explain(ref)
    with pytest.raises((GetTimeoutError, ray.exceptions.TaskUnschedulableError), match="unobtainium"):
        ray.get(ref, timeout=0.1)


def test_a_placement_group_that_finds_no_node_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="sheaf"):
        group = ray.util.placement_group([{"CPU": 1}, {"unobtainium": 3}], name="dreams")
        assert processes.becomes_true(lambda: "unobtainium 3" in caplog.text, WARNED_SECONDS)
        assert "dreams" in caplog.text
        other = ray.util.placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD")
        assert processes.becomes_true(lambda: "STRICT_SPREAD wants 2 nodes" in caplog.text, WARNED_SECONDS)
    assert "no node has unobtainium 3" in ray.explain(group.ready())
    assert "STRICT_SPREAD wants 2 nodes" in ray.explain(other.ready())
    with pytest.raises(GetTimeoutError, match="unobtainium 3") as raised:
        ray.get(group.ready(), timeout=0.1)
    assert isinstance(raised.value, ray.exceptions.TaskUnschedulableError)
    for each in (group, other):
        ray.util.remove_placement_group(each)


def test_explain_says_what_a_placement_group_waits_for() -> None:
    first, second = (ray.util.placement_group([{"CPU": 1.5}]) for _ in range(2))
    assert first.wait(30)
    told = ray.explain(second.ready())
    assert "no room now" in told
    assert "free are" in told
    assert "CPU 0.5" in told
    with pytest.raises(GetTimeoutError, match="no room now") as raised:
        ray.get(second.ready(), timeout=0.1)
    assert not isinstance(raised.value, ray.exceptions.TaskUnschedulableError), "it may be made some day"
    inside = {"placement_group": first, "num_cpus": 1}
    running = sleep.options(**inside).remote(60)
    queued = echo.options(**inside).remote()
    assert processes.becomes_true(lambda: "CPU 0.5 in bundle 0" in ray.explain(queued), 10)
    ray.cancel(running, force=True)
    for each in (first, second):
        ray.util.remove_placement_group(each)


def test_a_placement_group_ends_with_the_detached_actor_that_made_it() -> None:
    @ray.remote(num_cpus=0)
    class Landlord:
        def reserve(self, lifetime: str | None) -> Any:
            return ray.util.placement_group([{"CPU": 0.5}], lifetime=lifetime)

    landlord = Landlord.options(name="landlord", lifetime="detached").remote()
    group, detached = ray.get([landlord.reserve.remote(None), landlord.reserve.remote("detached")], timeout=30)
    assert group.wait(30)
    ray.kill(landlord)
    state = ray.util.placement_group_table
    assert processes.becomes_true(lambda: state(group)["state"] == "REMOVED", 10)
    assert state(detached)["state"] == "CREATED"
    ray.util.remove_placement_group(detached)


def test_explain_says_what_a_task_waits_for() -> None:
    running = [sleep.remote(60) for _ in range(2)]
    queued, dependent, done = echo.remote(), echo.remote(running[0]), ray.put(1)
    assert processes.becomes_true(lambda: ray.available_resources().get("CPU", 0) == 0, 10)
    told = [ray.explain(ref) for ref in (running[0], queued, dependent, done)]
    assert len(set(told)) == 4
    assert "CPU" in told[1]
    for ref in (dependent, queued, *running):
        ray.cancel(ref)
    assert processes.becomes_true(lambda: ray.available_resources().get("CPU") == 2, 10)


def test_interrupts_end_waits_of_the_driver_and_the_runtime_goes_on() -> None:
    ref = sleep.remote(60)
    for block in (lambda: ray.get(ref), lambda: ray.wait([ref]), lambda: ray.get([ref], timeout=30)):
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            block()
        assert time.monotonic() - start < 1.3
        timer.join()
    ray.cancel(ref)
    assert ray.get(echo.remote(1), timeout=10) == 1


def test_calls_behind_one_that_is_tried_again_keep_their_order(tmp_path: Path) -> None:
    @ray.remote(max_restarts=1, max_task_retries=1)
    class Mortal:
        def __init__(self) -> None:
            self.count = 0

        def die_once(self) -> None:
            if not (tmp_path / "died").exists():
                (tmp_path / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)

        def add(self) -> int:
            self.count += 1
            return self.count

    mortal = Mortal.remote()
    refs = [mortal.die_once.remote(), *[mortal.add.remote() for _ in range(20)]]
    assert ray.get(refs, timeout=30) == [None, *range(1, 21)]


def test_an_executor() -> None:
    with Executor(num_cpus=1) as executor:
        assert list(executor.map(pow, range(10), [2] * 10)) == [number**2 for number in range(10)]
        failed = executor.submit(int, "x")
        with pytest.raises(ValueError, match="invalid literal"):
            failed.result(timeout=30)
        running = [executor.submit(time.sleep, 0.2) for _ in range(3)]
        assert not wait(running, timeout=30).not_done
        assert executor.submit(int, "11", base=2).result(timeout=30) == 3
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(int)


def test_an_executor_is_asked_to_end() -> None:
    executor = Executor()
    futures = [executor.submit(time.sleep, 60) for _ in range(6)]
    start = time.monotonic()
    executor.shutdown(wait=True, cancel_futures=True)
    assert all(future.cancelled() for future in futures)
    assert processes.becomes_true(lambda: ray.available_resources().get("CPU") == 2, 10)
    assert time.monotonic() - start < 10


def test_workers_have_no_input() -> None:
    assert ray.get(ray.remote(lambda: sys.stdin.read()).remote(), timeout=10) == ""


def test_nothing_piles_up_in_the_driver() -> None:
    def rounds(count: int) -> None:
        for number in range(count):
            refs = [echo.remote(np.full(100_000, number)) for _ in range(8)]
            assert {int(value[0]) for value in ray.get(refs)} == {number}

    def maps() -> int:
        return Path("/proc/self/maps").read_text().count("memfd")

    rounds(5)
    files, mapped, own = len(list(processes.open_files())), maps(), processes.memory("Anonymous")
    rounds(40)
    assert processes.becomes_true(lambda: len(list(processes.open_files())) <= files + 2, 10)
    assert processes.becomes_true(lambda: maps() <= mapped + 2, 10)
    assert processes.memory("Anonymous") - own < 30_000_000


def test_dead_workers_leave_nothing_in_the_driver(tmp_path: Path) -> None:
    @ray.remote(max_retries=0)
    def die(value: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def deaths(count: int) -> None:
        for ref in [die.remote(np.zeros(100_000)) for _ in range(count)]:
            with pytest.raises(WorkerCrashedError):
                ray.get(ref, timeout=30)

    deaths(4)
    files, children = len(list(processes.open_files())), len(processes.descendants())
    deaths(20)
    assert processes.becomes_true(lambda: len(list(processes.open_files())) <= files + 4, 10)
    assert processes.becomes_true(lambda: len(processes.descendants()) <= children + 2, 10)


def test_the_module_has_every_name_of_the_runtime() -> None:
    from sheaf._runtime import api

    assert sorted(ray._HOMES["sheaf._runtime.api"]) == sorted(api.__all__)
    assert set(api.__all__) <= set(ray.__all__)


def test_without_cpus_no_process_is_started_until_there_is_work() -> None:
    code = """
import os, time
import psutil
import sheaf as ray
ray.init(num_cpus=0)
time.sleep(2)
print(len(psutil.Process().children(recursive=True)))
print(ray.get(ray.remote(num_cpus=0)(lambda: 1).remote(), timeout=30))
"""
    assert processes.run_driver(code).stdout == "0\n1\n"
