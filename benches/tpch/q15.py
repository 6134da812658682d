"""Polars: Top supplier."""

from datetime import date

import polars as pl

from tpch.tables import Tables, disc_price


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""
    revenue = (
        tables.lineitem.filter(pl.col("l_shipdate").is_between(date(1996, 1, 1), date(1996, 4, 1), closed="left"))
        .group_by(pl.col("l_suppkey").alias("supplier_no"))
        .agg(disc_price.sum().alias("total_revenue"))
    )
    return (
        tables.supplier.join(revenue, left_on="s_suppkey", right_on="supplier_no")
        .join(revenue.select(pl.max("total_revenue")), on="total_revenue")
        .select("s_suppkey", "s_name", "s_address", "s_phone", "total_revenue")
        .sort("s_suppkey")
    )
