"""Polars on its streaming engine. The TPC-H queries are written with its own lazy frames, its natural language."""

import importlib
from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa

from cases import Case
from engines import Run
from engines.functions import add_one, upper
from tpch.tables import Tables


def collected(frame: pl.LazyFrame) -> pa.Table:
    """The rows of a lazy frame."""
    return frame.collect(engine="streaming").to_arrow()


def sql(case: Case) -> Run:
    """A TPC-H query."""
    query = importlib.import_module(f"tpch.q{case.query:02}").query
    folder = Path(case.input)
    return lambda: collected(query(Tables.scan(folder)))


def scan(case: Case) -> Run:
    """The filtered scan."""
    lineitem = Path(case.input) / "lineitem.parquet"
    return lambda: collected(
        pl.scan_parquet(lineitem)
        .filter((pl.col("l_shipdate") >= date(1998, 9, 1)) & (pl.col("l_discount") >= Decimal("0.05")))
        .select("l_orderkey", "l_partkey", "l_extendedprice", "l_shipdate", "l_shipmode")
    )


def csv_to_parquet(case: Case) -> Run:
    """Read with inference, write with Snappy."""
    target = Path(case.output) / "lineitem.parquet"

    def run() -> None:
        pl.scan_csv(case.input, try_parse_dates=True).sink_parquet(target, compression="snappy", engine="streaming")

    return run


def map_numpy(case: Case) -> Run:
    """`map_batches` on the lazy frame, batch by batch."""

    def mapped(frame: pl.DataFrame) -> pl.DataFrame:
        return pl.DataFrame({"x": add_one(frame["x"].to_numpy())})

    return lambda: collected(
        pl.scan_parquet(case.input)
        .map_batches(mapped, streamable=True, schema={"x": pl.Int64})
        .select(pl.len().alias("rows"), pl.sum("x").alias("total"))
    )


def map_pandas(case: Case) -> Run:
    """`map_batches` on the lazy frame, with a pandas series in between."""

    def mapped(frame: pl.DataFrame) -> pl.DataFrame:
        series: pd.Series = frame["s"].to_pandas(use_pyarrow_extension_array=True)
        return pl.DataFrame({"s": pl.from_pandas(upper(series))})

    return lambda: collected(
        pl.scan_parquet(case.input)
        .map_batches(mapped, streamable=True, schema={"s": pl.String})
        .select(pl.len().alias("rows"), pl.min("s").alias("least"), pl.max("s").alias("greatest"))
    )
