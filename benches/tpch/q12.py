"""Polars: Shipping modes and order priority."""

from datetime import date

import polars as pl

from tpch.tables import Tables


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""
    urgent = pl.col("o_orderpriority").is_in(["1-URGENT", "2-HIGH"])
    return (
        tables.orders.join(
            tables.lineitem.filter(
                pl.col("l_shipmode").is_in(["MAIL", "SHIP"]),
                pl.col("l_commitdate") < pl.col("l_receiptdate"),
                pl.col("l_shipdate") < pl.col("l_commitdate"),
                pl.col("l_receiptdate").is_between(date(1994, 1, 1), date(1995, 1, 1), closed="left"),
            ),
            left_on="o_orderkey",
            right_on="l_orderkey",
        )
        .group_by("l_shipmode")
        .agg(urgent.sum().alias("high_line_count"), urgent.not_().sum().alias("low_line_count"))
        .sort("l_shipmode")
    )
