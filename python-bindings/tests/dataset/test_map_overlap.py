"""`map_overlap`: rows with their neighbours, across batches and partitions, exact at equal keys."""

import datetime as dt
import random
import runpy
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import sheaf as sf

START = dt.datetime(1969, 12, 25)
DAY = dt.timedelta(days=1)


def dataset(frame: pd.DataFrame) -> sf.Dataset:
    """Return the rows in two partitions."""
    middle = len(frame) // 2
    return sf.from_pandas(frame[:middle]).union(sf.from_pandas(frame[middle:]))


def some_rows(dice: random.Random, ties: bool) -> pd.DataFrame:
    rows = dice.choice([1, 7, 60, 300])
    steps = [dice.randrange(rows) for _ in range(rows)] if ties else dice.sample(range(3 * rows), rows)
    return pd.DataFrame(
        {
            "t": pd.Series([START + 8 * step * dt.timedelta(hours=1) for step in steps], dtype="datetime64[us]"),
            "n": pd.Series(steps, dtype="int64"),
            "x": pd.Series([float(dice.randrange(100)) for _ in steps], dtype="float64"),
        }
    )


def rolling_mean(frame: pd.DataFrame, window: str) -> pd.DataFrame:
    return frame.assign(y=frame.rolling(window, on="t", min_periods=1)["x"].mean())


@pytest.mark.parametrize("size", [1, 2, 5, 64, None])
def test_a_rolling_average_of_five_days_however_rows_are_cut(size: int | None) -> None:
    dice = random.Random(size)
    for before in ("5d", 5 * DAY, "6d12h"):
        frame = some_rows(dice, ties=False)
        expected = rolling_mean(frame.sort_values("t"), "5D")
        got = dataset(frame).map_overlap(
            rolling_mean, before, on="t", batch_size=size, batch_format="pandas", fn_kwargs={"window": "5D"}
        )
        seen = got.to_pandas()
        pd.testing.assert_frame_equal(seen, expected.reset_index(drop=True), check_dtype=False)


def neighbours(table: pa.RecordBatch, before: int, after: int) -> pa.RecordBatch:
    """Return for each row the numbers from so far before to so far after it, among those that were given."""
    numbers = table.column("n").to_pylist()
    seen = [sorted(other for other in numbers if number - before <= other <= number + after) for number in numbers]
    return table.append_column("seen", pa.array(seen, pa.list_(pa.int64())))


@pytest.mark.parametrize("size", [1, 3, 50])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 0), (0, 2), (4, 4), (1000, 1000)])
def test_all_rows_of_equal_keys_are_seen_on_both_sides(before: int, after: int, size: int) -> None:
    dice = random.Random(f"{before} {after} {size}")
    for _ in range(3):
        frame = some_rows(dice, ties=True)
        numbers = sorted(frame["n"])
        expected = [[other for other in numbers if number - before <= other <= number + after] for number in numbers]
        got = dataset(frame).map_overlap(
            neighbours, f"{before}i", f"{after}i", on="n", batch_size=size, fn_args=(before, after)
        )
        table = got.to_arrow()
        assert table["n"].to_pylist() == numbers
        assert table["seen"].to_pylist() == expected


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (3, 0), (0, 2), (7, 5)])
def test_so_many_rows(before: int, after: int, size: int) -> None:
    rows = 100

    def look(batch: pa.RecordBatch) -> dict[str, Any]:
        ids = batch.column("id").to_pylist()
        return {"id": ids, "first": [min(ids)] * len(ids), "last": [max(ids)] * len(ids)}

    got = sf.range(rows).map_overlap(look, before, after, on="id", batch_size=size).to_pydict()
    assert got["id"] == list(range(rows))
    starts = [row - row % size for row in range(rows)]
    assert got["first"] == [max(0, start - before) for start in starts]
    assert got["last"] == [min(rows, min(rows, start + size) + after) - 1 for start in starts]


def test_rows_without_a_key_come_last_and_see_nobody_along_it() -> None:
    rows = sf.from_pydict({"n": [2, None, 1, None, 9], "x": [1, 2, 3, 4, 5]})

    def look(batch: pa.RecordBatch) -> dict[str, Any]:
        return {"n": batch.column("n"), "given": [batch.num_rows] * batch.num_rows}

    got = rows.map_overlap(look, "1i", "1i", on="n", batch_size=1, schema={"n": "int64", "given": "int64"})
    assert got.to_pydict() == {"n": [1, 2, 9, None, None], "given": [2, 2, 1, 1, 1]}


def test_no_rows() -> None:
    empty = sf.range(5).filter(sf.col("id") < 0)
    assert empty.map_overlap(lambda batch: batch, 2, on="id").to_pydict() == {"id": []}


