"""Polars: Volume shipping."""

from datetime import date

import polars as pl

from tpch.tables import Tables, disc_price


def query(tables: Tables) -> pl.LazyFrame:
    """The query as a lazy frame."""
    france = tables.nation.filter(pl.col("n_name") == "FRANCE")
    germany = tables.nation.filter(pl.col("n_name") == "GERMANY")

    def shipped(supplier_nation: pl.LazyFrame, customer_nation: pl.LazyFrame) -> pl.LazyFrame:
        return (
            tables.customer.join(customer_nation, left_on="c_nationkey", right_on="n_nationkey")
            .rename({"n_name": "cust_nation"})
            .join(tables.orders, left_on="c_custkey", right_on="o_custkey")
            .join(
                tables.lineitem.filter(pl.col("l_shipdate").is_between(date(1995, 1, 1), date(1996, 12, 31))),
                left_on="o_orderkey",
                right_on="l_orderkey",
            )
            .join(tables.supplier, left_on="l_suppkey", right_on="s_suppkey")
            .join(supplier_nation, left_on="s_nationkey", right_on="n_nationkey")
            .rename({"n_name": "supp_nation"})
            .select("supp_nation", "cust_nation", "l_shipdate", "l_extendedprice", "l_discount")
        )

    return (
        pl.concat([shipped(france, germany), shipped(germany, france)])
        .with_columns(pl.col("l_shipdate").dt.year().alias("l_year"))
        .group_by("supp_nation", "cust_nation", "l_year")
        .agg(disc_price.sum().alias("revenue"))
        .sort("supp_nation", "cust_nation", "l_year")
    )
