"""A worker that takes more memory than there is: the kernel ends it, and not its driver, in a group with a limit.

The group has to be made, which only some may.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .processes import LIMIT_SECONDS

pytestmark = pytest.mark.timeout(90)

LIMIT_BYTES = 700_000_000
# Of both kinds of control groups: where they are, and what limits their memory.
KINDS = [
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
    ("/sys/fs/cgroup", "memory.max"),
]

CODE = f"""
import sys, time
sys.stdin.readline()
import numpy as np
import sheaf as ray
from sheaf.exceptions import WorkerCrashedError

# More than the worker has when it is all too much.
own = np.ones({LIMIT_BYTES // 2}, np.uint8)
ray.init(num_cpus=1, object_store_memory=10_000_000)

@ray.remote(max_retries=1)
def take(path):
    with open(path, "a") as file:
        file.write("once ")
    parts = []
    while True:
        parts.append(np.ones(10_000_000, np.uint8))
        time.sleep(0.01)

try:
    ray.get(take.remote(sys.argv[1]), timeout=60)
except WorkerCrashedError as error:
    print(str(error).replace("\\n", " "))
print(ray.get(ray.remote(lambda: "goes on").remote(), timeout=30), own[0])
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group whose processes have so much memory together."""
    for root, limit in KINDS:
        folder = Path(root, f"sheaf-test-{os.getpid()}")
        with contextlib.suppress(OSError):
            folder.mkdir()
            try:
                (folder / limit).write_text(str(LIMIT_BYTES))
            except OSError:
                folder.rmdir()
                continue
            yield folder
            folder.rmdir()
            return
    pytest.skip("control groups cannot be made here")


def test_a_worker_that_takes_all_memory_is_ended_and_the_driver_goes_on(group: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    command = [sys.executable, "-c", CODE, str(begun)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as driver:
        (group / "cgroup.procs").write_text(str(driver.pid))
        output, errors = driver.communicate("\n", timeout=LIMIT_SECONDS)
    assert driver.returncode == 0, errors
    crash, rest = output.splitlines()
    assert "SIGKILL" in crash
    assert "ran out of memory" in crash
    assert rest == "goes on 1"
    assert begun.read_text() == "once once "
