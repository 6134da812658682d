"""Daft on its native runner."""

from pathlib import Path

import daft
import pyarrow as pa
from daft import DataType, Series, col

from cases import TPCH_TABLES, Case
from engines import Run
from engines.functions import add_one, upper


def sql(case: Case) -> Run:
    """A query over the TPC-H tables."""
    daft.set_runner_native(case.threads)
    return over_tpch(case)


def over_tpch(case: Case) -> Run:
    """The same on whichever runner is set."""
    folder = Path(case.input)

    def run() -> pa.Table:
        tables = {name: daft.read_parquet(str(folder / f"{name}.parquet")) for name in TPCH_TABLES}
        return daft.sql(case.sql, register_globals=False, **tables).to_arrow()

    return run


scan = sql


def csv_to_parquet(case: Case) -> Run:
    """Read with inference, write with Snappy."""
    daft.set_runner_native(case.threads)

    def run() -> None:
        daft.read_csv(case.input).write_parquet(case.output, compression="snappy")

    return run


@daft.func.batch(return_dtype=DataType.int64())
def added(values: Series) -> pa.Array:
    """The NumPy function over a Daft series."""
    return pa.array(add_one(values.to_arrow().to_numpy()))


@daft.func.batch(return_dtype=DataType.string())
def uppered(values: Series) -> pa.Array:
    """The pandas function over a Daft series."""
    return pa.Array.from_pandas(upper(values.to_arrow().to_pandas()))


def map_numpy(case: Case) -> Run:
    """A batch function, and the aggregate of its column."""
    daft.set_runner_native(case.threads)
    return lambda: (
        daft.read_parquet(case.input)
        .select(added(col("x")).alias("x"))
        .agg(col("x").count().alias("rows"), col("x").sum().alias("total"))
        .to_arrow()
    )


def map_pandas(case: Case) -> Run:
    """A batch function, and the aggregate of its column."""
    daft.set_runner_native(case.threads)
    return lambda: (
        daft.read_parquet(case.input)
        .select(uppered(col("s")).alias("s"))
        .agg(col("s").count().alias("rows"), col("s").min().alias("least"), col("s").max().alias("greatest"))
        .to_arrow()
    )
