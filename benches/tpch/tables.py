"""The TPC-H tables as Polars sees them, and the arithmetic that its queries share."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

# Polars keeps the scale of the factors in a product and would round each row to cents. Widened first, the sums are
# exact, as they are in SQL.
FOUR_DIGITS = pl.Decimal(38, 4)
SIX_DIGITS = pl.Decimal(38, 6)

disc_price = pl.col("l_extendedprice").cast(FOUR_DIGITS) * (1 - pl.col("l_discount"))


@dataclass(frozen=True)
class Tables:
    """One lazy scan for each table."""

    customer: pl.LazyFrame
    lineitem: pl.LazyFrame
    nation: pl.LazyFrame
    orders: pl.LazyFrame
    part: pl.LazyFrame
    partsupp: pl.LazyFrame
    region: pl.LazyFrame
    supplier: pl.LazyFrame

    @classmethod
    def scan(cls, folder: Path) -> "Tables":
        """Scan the Parquet files of a folder."""
        return cls(**{name: pl.scan_parquet(folder / f"{name}.parquet") for name in cls.__dataclass_fields__})
