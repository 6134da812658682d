"""Functions in workers that crash, hang, grow and raise: each costs what the user says, and nothing else."""

import ctypes
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime import processes

import sheaf as sf
from sheaf._functions import options

Columns = dict[str, Any]

pytestmark = pytest.mark.timeout(180)

GONE_SECONDS = 20
MIB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def runtime() -> Iterator[None]:
    """Two CPUs, whatever the machine has; no worker is left after it."""
    sf.shutdown()
    sf.init(num_cpus=2)
    yield
    workers = processes.descendants()
    sf.shutdown()
    assert processes.becomes_true(lambda: not processes.alive(workers), GONE_SECONDS)


def segfault(columns: Columns) -> Columns:
    if (columns["id"] == 17).any():
        ctypes.string_at(0)
    return columns


def hang(columns: Columns) -> Columns:
    if (columns["id"] == 17).any():
        time.sleep(600)
    return columns


def run(function: Any, rows: int = 60, batch_size: int = 20, **given: Any) -> sf.Dataset:
    given = {"schema": {"id": int}, "concurrency": 2, "max_retries": 1} | given
    return sf.range(rows).map_batches(function, batch_size, "numpy", **given)


EVERY = list(range(60))
BUT_ONE = [n for n in range(60) if n != 17]


def test_a_segfault_costs_its_row_alone(tmp_path: Path) -> None:
    mapped = run(segfault, dead_letter=tmp_path / "dead")
    assert mapped.to_pydict()["id"] == BUT_ONE
    [letter] = sf.read_parquet(str(tmp_path / "dead")).to_arrow().to_pylist()
    assert letter["id"] == 17
    assert "segfault" in letter["_error"].lower() or "sigsegv" in letter["_error"].lower(), letter["_error"]
    stats = str(mapped.stats())
    assert "worker_crashes=" in stats
    assert "failed_rows=1" in stats


def test_a_segfault_that_is_not_left_out_ends_the_run() -> None:
    with pytest.raises(sf.UserFunctionError, match=r"the worker process of the function .*segfault.* ended in a call"):
        run(segfault).to_arrow()


def test_a_crash_costs_an_attempt_and_not_the_job(tmp_path: Path) -> None:
    mark = tmp_path / "crashed"

    def crash_once(columns: Columns) -> Columns:
        if (columns["id"] == 17).any() and not mark.exists():
            mark.touch()
            os._exit(3)
        return columns

    mapped = run(crash_once)
    assert mapped.to_pydict()["id"] == EVERY
    assert "worker_crashes=1" in str(mapped.stats())
    assert "retries=1" in str(mapped.stats())


def test_a_call_that_hangs_is_stopped_and_its_row_found() -> None:
    mapped = run(hang, on_error="skip", timeout=1, max_retries=0)
    assert mapped.to_pydict()["id"] == BUT_ONE
    assert "timeouts=" in str(mapped.stats())
    with pytest.raises(sf.UserFunctionError, match="took longer than timeout=1 seconds"):
        run(hang, timeout=1, max_retries=0).to_arrow()


def test_a_call_that_is_slow_once_is_tried_again(tmp_path: Path) -> None:
    mark = tmp_path / "slow"

    def slow_once(columns: Columns) -> Columns:
        if (columns["id"] == 17).any() and not mark.exists():
            mark.touch()
            time.sleep(600)
        return columns

    assert run(slow_once, timeout=2).to_pydict()["id"] == EVERY


