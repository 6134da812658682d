"""Polars: Local supplier volume."""

from datetime import date

import polars as pl

from tpch.tables import Tables, disc_price


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""
    return (
        tables.region.filter(pl.col("r_name") == "ASIA")
        .join(tables.nation, left_on="r_regionkey", right_on="n_regionkey")
        .join(tables.customer, left_on="n_nationkey", right_on="c_nationkey")
        .join(
            tables.orders.filter(pl.col("o_orderdate").is_between(date(1994, 1, 1), date(1995, 1, 1), closed="left")),
            left_on="c_custkey",
            right_on="o_custkey",
        )
        .join(tables.lineitem, left_on="o_orderkey", right_on="l_orderkey")
        .join(tables.supplier, left_on=["l_suppkey", "n_nationkey"], right_on=["s_suppkey", "s_nationkey"])
        .group_by("n_name")
        .agg(disc_price.sum().alias("revenue"))
        .sort("revenue", descending=True)
    )
