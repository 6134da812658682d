"""Polars: Discounted revenue."""

import polars as pl

from tpch.tables import Tables, disc_price


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""

    def wanted(brand: str, containers: list[str], least: int, largest: int) -> pl.Expr:
        return (
            (pl.col("p_brand") == brand)
            & pl.col("p_container").is_in(containers)
            & pl.col("l_quantity").is_between(least, least + 10)
            & pl.col("p_size").is_between(1, largest)
        )

    return (
        tables.lineitem.filter(
            pl.col("l_shipmode").is_in(["AIR", "AIR REG"]), pl.col("l_shipinstruct") == "DELIVER IN PERSON"
        )
        .join(tables.part, left_on="l_partkey", right_on="p_partkey")
        .filter(
            wanted("Brand#12", ["SM CASE", "SM BOX", "SM PACK", "SM PKG"], 1, 5)
            | wanted("Brand#23", ["MED BAG", "MED BOX", "MED PKG", "MED PACK"], 10, 10)
            | wanted("Brand#34", ["LG CASE", "LG BOX", "LG PACK", "LG PKG"], 20, 15)
        )
        .select(disc_price.sum().alias("revenue"))
    )
