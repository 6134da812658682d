"""Polars: Small-quantity-order revenue."""

import polars as pl

from tpch.tables import Tables


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""
    lines = tables.part.filter((pl.col("p_brand") == "Brand#23") & (pl.col("p_container") == "MED BOX")).join(
        tables.lineitem, left_on="p_partkey", right_on="l_partkey"
    )
    small = lines.group_by("p_partkey").agg((0.2 * pl.mean("l_quantity").cast(pl.Float64)).alias("limit"))
    return (
        lines.join(small, on="p_partkey")
        .filter(pl.col("l_quantity").cast(pl.Float64) < pl.col("limit"))
        # The sum of nothing is null in SQL and 0 in Polars.
        .select(pl.when(pl.len() > 0).then(pl.sum("l_extendedprice").cast(pl.Float64) / 7.0).alias("avg_yearly"))
    )
