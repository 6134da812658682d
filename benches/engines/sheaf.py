"""Sheaf with its default settings, but for the threads."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import sheaf as sf

from cases import TPCH_TABLES, Case
from engines import Run
from engines.functions import add_one, upper


def sql(case: Case) -> Run:
    """A query over the TPC-H tables."""
    session = sf.Session(threads=case.threads)
    folder = Path(case.input)
    for name in TPCH_TABLES:
        session.register(name, session.read_parquet(folder / f"{name}.parquet"))
    return lambda: session.sql(case.sql).to_arrow()


scan = sql


def csv_to_parquet(case: Case) -> Run:
    """Read with inference, write with Snappy."""
    session = sf.Session(threads=case.threads)
    target = Path(case.output) / "lineitem.parquet"

    def run() -> None:
        session.read_csv(case.input).write_parquet(target, compression="snappy")

    return run


def map_numpy(case: Case) -> Run:
    """`map_batches` in NumPy's format."""
    session = sf.Session(threads=case.threads)
    schema = pa.schema({"x": pa.int64()})

    def mapped(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"x": add_one(batch["x"])}

    def run() -> pa.Table:
        dataset = session.read_parquet(case.input).map_batches(mapped, batch_format="numpy", schema=schema)
        return session.sql("select count(*) as rows, sum(x) as total from mapped", mapped=dataset).to_arrow()

    return run


def map_pandas(case: Case) -> Run:
    """`map_batches` in pandas' format."""
    session = sf.Session(threads=case.threads)
    schema = pa.schema({"s": pa.large_string()})

    def mapped(batch: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"s": upper(batch["s"])})

    def run() -> pa.Table:
        dataset = session.read_parquet(case.input).map_batches(mapped, batch_format="pandas", schema=schema)
        query = "select count(*) as rows, min(s) as least, max(s) as greatest from mapped"
        return session.sql(query, mapped=dataset).to_arrow()

    return run
