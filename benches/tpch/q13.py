"""Polars: Customer distribution."""

import polars as pl

from tpch.tables import Tables


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""
    return (
        tables.customer.join(
            tables.orders.filter(pl.col("o_comment").str.contains("special.*requests").not_()),
            left_on="c_custkey",
            right_on="o_custkey",
            how="left",
        )
        .group_by("c_custkey")
        .agg(pl.count("o_orderkey").alias("c_count"))
        .group_by("c_count")
        .agg(pl.len().alias("custdist"))
        .sort("custdist", "c_count", descending=True)
    )
