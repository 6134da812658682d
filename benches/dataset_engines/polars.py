"""Polars on its streaming engine, in its own language."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa

from cases import Case
from dataset_cases import JOINS
from dataset_engines.functions import SEED
from engines import Run

Frame = pl.LazyFrame


def collected(frame: Frame) -> pa.Table:
    """The rows of a lazy frame."""
    return frame.collect(engine="streaming").to_arrow()


def summed(frame: Frame, **columns: str) -> Frame:
    """How many rows there are, and the sums of these columns."""
    return frame.select(pl.len().alias("n"), *(pl.sum(column).alias(name) for name, column in columns.items()))


def g01(x: Frame) -> Frame:
    """Sum by a key of few values."""
    return x.group_by("id1").agg(pl.sum("v1"))


def g02(x: Frame) -> Frame:
    """Sum by two keys."""
    return x.group_by("id1", "id2").agg(pl.sum("v1"))


def g03(x: Frame) -> Frame:
    """Sum and mean by a key of many values."""
    return summed(x.group_by("id3").agg(pl.sum("v1"), pl.mean("v3")), v1="v1", v3="v3")


def g04(x: Frame) -> Frame:
    """Means by an integer key."""
    return x.group_by("id4").agg(pl.mean("v1"), pl.mean("v2"), pl.mean("v3"))


def g05(x: Frame) -> Frame:
    """Sums by an integer key of many values."""
    return summed(x.group_by("id6").agg(pl.sum("v1"), pl.sum("v2"), pl.sum("v3")), v1="v1", v2="v2", v3="v3")


def g06(x: Frame) -> Frame:
    """Median and deviation."""
    return summed(x.group_by("id4", "id5").agg(m=pl.median("v3"), s=pl.std("v3")), m="m", s="s")


def g07(x: Frame) -> Frame:
    """A difference of two aggregates."""
    return summed(x.group_by("id3").agg(d=pl.max("v1") - pl.min("v2")), d="d")


def g08(x: Frame) -> Frame:
    """The largest two of each group."""
    return summed(x.group_by("id6").agg(pl.col("v3").top_k(2)).explode("v3"), v3="v3")


def g09(x: Frame) -> Frame:
    """A regression's determination."""
    return summed(x.group_by("id2", "id4").agg(r=pl.corr("v1", "v2") ** 2), r="r")


def g10(x: Frame) -> Frame:
    """As many groups as there are rows, nearly."""
    keys = [f"id{at}" for at in range(1, 7)]
    return summed(x.group_by(keys).agg(pl.sum("v3"), c=pl.len()), v3="v3", c="c")


def grouped(case: Case) -> Run:
    """A question over groups."""
    question: Callable[[Frame], Frame] = globals()[case.name]
    return lambda: collected(question(pl.scan_parquet(case.input)))


def joined(case: Case) -> Run:
    """A join."""
    right, key, how, _ = JOINS[case.name]
    folder = Path(case.input)

    def run() -> pa.Table:
        x, other = (
            pl.scan_parquet(folder / f"{name}.parquet").select(key, value)
            for name, value in (("x", "v1"), (right, "v2"))
        )
        return collected(summed(x.join(other, on=key, how=how), v1="v1", v2="v2"))  # type: ignore[arg-type]

    return run


def words(case: Case) -> Run:
    """Words by their number."""

    def run() -> pa.Table:
        lines = pl.scan_csv(case.input, has_header=False, new_columns=["line"], separator="\x01", quote_char=None)
        split = lines.select(word=pl.col("line").str.split(" ")).explode("word")
        n = pl.col("n")
        return collected(split.group_by("word").agg(n=pl.len()).select(words=pl.len(), total=n.sum(), most=n.max()))

    return run


def sorted_(case: Case) -> Run:
    """A sort into one file; the engine has no limit of memory to be told."""

    def run() -> None:
        pl.scan_parquet(case.input).sort("key").sink_parquet(
            Path(case.output) / "rows.parquet", compression="snappy", engine="streaming"
        )

    return run


def shuffled(case: Case) -> Run:
    """A sample of all rows in another order."""

    def run() -> None:
        rows = pl.read_parquet(case.input).sample(fraction=1.0, shuffle=True, seed=SEED)
        rows.write_parquet(Path(case.output) / "rows.parquet", compression="snappy")

    return run
