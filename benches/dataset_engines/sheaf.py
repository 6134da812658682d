"""Sheaf with its default settings, but for the threads, and the memory where a case limits it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import sheaf as sf

from cases import Case
from dataset_engines.functions import IMAGES_A_BATCH, SEED, HeavyOffset, Offset, digest, heavy_batch, light_batch
from engines import Run

NUMBERS = pa.schema({"x": pa.int64()})


def grouped(case: Case) -> Run:
    """A question over groups."""
    session = sf.Session(threads=case.threads)
    session.register("x", session.read_parquet(case.input))
    return lambda: session.sql(case.sql).to_arrow()


def joined(case: Case) -> Run:
    """A join."""
    session = sf.Session(threads=case.threads)
    for path in Path(case.input).glob("*.parquet"):
        session.register(path.stem, session.read_parquet(path))
    return lambda: session.sql(case.sql).to_arrow()


def words(case: Case) -> Run:
    """Words by their number."""
    session = sf.Session(threads=case.threads)

    def run() -> pa.Table:
        split = session.read_text(case.input).select(word=sf.col("text").str.split(" ")).explode("word")
        counted = split.groupby("word").agg(n=sf.col("word").count())
        n = sf.col("n")
        return counted.aggregate(words=n.count(), total=n.sum(), most=n.max()).to_arrow()

    return run


def _called(function: Callable[..., Any]) -> Callable[[Case], Run]:
    """A function over batches: in this process with one worker, in as many worker processes with more."""

    def prepared(case: Case) -> Run:
        session = sf.Session(threads=case.rows)
        made: Any = function() if isinstance(function, type) else function

        def run() -> pa.Table:
            mapped = session.read_parquet(case.input).map_batches(made, batch_format="numpy", schema=NUMBERS)
            found = mapped.aggregate(rows=sf.col("x").count(), total=sf.col("x").sum()).to_arrow().to_pydict()
            return digest(found["rows"][0], found["total"][0])

        return run

    return prepared


light_function, heavy_function = _called(light_batch), _called(heavy_batch)
light_class, heavy_class = _called(Offset), _called(HeavyOffset)


def sorted_(case: Case) -> Run:
    """An external sort."""
    session = sf.Session(threads=case.threads, memory_limit=case.rows)

    def run() -> None:
        session.read_parquet(case.input).sort("key").write_parquet(f"{case.output}/rows", compression="snappy")

    return run


def shuffled(case: Case) -> Run:
    """A random shuffle."""
    session = sf.Session(threads=case.threads)

    def run() -> None:
        rows = session.read_parquet(case.input).random_shuffle(seed=SEED)
        rows.write_parquet(f"{case.output}/rows", compression="snappy")

    return run


def single(case: Case) -> Run:
    """A function that is called for each row."""
    session = sf.Session(threads=case.threads)

    def run() -> pa.Table:
        rows = session.read_parquet(case.input).limit(case.rows)
        mapped = rows.map_batches(light_batch, batch_size=1, batch_format="numpy", schema=NUMBERS)
        found = mapped.aggregate(rows=sf.col("x").count(), total=sf.col("x").sum()).to_arrow().to_pydict()
        return digest(found["rows"][0], found["total"][0])

    return run


def loader(case: Case) -> Run:
    """Batches of images in an order of the epoch's own."""
    session = sf.Session(threads=case.threads)

    def run() -> pa.Table:
        rows, total = 0, 0
        images = session.read_parquet(case.input).random_shuffle(seed=SEED)
        for batch in images.iter_batches(batch_size=IMAGES_A_BATCH, batch_format="numpy"):
            rows, total = rows + len(batch["image"]), total + batch["label"].sum()
        return digest(rows, total)

    return run
