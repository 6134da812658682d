"""Polars: Large volume customer."""

import polars as pl

from tpch.tables import Tables


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""
    large = tables.lineitem.group_by("l_orderkey").agg(pl.sum("l_quantity")).filter(pl.col("l_quantity") > 300)
    return (
        tables.orders.join(large.select("l_orderkey"), left_on="o_orderkey", right_on="l_orderkey", how="semi")
        .join(tables.customer, left_on="o_custkey", right_on="c_custkey")
        .join(tables.lineitem, left_on="o_orderkey", right_on="l_orderkey")
        .group_by("c_name", pl.col("o_custkey").alias("c_custkey"), "o_orderkey", "o_orderdate", "o_totalprice")
        .agg(pl.sum("l_quantity").alias("quantity"))
        .sort("o_totalprice", "o_orderdate", descending=[True, False])
        .head(100)
    )
