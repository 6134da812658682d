"""`map`, `flat_map` and `filter` with the options of `map_batches`: pools, classes, rows that fail."""

import gc
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runtime import processes

import sheaf as sf

Row = dict[str, Any]

pytestmark = pytest.mark.timeout(180)

GONE_SECONDS = 20


@pytest.fixture(scope="module", autouse=True)
def runtime() -> Iterator[None]:
    """Two CPUs, whatever the machine has; no worker is left after it."""
    sf.shutdown()
    others = processes.descendants()
    sf.init(num_cpus=2)
    yield
    gc.collect()
    workers = processes.descendants() - others
    sf.shutdown()
    assert processes.becomes_true(lambda: not processes.alive(workers), GONE_SECONDS)


class Times:
    """Made once in each worker; its instances are given rows."""

    def __init__(self, factor: int, *, plus: int = 0) -> None:
        self.factor, self.plus, self.made_in = factor, plus, os.getpid()

    def __call__(self, row: Row) -> Row:
        assert self.made_in == os.getpid()
        return {"id": row["id"] * self.factor + self.plus, "pid": os.getpid()}


class IsAtLeast:
    def __init__(self, least: int) -> None:
        self.least = least

    def __call__(self, row: Row) -> bool:
        return bool(row["id"] >= self.least)


@pytest.mark.parametrize("options", [{}, {"concurrency": 2}, {"compute": "threads"}])
def test_a_class_is_made_with_its_arguments_and_given_rows(options: Any) -> None:
    made = sf.range(10_000).map(Times, fn_constructor_args=(3,), fn_constructor_kwargs={"plus": 1}, **options)
    rows = made.to_pydict()
    assert rows["id"] == [row * 3 + 1 for row in range(10_000)]
    assert (os.getpid() in rows["pid"]) == (options.get("compute") == "threads")


def test_a_class_filters() -> None:
    kept = sf.range(100).filter(IsAtLeast, fn_constructor_args=[97], concurrency=1)
    assert kept.to_pydict() == {"id": [97, 98, 99]}
    assert kept.schema == sf.range(100).schema


def test_rows_in_workers_keep_their_order_and_take_arguments() -> None:
    def repeated(row: Row, times: int, *, plus: int) -> Iterator[Row]:
        for at in range(times):
            yield {"id": row["id"] + plus, "at": at, "here": os.getpid()}

    made = sf.range(3000).flat_map(
        repeated, fn_args=(2,), fn_kwargs={"plus": 5}, compute=sf.ActorPool(2), batch_size=100
    )
    rows = made.to_pydict()
    assert rows["id"] == [row + 5 for row in range(3000) for _ in range(2)]
    assert rows["at"] == [0, 1] * 3000
    assert os.getpid() not in rows["here"]


def test_workers_know_the_columns_of_the_first_batch() -> None:
    def some(row: Row) -> list[Row]:
        # Later batches have no row at all, or no value in the column b.
        if row["id"] < 100:
            return [{"a": row["id"], "b": "x"}]
        return [{"a": row["id"]}] if row["id"] >= 200 else []

    expected = {"a": [*range(100), *range(200, 300)], "b": ["x"] * 100 + [None] * 100}
    for options in ({}, {"concurrency": 2}):
        assert sf.range(300).flat_map(some, batch_size=50, **options).to_pydict() == expected


