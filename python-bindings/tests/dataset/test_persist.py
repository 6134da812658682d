"""``persist``, ``checkpoint`` and ``materialize``: what is kept, where, and how it goes; and the word about reruns."""

import gc
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import sheaf as sf


@pytest.fixture
def session(tmp_path: Path) -> Iterator[sf.Session]:
    """A session with little memory."""
    with sf.Session(memory_limit="128MiB", threads=2, spill_dir=tmp_path / "spill", progress="off") as session:
        yield session


def wide(session: sf.Session, rows: int) -> sf.Dataset:
    """Numbers, and a text for each."""
    text = sf.functions.concat(sf.lit("x" * 60), sf.col("id").cast("string"))
    return session.range(rows).with_columns(text=text)


def test_persist_runs_once(session: sf.Session) -> None:
    calls: list[int] = []

    def count(batch: pa.RecordBatch) -> pa.RecordBatch:
        calls.append(batch.num_rows)
        return batch

    kept = session.range(50_000).map_batches(count, schema={"id": "int64"}).persist()
    assert sum(calls) == 50_000
    assert kept.count() == 50_000
    assert kept.filter(sf.col("id") < 10).count() == 10
    assert kept.to_arrow().column("id").to_pylist() == list(range(50_000)), "in the order of the partitions"
    assert sum(calls) == 50_000


def test_what_does_not_fit_is_on_disk_and_goes_with_the_last_dataset(session: sf.Session, tmp_path: Path) -> None:
    with pytest.raises(sf.MemoryLimitError):
        wide(session, 1_500_000).materialize()
    kept = wide(session, 1_500_000).persist()
    held = session.memory
    assert held["on_disk"] > 20 << 20, held
    assert 0 < held["reserved"] < 128 << 20, held
    totals = kept.aggregate(
        sf.col("id").sum().alias("ids"), sf.functions.max(sf.functions.length(sf.col("text"))).alias("length")
    )
    assert totals.to_pydict() == {"ids": [1_500_000 * 1_499_999 // 2], "length": [67]}
    half = kept.filter(sf.col("id") % 2 == 0)
    del kept, totals
    gc.collect()
    assert session.memory["on_disk"] > 0, "the rows are still in use"
    assert half.count() == 750_000
    del half
    gc.collect()
    assert session.memory["on_disk"] == 0
    assert session.memory["reserved"] == 0


def test_persisted_rows_are_those_of_the_plan(session: sf.Session) -> None:
    """Random tables, persisted while memory runs out under them."""
    dice = random.Random(7)
    hogs = []
    for round in range(12):
        rows = dice.choice([0, 1, 100, 20_000])
        table = pa.table(
            {
                "n": pa.array([dice.choice([None, n]) for n in range(rows)], pa.int32()),
                "s": pa.array([dice.choice([None, "", "long " * dice.randrange(9)]) for _ in range(rows)]),
                "d": pa.array([dice.choice([None, "a", "b"]) for _ in range(rows)]).dictionary_encode(),
                "l": pa.array([dice.choice([None, [], [1.5, None]]) for _ in range(rows)], pa.list_(pa.float64())),
                "t": pa.array([dice.randrange(1 << 40) for _ in range(rows)], pa.timestamp("us", "UTC")),
            }
        )
        kept = session.from_arrow(table).persist()
        assert kept.to_arrow().equals(table), round
        if rows > 2:
            a = dice.randrange(rows - 1)
            assert kept.sort("t").offset(a).limit(5).count() == min(5, rows - a)
        hogs.append(wide(session, 60_000).persist())
    assert session.memory["on_disk"] > 0


CHECKPOINT = """
import sys
import sheaf as sf

calls = []

def twice(batch, times):
    calls.append(len(batch["id"]))
    return {"id": batch["id"] * times}

ids = sf.from_pydict({"id": [1, 2, 3]}).map_batches(
    twice, batch_format="numpy", schema={"id": "int64"}, fn_kwargs={"times": int(sys.argv[2])})
kept = ids.checkpoint(sys.argv[1], format=sys.argv[3], overwrite=True)
print(sorted(kept.to_pydict()["id"]), sum(calls))
"""


@pytest.mark.parametrize("format", ["parquet", "ipc"])
def test_a_later_program_reads_the_checkpoint(tmp_path: Path, format: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(CHECKPOINT)

    def run(times: int) -> str:
        command = [sys.executable, str(script), str(tmp_path / "kept"), str(times), format]
        environment = {**os.environ, "PYTHONHASHSEED": "random"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert run(2) == "[2, 4, 6] 3"
    assert run(2) == "[2, 4, 6] 0"
    assert run(5) == "[5, 10, 15] 3", "another function"
    script.write_text(CHECKPOINT.replace('batch["id"] * times', 'batch["id"] + times'))
    assert run(5) == "[6, 7, 8] 3", "the function changed"


def test_checkpoints_refuse_what_is_not_theirs(tmp_path: Path) -> None:
    target = tmp_path / "kept"
    assert sf.range(3).checkpoint(target).count() == 3
    assert sf.range(3).checkpoint(target).count() == 3
    with pytest.raises(sf.ExistsError, match=r"holds something else.*\n.*choose another folder"):
        sf.range(4).checkpoint(target)
    assert sf.range(4).checkpoint(target, overwrite=True).count() == 4
    with pytest.raises(sf.InvalidInputError, match="formats are parquet and ipc"):
        sf.range(4).checkpoint(tmp_path / "csv", format="toml")  # type: ignore[arg-type]


def repeated(caught: list[warnings.WarningMessage]) -> list[str]:
    """The warnings about reruns."""
    return [str(warning.message) for warning in caught if "second time" in str(warning.message)]


def test_a_second_run_of_a_function_is_told_once() -> None:
    def keep(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ids = sf.range(10).map_batches(keep)
        more = ids.map_batches(keep)
        assert more.count() == 10
        assert repeated(caught) == [], "that the schema was looked for is no run"
        assert more.filter(sf.col("id") > 5).count() == 4
        assert len(repeated(caught)) == 1
        assert Path(caught[-1].filename) == Path(__file__), "at the line that runs it"
        assert more.to_pydict()["id"] == list(range(10))
        assert list(more.iter_batches())
        assert len(repeated(caught)) == 1
        for kept in (sf.range(10).map_batches(keep).persist(), sf.range(10).map_batches(keep).materialize()):
            assert kept.count() == kept.count() == 10
        assert sf.range(3).count() == sf.range(3).count()
        assert len(repeated(caught)) == 1
