"""Daft on its native runner."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import daft
import numpy as np
import pyarrow as pa
from daft import DataType, Series, col

from cases import Case
from dataset_engines.functions import digest, heavy, light
from engines import Run


def grouped(case: Case) -> Run:
    """A question over groups."""
    daft.set_runner_native(case.threads)
    return lambda: daft.sql(case.sql, register_globals=False, x=daft.read_parquet(case.input)).to_arrow()


def joined(case: Case) -> Run:
    """A join."""
    daft.set_runner_native(case.threads)

    def run() -> pa.Table:
        tables = {path.stem: daft.read_parquet(str(path)) for path in Path(case.input).glob("*.parquet")}
        return daft.sql(case.sql, register_globals=False, **tables).to_arrow()

    return run


def words(case: Case) -> Run:
    """Words by their number."""
    daft.set_runner_native(case.threads)

    def run() -> pa.Table:
        lines = daft.read_text(case.input)
        split = lines.select(col(lines.column_names[0]).split(" ").alias("word")).explode("word")
        counted = split.groupby("word").agg(col("word").count().alias("n"))
        n = col("n")
        return counted.agg(n.count().alias("words"), n.sum().alias("total"), n.max().alias("most")).to_arrow()

    return run


def _called(work: Callable[[np.ndarray], np.ndarray], *, state: bool) -> Callable[[Case], Run]:
    """A batch function, or a method of a class, and the aggregate of its column."""

    def prepared(case: Case) -> Run:
        daft.set_runner_native(case.rows)
        function: Any = _with_state(work, case.rows) if state else _without_state(work)

        def run() -> pa.Table:
            mapped = daft.read_parquet(case.input).select(function(col("x")).alias("x"))
            found = mapped.agg(col("x").count().alias("rows"), col("x").sum().alias("total")).to_pydict()
            return digest(found["rows"][0], found["total"][0])

        return run

    return prepared


def _without_state(work: Callable[[np.ndarray], np.ndarray]) -> Any:
    @daft.func.batch(return_dtype=DataType.int64())
    def applied(values: Series) -> pa.Array:
        return pa.array(work(values.to_arrow().to_numpy()))

    return applied


def _with_state(work: Callable[[np.ndarray], np.ndarray], workers: int) -> Any:
    @daft.cls(max_concurrency=workers)
    class Offset:
        def __init__(self) -> None:
            self.table = np.arange(1_000_000, dtype=np.int64)

        @daft.method.batch(return_dtype=DataType.int64())
        def __call__(self, values: Series) -> pa.Array:
            return pa.array(work(values.to_arrow().to_numpy()) + self.table[0])

    return Offset()


light_function, heavy_function = _called(light, state=False), _called(heavy, state=False)
light_class, heavy_class = _called(light, state=True), _called(heavy, state=True)


def sorted_(case: Case) -> Run:
    """A sort; the engine has no limit of memory to be told."""
    daft.set_runner_native(case.threads)

    def run() -> None:
        daft.read_parquet(case.input).sort("key").write_parquet(case.output, compression="snappy")

    return run


def shuffled(case: Case) -> Run:
    """A random shuffle."""
    daft.set_runner_native(case.threads)

    def run() -> None:
        daft.read_parquet(case.input).shuffle(seed=7).write_parquet(case.output, compression="snappy")

    return run