@pytest.mark.parametrize("options", [{}, {"concurrency": 2}])
def test_rows_that_fail_are_found_as_a_loop_finds_them(options: Any) -> None:
    bad = frozenset(random.Random(6).sample(range(2000), 37))

    def fails(row: Row) -> Row:
        if row["id"] in bad:
            raise ValueError(f"no {row['id']}")
        return {"id": row["id"], "twice": row["id"] * 2}

    good = [row for row in range(2000) if row not in bad]
    skipped = sf.range(2000).map(fails, on_error="skip", batch_size=128, **options)
    assert skipped.to_pydict() == {"id": good, "twice": [row * 2 for row in good]}
    nulls = sf.range(2000).map(fails, on_error="null", batch_size=128, **options).to_pydict()
    assert nulls["id"] == [None if row in bad else row for row in range(2000)]
    kept = sf.range(2000).filter(lambda row: fails(row) is not None, on_error="skip", **options)
    assert kept.to_pydict()["id"] == good
    several = sf.range(2000).flat_map(lambda row: [fails(row)] * 2, on_error="skip", batch_size=128, **options)
    assert several.to_pydict()["id"] == [row for row in good for _ in range(2)]


@pytest.mark.parametrize("options", [{}, {"concurrency": 1}])
def test_dead_letters_are_of_the_rows_that_failed(options: Any, tmp_path: Path) -> None:
    def fails(row: Row) -> Row:
        return {"inverse": 1 / (row["id"] % 10)}

    made = sf.range(50).map(fails, dead_letter=tmp_path / "letters", batch_size=20, **options)
    assert made.count() == 45
    letters = sf.read_parquet(str(tmp_path / "letters")).sort("id").to_pydict()
    assert letters["id"] == [0, 10, 20, 30, 40]
    assert all("ZeroDivisionError" in error for error in letters["_error"])
    assert all("fails" in traceback for traceback in letters["_traceback"])
    dropped = sf.range(50).filter(fails, dead_letter=str(tmp_path / "dropped"), **options)
    assert dropped.count() == 45
    assert sf.read_parquet(str(tmp_path / "dropped")).count() == 5


def test_a_row_that_kills_its_worker_and_one_that_hangs_cost_themselves_alone() -> None:
    def harms(row: Row) -> Row:
        if row["id"] == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        if row["id"] == 11:
            time.sleep(100)
        return {"id": row["id"]}

    options: Any = {"on_error": "skip", "max_retries": 0, "timeout": 1.0, "batch_size": 8}
    made = sf.range(16).map(harms, schema={"id": int}, concurrency=1, **options)
    assert made.to_pydict()["id"] == [row for row in range(16) if row not in (5, 11)]


def test_errors_that_are_worth_it_are_tried_again(tmp_path: Path) -> None:
    def flaky(row: Row) -> Row:
        mark = tmp_path / str(row["id"])
        if not mark.exists():
            mark.touch()
            raise ConnectionError("not yet")
        return row

    made = sf.range(3).map(flaky, schema={"id": int}, retry_on=ConnectionError, concurrency=1, max_retries=5)
    assert made.to_pydict() == {"id": [0, 1, 2]}
    with pytest.raises(sf.SheafError, match="not yet"):
        sf.range(3, 6).map(flaky, schema={"id": int}, retry_on=(OSError,), max_retries=0).collect()


async def asynchronous(row: Row) -> Row:
    return row


class Asynchronous:
    async def __call__(self, row: Row) -> Row:
        return row


def test_what_rows_cannot_have_is_told() -> None:
    numbers = sf.range(3)
    for fn in (asynchronous, Asynchronous, Asynchronous()):
        with pytest.raises(sf.InvalidInputError, match="map_batches takes coroutine functions"):
            numbers.filter(fn)
    with pytest.raises(sf.InvalidInputError, match="a filter makes no rows of nulls"):
        numbers.filter(lambda row: True, on_error="null")
    with pytest.raises(sf.InvalidInputError, match="concurrency is for a function"):
        numbers.filter("id", concurrency=2)
    with pytest.raises(sf.SheafError, match="gave int for the rows of a row"):
        numbers.flat_map(lambda row: row["id"], schema={"id": int}).collect()
    with pytest.raises(TypeError, match="no argument 'colour'"):
        numbers.map(dict, colour=3)  # type: ignore[call-arg]
    with pytest.raises(sf.InvalidInputError, match="is of worker processes"):
        numbers.map(dict, compute="threads", num_cpus=1)
