"""What happens at the limits: of the store, of open files, of CPUs and GPUs; and what dead workers leave running."""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import sheaf as ray
from sheaf.exceptions import ActorDiedError, GetTimeoutError, ObjectStoreFullError

from . import processes

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_runtime")]


class Pinged:
    def ping(self) -> int:
        return 1


def sleeps(seconds: int) -> bool:
    """Whether a `sleep` of so many seconds runs."""
    wanted = ["sleep", str(seconds)]
    return any(process.info["cmdline"] == wanted for process in psutil.process_iter(["cmdline"]))


def test_arguments_that_cannot_fit_are_told_at_once() -> None:
    ray.init(num_cpus=1, object_store_memory=20_000_000)
    refs = [ray.put(np.zeros(1_000_000)) for _ in range(4)]
    start = time.monotonic()
    with pytest.raises(ObjectStoreFullError, match="together"):
        ray.get(ray.remote(lambda *arrays: len(arrays)).remote(*refs), timeout=30)
    assert time.monotonic() - start < 5
    assert ray.get(ray.remote(lambda array: array.size).remote(refs[0]), timeout=30) == 1_000_000


def test_too_many_open_files_are_an_error_and_not_the_end() -> None:
    code = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))
import numpy as np
import sheaf as ray
ray.init(num_cpus=1)
refs = []
try:
    while len(refs) < 1000:
        refs.append(ray.put(np.full(40_000, len(refs))))
except ray.exceptions.ObjectStoreFullError as error:
    print("ulimit" in str(error), 100 < len(refs) < 400)
print(ray.get(ray.remote(lambda array: int(array[0])).remote(refs[7]), timeout=30))
refs.clear()
print(ray.get(ray.put(np.ones(40_000))).sum())
"""
    done = processes.run_driver(code)
    assert done.stdout == "True True\n7\n40000.0\n", done.stderr


def test_a_full_store_names_what_made_its_objects_and_who_holds_them() -> None:
    done = processes.run_driver("""
import os
import re
import numpy as np
import sheaf as ray
ray.init(object_store_memory=20_000_000, num_cpus=1)

@ray.remote
def made():
    return np.zeros(8_000_000, np.uint8)

refs = [made.remote(), ray.put(np.ones(9_000_000, np.uint8))]
held = ray.get(refs)
try:
    ray.put(np.zeros(7_000_000, np.uint8))
except ray.exceptions.ObjectStoreFullError as error:
    print(error)
