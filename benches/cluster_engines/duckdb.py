"""DuckDB, whose rows the others' are compared with. It takes no part in the race."""

import pyarrow as pa

from cases import Case
from cluster_engines.answers import LIMITED, seen
from engines import Run, duckdb

sql = killed = duckdb.sql


def first(case: Case) -> Run:
    """Some row of many files."""
    connection = duckdb.connect(case)

    def run() -> pa.Table:
        query = f"select * from read_parquet('{case.input}/*.parquet') limit {LIMITED}"
        return seen(connection.sql(query).to_arrow_table())

    return run
