"""Windows over whole partitions: larger than memory, and in the order that the window gives."""

import random

import polars as pl

import sheaf as sf

X = sf.col("x")
WHOLE = ("rows", None, None)


def test_a_partition_larger_than_memory_waits_on_disk() -> None:
    rows, text = 3_000_000, sf.functions.lpad(sf.col("id").cast("string"), 80, "x")
    with sf.Session(memory_limit="192MiB", threads=2) as session:
        data = session.range(rows).with_columns(k=sf.col("id") % 10 == 0, text=text)
        for by in (None, "k"):
            windowed = data.window(by, total=sf.col("id").sum(), rows=sf.functions.count())
            found = windowed.groupby("k").agg(
                {"total": ["min", "max"], "rows": ["min", "max"], "text": ["max"], "id": ["sum"]}
            )
            told = {row["k"]: list(row.values())[1:] for row in found.to_pylist()}
            for k in (True, False):
                ids = [at for at in range(rows) if (at % 10 == 0) == k]
                total, count = (sum(range(rows)), rows) if by is None else (sum(ids), len(ids))
                assert told[k] == [total, total, count, count, ("0" if k else "9").rjust(80, "x"), sum(ids)], (by, k)
            stats = found.stats()
            assert stats is not None
            (window,) = [line for line in stats.splitlines() if "WholeWindowExec" in line]
            assert "spill_count=0" not in window, window


def test_functions_of_the_rows_to_come_are_computed_on_disk() -> None:
    rows = 2_000_000
    with sf.Session(memory_limit="192MiB", threads=2) as session:
        data = session.range(rows).with_column("text", sf.functions.lpad(sf.col("id").cast("string"), 80, "x"))
        windowed = data.with_columns(
            tile=sf.functions.ntile(4).over(order_by="id"),
            percent=sf.functions.percent_rank().over(order_by="id"),
            share=sf.functions.cume_dist().over(order_by="id"),
            last=sf.col("id").last().over(order_by="id", frame=WHOLE),
            rest=sf.col("id").count().over(order_by="id", frame=("rows", 0, None)),
        )
        wrong = windowed.filter(
            (sf.col("tile") != sf.col("id") * 4 // rows + 1)
            | (sf.col("percent") != sf.col("id") / (rows - 1))
            | (sf.col("share") != (sf.col("id") + 1) / rows)
            | (sf.col("last") != rows - 1)
            | (sf.col("rest") != rows - sf.col("id"))
        )
        assert wrong.count() == 0
        assert windowed.count() == rows


def frame_of(seed: int) -> pl.DataFrame:
    """Return rows with nulls in a random order; `t` is different on each."""
    dice = random.Random(seed)
    rows = dice.choice([0, 1, 40, 300])
    return pl.DataFrame(
        {
            "k": [dice.choice(["a", "b", None]) for _ in range(rows)],
            "t": dice.sample(range(10 * rows + 1), rows),
            "x": [None if dice.random() < 0.2 else dice.randrange(-5, 6) for _ in range(rows)],
        },
        schema={"k": pl.String, "t": pl.Int64, "x": pl.Int64},
    )


def test_windows_are_those_of_polars() -> None:
    for seed in range(12):
        frame = frame_of(seed)
        middle = len(frame) // 2
        for by in (None, "k"):
            theirs = {
                "total": pl.col("x").sum(),
                "most": pl.col("x").max(),
                "first": pl.col("x").sort_by("t").first(),
                "last": pl.col("x").sort_by("t").drop_nulls().last(),
            }
            expected = frame.with_columns(**{n: e.over(by) if by else e for n, e in theirs.items()}).sort("t")
            ds = sf.from_polars(frame[:middle]).union(sf.from_polars(frame[middle:]))
            got = ds.with_columns(
                total=X.sum().over(by),
                most=X.max().over(by),
                first=X.first().over(by, order_by="t", frame=WHOLE),
                last=X.last(ignore_nulls=True).over(by, order_by="t", frame=WHOLE),
            )
            got = got.with_column("total", sf.functions.coalesce(sf.col("total"), 0)).sort("t").to_polars()
            assert got.rows() == expected.rows(), (seed, by)


def test_rows_keep_the_order_that_the_window_gives() -> None:
    with sf.Session(threads=1) as session:
        data = session.range(1_000).select(k=sf.col("id") % 3, t=(sf.col("id") * 7919) % 1_009)
        for frame in (None, WHOLE, ("rows", 0, None), ("rows", None, 0)):
            windowed = data.window("k", order_by="t", frame=frame, total=sf.col("t").sum(), n=sf.functions.count())
            rows = [(row["k"], row["t"]) for row in windowed.to_pylist()]
            assert rows == sorted(rows), frame
