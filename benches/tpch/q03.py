"""Polars: Shipping priority."""

from datetime import date

import polars as pl

from tpch.tables import Tables, disc_price


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""
    return (
        tables.customer.filter(pl.col("c_mktsegment") == "BUILDING")
        .join(
            tables.orders.filter(pl.col("o_orderdate") < date(1995, 3, 15)), left_on="c_custkey", right_on="o_custkey"
        )
        .join(
            tables.lineitem.filter(pl.col("l_shipdate") > date(1995, 3, 15)),
            left_on="o_orderkey",
            right_on="l_orderkey",
        )
        .group_by("o_orderkey", "o_orderdate", "o_shippriority")
        .agg(disc_price.sum().alias("revenue"))
        .select(pl.col("o_orderkey").alias("l_orderkey"), "revenue", "o_orderdate", "o_shippriority")
        .sort("revenue", "o_orderdate", descending=[True, False])
        .head(10)
    )