def hungry(columns: Columns) -> Columns:
    # A row needs 20 MiB.
    held = np.ones(len(columns["id"]) * 20 * MIB // 8)
    time.sleep(0.6)
    return {"id": columns["id"] + int(held[0]) - 1}


def test_a_batch_that_needs_too_much_memory_is_halved() -> None:
    mapped = run(hungry, rows=16, batch_size=16, concurrency=1, memory=300 * MIB)
    assert mapped.to_pydict()["id"] == list(range(16))
    stats = str(mapped.stats())
    assert "workers_over_memory=1" in stats, stats
    assert "splits=1" in stats
    assert "worker_peak_bytes=" in stats


def test_a_row_that_needs_too_much_memory_is_told_with_the_peak() -> None:
    def leaks(columns: Columns) -> Columns:
        held = []
        while True:
            held.append(np.ones(10 * MIB // 8))
            time.sleep(0.02)

    with pytest.raises(
        sf.MemoryLimitError, match=r"MapBatches: a worker of the function .*leaks.* had \d+ MiB"
    ) as told:
        run(leaks, rows=1, batch_size=1, concurrency=1, memory=250 * MIB).to_arrow()
    assert "memory= allows 250 MiB" in str(told.value)


class FlakyError(Exception):
    """An error of the test's own."""


def test_errors_in_workers_are_tried_again_or_narrowed_down(tmp_path: Path) -> None:
    marks = tmp_path

    def flaky(columns: Columns) -> Columns:
        if (columns["id"] == 17).any() and len(list(marks.iterdir())) < 2:
            (marks / str(time.monotonic_ns())).touch()
            raise ConnectionError("try again")
        return columns

    assert run(flaky, retry_on=ConnectionError, max_retries=2).to_pydict()["id"] == EVERY

    def bad(columns: Columns) -> Columns:
        if (columns["id"] % 13 == 5).any():
            raise FlakyError(f"bad in {len(columns['id'])}")
        return columns

    dead = tmp_path / "dead"
    mapped = run(bad, rows=500, batch_size=50, dead_letter=dead)
    assert mapped.to_pydict()["id"] == [n for n in range(500) if n % 13 != 5]
    letters = sf.read_parquet(str(dead)).sort("id").to_arrow()
    assert letters["id"].to_pylist() == [n for n in range(500) if n % 13 == 5]
    assert set(letters["_error"].to_pylist()) == {"FlakyError: bad in 1"}
    assert all("in bad" in text for text in letters["_traceback"].to_pylist())
    nulls = run(bad, rows=100, batch_size=50, on_error="null").to_pydict()["id"]
    assert nulls == [None if n % 13 == 5 else n for n in range(100)]


def test_a_stall_explains_itself(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(options, "STALL_SECONDS", 1.0)

    def waits_for_something(columns: Columns) -> Columns:
        time.sleep(4)
        return columns

    with caplog.at_level(logging.WARNING, logger="sheaf"):
        assert run(waits_for_something, rows=3, batch_size=1, concurrency=1).count() == 3
    [first, *_] = [record.getMessage() for record in caplog.records if "no batch has ended" in record.getMessage()]
    assert "map_batches(" in first
    assert "in waits_for_something" in first
    assert "batches wait for a worker" in first


def test_workers_that_die_at_random_lose_no_row() -> None:
    def dies(columns: Columns) -> Columns:
        if np.random.default_rng().random() < 0.05:
            os.kill(os.getpid(), 9)
        return columns

    mapped = run(dies, rows=4_000, batch_size=100, max_retries=50)
    assert mapped.to_pydict()["id"] == list(range(4_000))


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_that_fail_in_all_ways_match_a_loop(seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    ways = dict(zip(random.choice(120, 4, replace=False).tolist(), ["raise", "crash", "hang", "exit"], strict=True))

    def fails(columns: Columns) -> Columns:
        for row in columns["id"].tolist():
            match ways.get(row):
                case "raise":
                    raise ValueError(f"row {row}")
                case "crash":
                    ctypes.string_at(0)
                case "hang":
                    time.sleep(600)
                case "exit":
                    os._exit(1)
        return columns

    mapped = run(fails, rows=120, batch_size=20, timeout=1.5, max_retries=0, dead_letter=tmp_path / "dead")
    assert mapped.to_pydict()["id"] == [row for row in range(120) if row not in ways]
    letters = sf.read_parquet(str(tmp_path / "dead")).sort("id").to_arrow()
    assert letters["id"].to_pylist() == sorted(ways), "each once"
    assert letters["_row"].to_pylist() == sorted(ways)
