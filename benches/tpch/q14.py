"""Polars: Promotion effect."""

from datetime import date

import polars as pl

from tpch.tables import Tables, disc_price


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""
    promo = disc_price.filter(pl.col("p_type").str.starts_with("PROMO")).sum().cast(pl.Float64)
    return (
        tables.lineitem.filter(pl.col("l_shipdate").is_between(date(1995, 9, 1), date(1995, 10, 1), closed="left"))
        .join(tables.part, left_on="l_partkey", right_on="p_partkey")
        .select((100.0 * promo / disc_price.sum().cast(pl.Float64)).alias("promo_revenue"))
    )
