"""The memory of objects that are gone: it is written again by whoever made them, and never while somebody reads it."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sheaf as ray

from . import processes

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]

NUMBERS = 1_000_000
# Memory that nobody uses is kept for five seconds.
SECONDS = 10


def filled(number: int) -> np.ndarray:
    return np.full(NUMBERS, number)


def mapped() -> set[str]:
    """The memory of large objects that this process has mapped, by the numbers that the system gives it."""
    return set(re.findall(r" (\d+) +/memfd:sheaf", Path("/proc/self/maps").read_text()))


def free_all() -> None:
    """Waits until no memory of earlier tests is kept."""
    assert processes.becomes_true(lambda: not mapped(), SECONDS)


@ray.remote
class Reader:
    def __init__(self) -> None:
        self.value: Any = None

    def read(self, value: Any) -> int:
        self.value = value
        return int(value.sum())

    def again(self) -> int:
        return int(self.value.sum())

    def forget(self) -> None:
        self.value = None


def test_memory_is_written_again_and_goes_when_it_is_not() -> None:
    free_all()
    first = ray.put(filled(1))
    memory = mapped()
    assert len(memory) == 1
    del first
    for number in range(2, 20):
        ref = ray.put(filled(number))
        assert mapped() == memory
        assert ray.get(ref).sum() == number * NUMBERS
        del ref
    free_all()
    assert not [target for _, target in processes.open_files() if "memfd:sheaf" in target]


def test_tasks_write_their_results_again() -> None:
    @ray.remote(num_cpus=2)
    def make(number: int) -> Any:
        return filled(number), mapped()

    seen: set[str] = set()
    for number in range(10):
        ref = make.remote(number)
        value, memory = ray.get(ref)
        assert value.sum() == number * NUMBERS
        seen |= memory
        del value, ref
    # One may begin before the result of the last is gone.
    assert 1 <= len(seen) <= 3


def test_what_a_process_reads_is_not_written_again() -> None:
    here = ray.get(ray.put(filled(1)))
    reader = Reader.remote()
    ref = ray.put(filled(2))
    assert ray.get(reader.read.remote(ref)) == 2 * NUMBERS
    del ref
    for number in range(3, 10):
        assert ray.get(ray.put(filled(number))).sum() == number * NUMBERS
        assert (here.sum(), ray.get(reader.again.remote())) == (NUMBERS, 2 * NUMBERS)
    free = len(mapped())
    del here
    ray.get(reader.forget.remote())
    assert processes.becomes_true(lambda: len(mapped()) < free, SECONDS)


def test_what_a_forked_process_reads_is_not_written_again() -> None:
    value = ray.get(ray.put(filled(1)))
    (wait, go), (hear, say) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.read(wait, 1)
        os.write(say, str(int(value.sum())).encode())
        os._exit(0)
    try:
        del value
        for number in range(2, 10):
            ray.put(filled(number))
        os.write(go, b"x")
        assert os.read(hear, 100) == str(NUMBERS).encode()
    finally:
        os.waitpid(child, 0)
        for file in (wait, go, hear, say):
            os.close(file)


@pytest.mark.parametrize("is_here", [True, False])
def test_a_write_to_a_shared_value_ends_the_process_that_tries(is_here: bool) -> None:
    code = f"""
import ctypes
import numpy as np
import sheaf as ray
ray.init(num_cpus=1)
make = lambda: np.ones({NUMBERS})
value = ray.get(ray.put(make()) if {is_here} else ray.remote(make).remote())
ctypes.memset(value.ctypes.data, 7, 1)
"""
    assert processes.run_driver(code).returncode == -11


def test_kept_values_leave_room_for_others() -> None:
    code = """
import numpy as np
import sheaf as ray
ray.init(num_cpus=1, object_store_memory=100_000_000)
refs = [ray.put(np.full(1_000_000, number)) for number in range(30)]
for _ in range(2):
    for number, ref in enumerate(refs):
        assert ray.get(ref).sum() == number * 1_000_000
print("ok")
"""
    assert processes.run_driver(code).stdout == "ok\n"


def test_results_before_one_that_finds_no_room_are_given_back() -> None:
    code = """
import numpy as np
import sheaf as ray
ray.init(num_cpus=1, object_store_memory=100_000_000)

@ray.remote(num_returns=2)
def make():
    return np.ones(60_000_000, np.uint8), np.ones(110_000_000, np.uint8)

for _ in range(2):
    try:
        ray.get(make.remote()[0], timeout=30)
    except ray.exceptions.ObjectStoreFullError:
        print("full")
print(ray.get(ray.put(np.ones(95_000_000, np.uint8)))[0])
"""
    done = processes.run_driver(code)
    assert done.stdout == "full\nfull\n1\n", done.stderr