def test_memory_is_bounded() -> None:
    session = sf.Session(threads=2, memory_limit="128MB")
    rows = 2_000_000
    ids = session.range(rows).select(
        t=sf.col("id") * 7_919 % rows, text=sf.functions.repeat("x", 80) + sf.col("id").cast("str")
    )

    def steps(batch: pa.RecordBatch) -> dict[str, Any]:
        t = batch.column("t").to_numpy()
        return {"t": t, "step": t - [t[0] - 1, *t[:-1]]}

    made = ids.map_overlap(steps, 1, on="t", schema={"t": "int64", "step": "int64"})
    done = made.aggregate(n=sf.functions.count(), least=sf.col("step").min(), most=sf.col("step").max())
    assert done.to_pydict() == {"n": [rows], "least": [1], "most": [1]}
    assert any("SortExec" in line and "spill_count=0" not in line for line in (done.stats() or "").splitlines())


def test_margins_over_the_limit_are_an_error_of_memory() -> None:
    session = sf.Session(threads=2, memory_limit="64MB")
    wide = session.range(400_000).select(t=sf.col("id"), text=sf.functions.repeat("x", 300) + sf.col("id").cast("str"))
    made = wide.map_overlap(lambda batch: batch, "400000i", on="t", batch_size=1000, schema=wide.schema)
    with pytest.raises(sf.MemoryLimitError):
        made.count()


def test_what_goes_wrong() -> None:
    rows = sf.from_pydict({"n": [1, 2, 3], "t": [START] * 3})
    with pytest.raises(sf.InvalidInputError, match=r"was given 3 rows and returned 1 \(partition 0, batch 0, row 0\)"):
        rows.map_overlap(lambda batch: batch.slice(0, 1), 1, on="n").collect()
    with pytest.raises(sf.UserFunctionError, match="raised ZeroDivisionError"):
        rows.map_overlap(lambda batch: 1 / 0, 1, on="n", schema=rows.schema).collect()
    with pytest.raises(sf.UnknownColumnError):
        rows.map_overlap(lambda batch: batch, 1, on="x")
    for arguments, says in [
        ({"before": -1, "on": "n"}, "before is a distance"),
        ({"before": 1, "after": "-1i", "on": "n"}, "after is a distance"),
        ({"before": "1mo", "on": "t"}, "months have no one length"),
        ({"before": 1, "on": "n", "batch_size": 0}, "batch_size"),
    ]:
        with pytest.raises(sf.InvalidInputError, match=says):
            rows.map_overlap(lambda batch: batch, **arguments)
    with pytest.raises(sf.TypeMismatchError, match="no whole number of steps"):
        rows.map_overlap(lambda batch: batch, "1d", on="n")


def test_several_calls_run_at_once() -> None:
    import threading

    session = sf.Session(threads=2)
    both = threading.Barrier(2, timeout=20)

    def meet(batch: pa.RecordBatch) -> pa.RecordBatch:
        both.wait()
        return batch

    rows = session.range(4)
    assert rows.map_overlap(meet, 0, on="id", batch_size=1, schema=rows.schema).count() == 4


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).resolve().parents[3]
    runpy.run_path(str(root / "examples" / "dataset" / "rolling_average.py"), run_name="__main__")
    assert capsys.readouterr().out == "2026-12-29 105 103.0\n2026-12-30 106 104.0\n2026-12-31 100 103.6\n"


def test_without_a_column_rows_are_in_their_own_order() -> None:
    # A moving sum of three over rows of several partitions, in an order that no column has.
    for threads, size in ((1, 1), (2, 7), (4, 1_000), (4, None)):
        with sf.Session(threads=threads) as session:
            rows = [(n * 7_919) % 10_007 for n in range(20_000)]
            ds = session.range(20_000).select(n=sf.col("id") * 7_919 % 10_007).filter(sf.col("n") != 3)
            rows = [n for n in rows if n != 3]
            got = ds.map_overlap(sum_of_three, 1, 1, batch_size=size, batch_format="pandas").to_pandas()
            assert got["n"].to_list() == rows
            frame = pd.DataFrame({"n": rows})
            assert got["s"].to_list() == sum_of_three(frame)["s"].to_list(), (threads, size)


def sum_of_three(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the sum of each row and its neighbours."""
    return frame.assign(s=frame["n"].rolling(3, center=True, min_periods=1).sum())


def test_without_a_column_margins_are_rows() -> None:
    seen = sf.range(10).map_overlap(lambda table: table, 2, 3, batch_size=4).to_pydict()
    assert seen == {"id": list(range(10))}
    empty = sf.range(0).map_overlap(lambda table: table, 2, 3, schema={"id": "int64"})
    assert empty.to_pydict() == {"id": []}
    with pytest.raises(sf.InvalidInputError, match=r"before is a distance along a column, and none is named[\s\S]*on="):
        sf.range(10).map_overlap(lambda table: table, "3i")
