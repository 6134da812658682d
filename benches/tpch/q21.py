"""Polars: Suppliers who kept orders waiting."""

import polars as pl

from tpch.tables import Tables


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""
    suppliers = tables.lineitem.group_by("l_orderkey").agg(pl.n_unique("l_suppkey").alias("suppliers"))
    late = tables.lineitem.filter(pl.col("l_receiptdate") > pl.col("l_commitdate"))
    late_suppliers = late.group_by("l_orderkey").agg(pl.n_unique("l_suppkey").alias("late_suppliers"))
    return (
        late.join(suppliers.filter(pl.col("suppliers") > 1), on="l_orderkey")
        .join(late_suppliers.filter(pl.col("late_suppliers") == 1), on="l_orderkey")
        .join(
            tables.orders.filter(pl.col("o_orderstatus") == "F"),
            left_on="l_orderkey",
            right_on="o_orderkey",
            how="semi",
        )
        .join(tables.supplier, left_on="l_suppkey", right_on="s_suppkey")
        .join(tables.nation.filter(pl.col("n_name") == "SAUDI ARABIA"), left_on="s_nationkey", right_on="n_nationkey")
        .group_by("s_name")
        .agg(pl.len().alias("numwait"))
        .sort("numwait", "s_name", descending=[True, False])
        .head(100)
    )
