"""A disk that is full: a small file system, on which objects are spilled. Nothing is lost, and it is told."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sheaf as ray

from .nodes import Cluster, eventually

pytestmark = pytest.mark.timeout(90)

SECONDS = 40
MEGABYTE = 1_000_000
DISK_BYTES = 40 * MEGABYTE
STORE_BYTES = 40 * MEGABYTE
OBJECT_BYTES = 8 * MEGABYTE


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for few objects."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "sheaf-test", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"a file system of one's own is not permitted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        ray.shutdown()
        subprocess.run(["umount", "--lazy", folder], check=True)


def used(disk: Path) -> int:
    """Bytes that are in use, however they are called; less than a page counts as none."""
    told = os.statvfs(disk)
    return (told.f_blocks - told.f_bfree) * told.f_frsize


@ray.remote
def filled(value: int) -> Any:
    return np.full(OBJECT_BYTES, value, np.uint8)


@ray.remote
def total(value: Any) -> int:
    return int(value.astype(int).sum())


def put_until_full() -> tuple[list[Any], Exception]:
    refs: list[Any] = []
    for value in range(40):
        try:
            refs.append(ray.put(np.full(OBJECT_BYTES, value, np.uint8)))
        except ray.exceptions.SheafError as error:
            return refs, error
    raise AssertionError("all of it fitted")


def test_put_on_a_full_disk(disk: Path) -> None:
    ray.shutdown()
    ray.init(num_cpus=1, object_store_memory=STORE_BYTES, spill_dir=disk)
    refs, error = put_until_full()
    assert isinstance(error, ray.exceptions.OutOfDiskError), repr(error)
    # Which disk, what takes the room, and what to do.
    assert str(disk) in str(error)
    assert "object-" in str(error)
    assert "spill_dir" in str(error)
    # The store's and the disk's, less what is kept for a moment on the way.
    assert len(refs) >= (STORE_BYTES + DISK_BYTES) // OBJECT_BYTES - 3
    # Nothing of it is lost, and what is given back can be had again.
    assert [int(ray.get(ref)[-1]) for ref in refs] == list(range(len(refs)))
    del refs[: len(refs) // 2]
    again = ray.put(np.full(OBJECT_BYTES, 99, np.uint8))
    assert ray.get(total.remote(again), timeout=SECONDS) == 99 * OBJECT_BYTES
    del again
    # The list itself: the error's traceback has it too.
    refs.clear()
    # What is on the disk has no name: only the room that it takes can be seen.
    eventually(lambda: used(disk), 0, SECONDS)


def test_a_result_on_a_full_disk(disk: Path) -> None:
    ray.shutdown()
    ray.init(num_cpus=1, object_store_memory=STORE_BYTES, spill_dir=disk)
    refs, _ = put_until_full()
    with pytest.raises(ray.exceptions.OutOfDiskError):
        ray.get(total.remote(filled.remote(1)), timeout=SECONDS)
    refs.clear()
    assert ray.get(total.remote(filled.remote(2)), timeout=SECONDS) == 2 * OBJECT_BYTES


def test_a_disk_of_a_node_that_is_full(disk: Path, cluster: Cluster) -> None:
    cluster.add(num_cpus=1)
    cluster.add(num_cpus=1, resources={"b": 1}, object_store_memory=STORE_BYTES, spill_dir=disk)
    ray.init(cluster.address)
    there = filled.options(resources={"b": 0.01})
    refs = [there.remote(value) for value in range(20)]
    ray.wait(refs, num_returns=20, timeout=SECONDS, fetch_local=False)

    def outcome(ref: Any) -> Any:
        try:
            return int(ray.get(ref, timeout=SECONDS)[-1])
        except ray.exceptions.OutOfDiskError:
            return "full"

    outcomes = [outcome(ref) for ref in refs]
    assert set(outcomes) - {"full"} <= set(range(20))
    assert [value for value in outcomes if value != "full"] == [
        value for value, found in enumerate(outcomes) if found != "full"
    ]
    assert "full" in outcomes
    assert len(set(outcomes)) >= 6
    del refs
    eventually(cluster.objects, [], SECONDS)
    eventually(lambda: used(disk), 0, SECONDS)
    assert ray.get(total.remote(there.remote(3)), timeout=SECONDS) == 3 * OBJECT_BYTES