print(os.getpid())
""")
    *lines, pid = done.stdout.splitlines()
    larger, other = [line for line in lines if line.startswith("  object-")]
    me = rf"a driver \(pid {pid}\)"
    assert re.search(rf"90\d+ bytes, made by put by {me}, read by {me}, referenced by {me}$", larger), done
    assert re.search(rf"80\d+ bytes, made by made \(pid \d+\), read by {me}, referenced by {me}$", other), done


@pytest.mark.parametrize("end", ["cancel", "shutdown"])
def test_what_a_task_started_ends_with_its_worker(end: str) -> None:
    ray.init(num_cpus=2)
    seconds = 7_000 + os.getpid() % 1_000
    ref = ray.remote(lambda: subprocess.run(["sleep", str(seconds)], check=False)).remote()
    assert processes.becomes_true(lambda: sleeps(seconds), 20)
    if end == "cancel":
        ray.cancel(ref, force=True)
    else:
        ray.shutdown()
    assert processes.becomes_true(lambda: not sleeps(seconds), 10)


def test_the_tasks_of_a_killed_actor_end_with_it() -> None:
    ray.init(num_cpus=2)

    @ray.remote(num_cpus=2)
    def forever() -> None:
        time.sleep(1_000)

    @ray.remote(num_cpus=0)
    class Waits:
        def wait(self) -> Any:
            return ray.get(forever.remote())

    waits = Waits.remote()
    waits.wait.remote()
    assert processes.becomes_true(lambda: "CPU" not in ray.available_resources(), 20)
    ray.kill(waits)
    assert processes.becomes_true(lambda: ray.available_resources().get("CPU") == 2, 20)


def test_a_gpu_goes_from_one_actor_to_the_next() -> None:
    ray.init(num_cpus=4, num_gpus=1)

    @ray.remote
    class Uses:
        def gpus(self) -> list[int]:
            return [int(gpu) for gpu in ray.get_gpu_ids()]

    for _ in range(5):
        for part in (1, 0.5):
            assert ray.get(Uses.options(num_gpus=part).remote().gpus.remote(), timeout=30) == [0]


def test_a_part_of_a_gpu_is_of_one_gpu() -> None:
    ray.init(num_cpus=4, num_gpus=2)

    @ray.remote(num_gpus=0.6)
    class Uses:
        def gpus(self) -> list[int]:
            return [int(gpu) for gpu in ray.get_gpu_ids()]

    def gpus() -> tuple[list[int], str]:
        return [int(gpu) for gpu in ray.get_gpu_ids()], os.environ["CUDA_VISIBLE_DEVICES"]

    both = [Uses.remote() for _ in range(2)]
    first, second = (ray.get(actor.gpus.remote(), timeout=30) for actor in both)
    assert sorted(first + second) == [0, 1]
    # Together 0.8 are free, and 0.5 of no GPU.
    cancelled = ray.remote(num_gpus=0.5)(gpus).remote()
    waits = ray.remote(num_gpus=0.5)(gpus).remote()
    fits = ray.remote(num_gpus=0.3)(gpus).remote()
    assert len(ray.get(fits, timeout=30)[0]) == 1
    ray.cancel(cancelled)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(cancelled, timeout=30)
    assert ray.wait([waits], timeout=1) == ([], [waits])
    ray.kill(both[0])
    assert ray.get(waits, timeout=30) == (first, str(first[0]))
    assert processes.becomes_true(lambda: ray.available_resources().get("GPU") == 1.4, 10)


def test_many_tasks_that_wait_take_little_memory_each() -> None:
    ray.init(num_cpus=1)
    tasks = 20_000

    @ray.remote
    def wait(path: str) -> None:
        while not os.path.exists(path):
            time.sleep(0.05)

    @ray.remote
    def nothing() -> None:
        pass

    ray.get(nothing.remote())
    with tempfile.TemporaryDirectory() as folder:
        blocks = wait.remote(f"{folder}/go")
        before = processes.memory("Anonymous")
        refs = [nothing.remote() for _ in range(tasks)]
        # All are heard by the node.
        assert "waits" in ray.explain(refs[-1])
        assert (processes.memory("Anonymous") - before) / tasks < 4_000
        Path(folder, "go").touch()
        ray.get(blocks, timeout=30)
        ray.get(refs, timeout=60)


def test_constructors_meet_though_there_are_more_of_them_than_cpus() -> None:
    ray.init(num_cpus=2)

    @ray.remote
    class Meets:
        def __init__(self, folder: str, others: int) -> None:
            Path(folder, str(os.getpid())).touch()
            while len(os.listdir(folder)) < others:
                time.sleep(0.02)

        def met(self) -> bool:
            return True

    with tempfile.TemporaryDirectory() as folder:
        assert ray.get([meets.met.remote() for meets in [Meets.remote(folder, 5) for _ in range(5)]], timeout=30)


def test_an_actor_that_is_killed_before_it_is_made_is_dead() -> None:
    ray.init(num_cpus=1)
    never = ray.remote(num_cpus=1)(type("Never", (), {"call": lambda self: 1})).options(resources={"none": 1}).remote()
    ray.kill(never)
    with pytest.raises(ActorDiedError):
        ray.get(never.call.remote(), timeout=20)


def test_a_loop_of_waits_does_not_ask_again() -> None:
    ray.init(num_cpus=2)
    pending = [ray.put(number) for number in range(3_000)]
    start = time.monotonic()
    for _ in iter_waits(pending):
        pass
    # Asking for each of the rest each time took minutes.
    assert time.monotonic() - start < 20


def iter_waits(pending: list[Any]) -> Iterator[Any]:
    while pending:
        done, pending = ray.wait(pending)
        yield from done


def test_a_get_with_a_time_out_says_that_no_node_could_ever_do_it() -> None:
    ray.init(num_cpus=1)
    task = ray.remote(num_gpus=1)(pow).remote(2, 3)
    for late in (GetTimeoutError, ray.exceptions.TaskUnschedulableError):
        with pytest.raises(late, match="GPU 1"):
            ray.get([ray.put(1), task], timeout=0.3)
    actor = ray.remote(num_gpus=1)(Pinged).remote()
    with pytest.raises(ray.exceptions.ActorUnschedulableError, match="GPU 1"):
        ray.get(actor.ping.remote(), timeout=0.3)
    # One that is only late is no such thing.
    with pytest.raises(GetTimeoutError) as raised:
        ray.get(ray.remote(time.sleep).remote(2), timeout=0.3)
    assert not isinstance(raised.value, ray.exceptions.TaskUnschedulableError)
