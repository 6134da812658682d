"""Polars: Global sales opportunity."""

import polars as pl

from tpch.tables import Tables


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""
    customers = tables.customer.select(
        pl.col("c_phone").str.slice(0, 2).alias("cntrycode"), "c_acctbal", "c_custkey"
    ).filter(pl.col("cntrycode").is_in(["13", "31", "23", "29", "30", "18", "17"]))
    average = customers.filter(pl.col("c_acctbal") > 0).select(pl.mean("c_acctbal").cast(pl.Float64).alias("average"))
    return (
        customers.join(average, how="cross")
        .filter(pl.col("c_acctbal").cast(pl.Float64) > pl.col("average"))
        .join(tables.orders, left_on="c_custkey", right_on="o_custkey", how="anti")
        .group_by("cntrycode")
        .agg(pl.len().alias("numcust"), pl.sum("c_acctbal").alias("totacctbal"))
        .sort("cntrycode")
    )
