"""Polars: National market share."""

from datetime import date

import polars as pl

from tpch.tables import Tables, disc_price


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""
    customer_nations = tables.nation.join(
        tables.region.filter(pl.col("r_name") == "AMERICA"), left_on="n_regionkey", right_on="r_regionkey"
    ).select("n_nationkey")
    supplier_nations = tables.nation.select("n_nationkey", pl.col("n_name").alias("nation"))
    return (
        tables.part.filter(pl.col("p_type") == "ECONOMY ANODIZED STEEL")
        .join(tables.lineitem, left_on="p_partkey", right_on="l_partkey")
        .join(tables.supplier, left_on="l_suppkey", right_on="s_suppkey")
        .join(
            tables.orders.filter(pl.col("o_orderdate").is_between(date(1995, 1, 1), date(1996, 12, 31))),
            left_on="l_orderkey",
            right_on="o_orderkey",
        )
        .join(tables.customer, left_on="o_custkey", right_on="c_custkey")
        .join(customer_nations, left_on="c_nationkey", right_on="n_nationkey")
        .join(supplier_nations, left_on="s_nationkey", right_on="n_nationkey")
        .select(pl.col("o_orderdate").dt.year().alias("o_year"), disc_price.alias("volume"), "nation")
        .group_by("o_year")
        .agg(
            pl.col("volume").filter(pl.col("nation") == "BRAZIL").sum().cast(pl.Float64).alias("brazil"),
            pl.sum("volume").cast(pl.Float64),
        )
        .select("o_year", (pl.col("brazil") / pl.col("volume")).alias("mkt_share"))
        .sort("o_year")
    )
