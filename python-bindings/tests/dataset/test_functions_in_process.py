"""Functions of `map_batches` on the engine's threads: sizes, formats, generators, coroutines, classes, and failures."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import sheaf as sf
from sheaf import _interrupt

Columns = dict[str, Any]


def sizes_of(dataset: sf.Dataset, batch_size: Any) -> list[int]:
    sizes: list[int] = []

    def note(batch: pa.RecordBatch) -> pa.RecordBatch:
        sizes.append(batch.num_rows)
        return batch

    assert dataset.map_batches(note, batch_size, schema=dataset.schema).count() == dataset.count()
    return sizes


def test_a_batch_size_in_bytes_counts_what_rows_take() -> None:
    with sf.Session(threads=1) as session:
        numbers = sizes_of(session.range(10_000), "8KiB")
        assert set(numbers[:-1]) == {1_024}
        texts = session.from_pydict({"t": ["x" * 1_000] * 64})
        assert max(sizes_of(texts, "8KiB")) <= 9
        assert sizes_of(texts, "1B") == [1] * 64, "a row is not cut"
        views = session.from_arrow(pa.table({"t": pa.array(["x" * 1_000] * 64, pa.string_view())}))
        assert max(sizes_of(views, "8KiB")) <= 9
        assert sizes_of(session.range(1_000), "auto") == sizes_of(session.range(1_000), None)
    for wrong in ("many", "0B", 0):
        with pytest.raises(sf.InvalidInputError):
            sf.range(1).map_batches(lambda batch: batch, wrong, schema={"id": int})


def test_generators_give_any_number_of_batches_in_order() -> None:
    def repeat(columns: Columns) -> Iterator[Columns]:
        for number in columns["id"].tolist():
            for _ in range(number % 3):
                yield {"n": [number]}

    repeated = sf.range(1_000).map_batches(repeat, 7, "numpy", schema={"n": int})
    assert repeated.to_pydict()["n"] == [n for n in range(1_000) for _ in range(n % 3)]
    assert sf.range(9).map_batches(lambda batch: iter([]), schema={"n": int}).count() == 0


def test_a_generator_goes_no_further_than_it_is_read() -> None:
    made: list[int] = []

    def endless(_: pa.RecordBatch) -> Iterator[Columns]:
        while True:
            made.append(1)
            yield {"n": [len(made)]}

    with sf.Session(threads=1) as session:
        first = session.range(1).map_batches(endless, schema={"n": int}).limit(3).to_pydict()
    assert first == {"n": [1, 2, 3]}
    assert len(made) < 100


def test_an_error_in_the_middle_of_a_generator_is_the_functions() -> None:
    def half(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        yield batch
        raise KeyError("the other half")

    with pytest.raises(sf.UserFunctionError, match="the other half") as raised:
        sf.range(3).map_batches(half, schema={"id": int}).to_arrow()
    assert isinstance(raised.value.__cause__, KeyError)


def test_coroutines_are_under_way_at_once_bounded_and_in_order() -> None:
    running, most = 0, 0

    async def slow(columns: Columns) -> Columns:
        nonlocal running, most
        running += 1
        most = max(most, running)
        # The later ones are quicker.
        await asyncio.sleep(0.05 if columns["id"][0] % 2 else 0.01)
        running -= 1
        return {"id": columns["id"] * 2}

    numbers = sf.range(60).map_batches(slow, 1, "numpy", schema={"id": int}, max_concurrency=8)
    start = time.monotonic()
    assert numbers.to_pydict()["id"] == [2 * n for n in range(60)]
    assert 1 < most <= 8
    assert time.monotonic() - start < 60 * 0.03, "they wait for one another"


def test_asynchronous_generators_and_methods() -> None:
    async def twice(columns: Columns) -> AsyncIterator[Columns]:
        for _ in range(2):
            await asyncio.sleep(0)
            yield columns

    assert sf.range(2).map_batches(twice, batch_format="numpy", batch_size=2).count() == 4

    class Adds:
        def __init__(self, by: int) -> None:
            self.by = by

        async def __call__(self, columns: Columns) -> Columns:
            await asyncio.sleep(0)
            return {"id": columns["id"] + self.by}

    added = sf.range(3).map_batches(Adds, batch_format="numpy", fn_constructor_args=[7], compute="threads")
    assert added.sort("id").to_pydict() == {"id": [7, 8, 9]}


def test_an_error_in_a_coroutine_is_the_functions_and_nothing_is_left() -> None:
    async def boom(_: pa.RecordBatch) -> pa.RecordBatch:
        raise LookupError("not found")

    for _ in range(3):
        with pytest.raises(sf.UserFunctionError, match="not found") as raised:
            sf.range(3).map_batches(boom, schema={"id": int}).to_arrow()
        assert isinstance(raised.value.__cause__, LookupError)
    deadline = time.monotonic() + 10
    while any(thread.name == "sheaf-async-functions" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "an event loop is left"
        time.sleep(0.02)


def test_an_instance_is_called_by_one_thread_at_a_time() -> None:
    made: list[Any] = []

    class Counts:
        def __init__(self, start: int, *, step: int) -> None:
            self.calls, self.step, self.busy = start, step, threading.Lock()
            made.append(self)

        def __call__(self, batch: pa.RecordBatch) -> Columns:
            assert self.busy.acquire(blocking=False)
            time.sleep(0.001)
            self.calls += self.step
            self.busy.release()
            return {"n": [batch.num_rows]}

    with sf.Session(threads=2) as session:
        counted = session.range(1_000).map_batches(
            Counts,
            20,
            schema={"n": int},
            compute="threads",
            fn_constructor_args=[100],
            fn_constructor_kwargs={"step": 2},
        )
        assert sum(counted.to_pydict()["n"]) == 1_000
    assert 1 <= len(made) <= 2
    assert sum(each.calls - 100 for each in made) == 2 * 50


def test_tensors_are_views_and_may_be_returned() -> None:
    torch = pytest.importorskip("torch")
    numbers = sf.from_pydict({"a": [1.0, 2.0, 3.0]})

    def double(tensors: Columns) -> Columns:
        assert isinstance(tensors["a"], torch.Tensor)
        return {"a": tensors["a"] * 2}

    assert numbers.map_batches(double, batch_format="torch").to_pydict() == {"a": [2.0, 4.0, 6.0]}
    with pytest.raises(sf.UserFunctionError, match="no column of numbers"):
        sf.from_pydict({"t": ["x"]}).map_batches(lambda batch: batch, batch_format="torch")


def test_a_function_that_does_not_come_back_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_interrupt, "STALL_SECONDS", 1.0)

    def waits_for_something(batch: pa.RecordBatch) -> pa.RecordBatch:
        time.sleep(4)
        return batch

    with caplog.at_level(logging.WARNING, logger="sheaf"):
        assert sf.range(3).map_batches(waits_for_something, 3, schema={"id": int}).count() == 3
    [said] = [record.getMessage() for record in caplog.records if "has run for" in record.getMessage()]
    assert "partition 0, batch 0, row 0" in said
    assert "in waits_for_something" in said


def invert(columns: Columns) -> Columns:
    if (columns["id"] % 97 == 13).any():
        raise ZeroDivisionError("thirteen")
    return {"id": columns["id"], "half": columns["id"] / 2}


BAD = [n for n in range(5_000) if n % 97 == 13]
GOOD = [n for n in range(5_000) if n % 97 != 13]


@pytest.mark.parametrize("batch_size", [1, 64, None])
def test_exactly_the_rows_that_fail_are_left_out(batch_size: int | None) -> None:
    schema = {"id": int, "half": float}
    skipped = sf.range(5_000).map_batches(invert, batch_size, "numpy", schema=schema, on_error="skip")
    assert skipped.to_pydict()["id"] == GOOD
    assert f"failed_rows={len(BAD)}" in str(skipped.stats())
    nulls = sf.range(5_000).map_batches(invert, batch_size, "numpy", schema=schema, on_error="null")
    assert nulls.to_pydict()["id"] == [None if n in BAD else n for n in range(5_000)]
    with pytest.raises(sf.UserFunctionError, match="thirteen"):
        sf.range(5_000).map_batches(invert, batch_size, "numpy", schema=schema).to_arrow()


def test_dead_letters_are_there_once_with_what_went_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "dead"
    tables = sf.range(5_000).with_column("t", sf.lit("x"))
    mapped = tables.map_batches(invert, 100, "numpy", schema={"id": int, "half": float}, dead_letter=folder)
    assert mapped.count() == len(GOOD)
    letters = sf.read_parquet(str(folder)).sort("id").to_arrow()
    own = ["_error", "_traceback", "_attempt", "_partition", "_row", "_file", "_file_row"]
    assert letters.column_names == ["id", "t", *own]
    assert letters["id"].to_pylist() == BAD
    assert set(letters["_error"].to_pylist()) == {"ZeroDivisionError: thirteen"}
    assert all("invert" in text for text in letters["_traceback"].to_pylist())
    first = letters.to_pylist()[0]
    assert (first["_partition"], first["_row"]) == (0, 13)
    assert first["_attempt"] > 1
    assert mapped.count() == len(GOOD)
    assert sf.read_parquet(str(folder)).count() == 2 * len(BAD), "those of each run are kept"


def test_dead_letters_are_of_runs_that_end_well(tmp_path: Path) -> None:
    folder = str(tmp_path / "dead")

    def fails_later(columns: Columns) -> Columns:
        if columns["id"][0] > 2_000:
            raise SystemError("later")
        return columns

    mapped = sf.range(5_000).map_batches(invert, 100, "numpy", schema={"id": int, "half": float}, dead_letter=folder)
    with pytest.raises(sf.UserFunctionError, match="later"):
        mapped.map_batches(fails_later, 100, "numpy", schema={"id": int, "half": float}).to_arrow()
    with pytest.raises(sf.SheafError):
        sf.read_parquet(folder).count()
    assert sf.range(10).map_batches(invert, 5, "numpy", schema={"id": int, "half": float}, dead_letter=folder).count()
    assert not list((tmp_path / "dead").glob("**/*.parquet")), "no row failed"


def test_every_row_may_be_a_dead_letter(tmp_path: Path) -> None:
    def boom(columns: Columns) -> Columns:
        raise ValueError("never")

    async def later(columns: Columns) -> Columns:
        raise ValueError("never")

    with sf.Session(threads=1) as session:
        for number, function in enumerate((boom, later)):
            folder = tmp_path / str(number)
            mapped = session.range(2_000).map_batches(
                function, 500, "numpy", schema={"id": int}, dead_letter=folder, on_error="null"
            )
            assert mapped.to_pydict() == {"id": [None] * 2_000}
            assert session.read_parquet(str(folder)).sort("id").to_pydict()["id"] == list(range(2_000))


def test_dead_letters_that_cannot_be_written_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    mapped = sf.range(2_000).map_batches(
        invert, 100, "numpy", schema={"id": int, "half": float}, dead_letter=tmp_path / "file" / "dead"
    )
    with pytest.raises(sf.SheafError, match="writing"):
        mapped.to_arrow()


def test_what_dead_letters_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(sf.InvalidInputError, match="_row"):
        sf.from_pydict({"_row": [1]}).map_batches(lambda batch: batch, schema={"_row": int}, dead_letter=tmp_path / "a")
    with pytest.raises(sf.InvalidInputError, match='on_error is "raise"'):
        sf.range(1).map_batches(lambda batch: batch, schema={"id": int}, dead_letter=tmp_path / "a", on_error="raise")
    with pytest.raises(sf.InvalidInputError, match="there is no on_error"):
        sf.range(1).map_batches(lambda batch: batch, on_error="ignore")  # type: ignore[arg-type]


def test_only_the_errors_that_are_named_are_tried_again() -> None:
    calls: list[int] = []

    def flaky(batch: pa.RecordBatch) -> pa.RecordBatch:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError("try again")
        return batch

    def run(**options: Any) -> sf.Dataset:
        calls.clear()
        return sf.range(3).map_batches(flaky, 3, schema={"id": int}, **options)

    assert run(retry_on=ConnectionError).count() == 3
    assert run(retry_on=(OSError, ValueError), max_retries=2).count() == 3
    for options in ({"retry_on": KeyError}, {"retry_on": ConnectionError, "max_retries": 1}, {}):
        with pytest.raises(sf.UserFunctionError, match="try again"):
            run(**options).count()


def test_an_empty_input_and_a_first_batch_that_fails() -> None:
    assert sf.range(0).map_batches(invert, batch_format="numpy", on_error="skip").columns == ["id", "half"]
    looked = sf.range(14).map_batches(invert, 14, "numpy", on_error="skip")
    assert looked.to_pydict()["id"] == list(range(13))
    with pytest.raises(sf.InvalidInputError, match="made nothing of the first batch"):
        sf.from_pydict({"id": [13]}).map_batches(invert, batch_format="numpy", on_error="skip")


def test_options_that_cannot_be() -> None:
    def same(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch

    numbers = sf.range(1)
    for options, text in [
        ({"compute": "threads", "timeout": 1}, "timeout= is of worker processes"),
        ({"compute": "threads", "concurrency": 2}, "concurrency= is of worker processes"),
        ({"compute": "gpu"}, "says of no place"),
        ({"compute": sf.TaskPool(1), "concurrency": 1}, "compute= says how many"),
        ({"max_retries": -1}, "max_retries"),
        ({"timeout": 0}, "timeout"),
        ({"max_concurrency": 0}, "max_concurrency"),
    ]:
        with pytest.raises(sf.InvalidInputError, match=text):
            numbers.map_batches(same, **options)  # type: ignore[arg-type]
    with pytest.raises(sf.InvalidInputError, match="for the instances of a class"):
        numbers.map_batches(type("C", (), {}), compute=sf.TaskPool(1))
    for make in (lambda: sf.ActorPool(0), lambda: sf.ActorPool(1, max=2), lambda: sf.ActorPool(min=3, max=2)):
        with pytest.raises(sf.InvalidInputError):
            make()


def test_random_rows_that_fail_match_a_loop() -> None:
    for seed in range(10):
        random = np.random.default_rng(seed)
        rows = int(random.integers(1, 2_000))
        bad = set(random.integers(0, rows, int(random.integers(0, 20))).tolist())

        def check(columns: Columns, bad: set[int] = bad) -> Columns:
            if bad & set(columns["id"].tolist()):
                raise ValueError("bad")
            return columns

        mapped = sf.range(rows).map_batches(
            check, int(random.integers(1, 300)), "numpy", schema={"id": int}, on_error="skip"
        )
        assert mapped.to_pydict()["id"] == [n for n in range(rows) if n not in bad], f"seed {seed}"
