"""Polars: Forecasting revenue change."""

from datetime import date
from decimal import Decimal

import polars as pl

from tpch.tables import FOUR_DIGITS, Tables


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""
    return tables.lineitem.filter(
        pl.col("l_shipdate").is_between(date(1994, 1, 1), date(1995, 1, 1), closed="left"),
        pl.col("l_discount").is_between(Decimal("0.05"), Decimal("0.07")),
        pl.col("l_quantity") < 24,
    ).select((pl.col("l_extendedprice").cast(FOUR_DIGITS) * pl.col("l_discount")).sum().alias("revenue"))
