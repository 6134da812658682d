"""Polars: Important stock identification."""

import polars as pl

from tpch.tables import Tables


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""
    stock = (
        tables.nation.filter(pl.col("n_name") == "GERMANY")
        .join(tables.supplier, left_on="n_nationkey", right_on="s_nationkey")
        .join(tables.partsupp, left_on="s_suppkey", right_on="ps_suppkey")
        .select("ps_partkey", (pl.col("ps_supplycost") * pl.col("ps_availqty")).alias("value"))
    )
    threshold = stock.select((pl.sum("value").cast(pl.Float64) * 0.0001).alias("threshold"))
    return (
        stock.group_by("ps_partkey")
        .agg(pl.sum("value"))
        .join(threshold, how="cross")
        .filter(pl.col("value").cast(pl.Float64) > pl.col("threshold"))
        .select("ps_partkey", "value")
        .sort("value", descending=True)
    )
