"""DuckDB, whose rows the others' are compared with."""

from pathlib import Path

import duckdb
import pyarrow as pa

from cases import TPCH_TABLES, Case
from engines import Run


def connect(case: Case) -> duckdb.DuckDBPyConnection:
    """A connection with the case's threads and no files of its own."""
    return duckdb.connect(config={"threads": case.threads})


def over_tpch(case: Case) -> duckdb.DuckDBPyConnection:
    """A connection in which the TPC-H tables are views over their files."""
    connection = connect(case)
    for name in TPCH_TABLES:
        path = Path(case.input) / f"{name}.parquet"
        connection.execute(f"create view {name} as select * from read_parquet('{path}')")
    return connection


def sql(case: Case) -> Run:
    """A query over the TPC-H tables."""
    connection = over_tpch(case)
    return lambda: connection.sql(case.sql).to_arrow_table()


scan = sql


def csv_to_parquet(case: Case) -> Run:
    """Convert with COPY."""
    connection = connect(case)
    target = Path(case.output) / "lineitem.parquet"

    def run() -> None:
        connection.execute(
            f"copy (select * from read_csv('{case.input}')) to '{target}' (format parquet, compression snappy)"
        )

    return run


def map_numpy(case: Case) -> Run:
    """What the NumPy function must come to; it is not timed against it."""
    return _truth(case, "select count(*) as rows, sum(x + 1) as total from read_parquet($input)")


def map_pandas(case: Case) -> Run:
    """What the pandas function must come to; it is not timed against it."""
    return _truth(
        case,
        "select count(*) as rows, min(upper(s)) as least, max(upper(s)) as greatest from read_parquet($input)",
    )


def converted(case: Case) -> pa.Table:
    """The digest of a converted file, by which engines' outputs are compared."""
    connection = connect(case)
    return connection.execute(
        """
        select
            count(*) as rows,
            sum(l_orderkey) as orderkey,
            round(sum(l_extendedprice::double), 2) as extendedprice,
            sum(l_discount::decimal(15, 2)) as discount,
            min(l_shipdate::date) as first_ship,
            max(l_receiptdate::date) as last_receipt,
            count(distinct l_shipmode) as modes,
            sum(length(l_comment)) as comment_length
        from read_parquet($files)
        """,
        {"files": f"{case.output}/**/*.parquet"},
    ).to_arrow_table()


def _truth(case: Case, query: str) -> Run:
    connection = connect(case)
    return lambda: connection.execute(query, {"input": case.input}).to_arrow_table()
