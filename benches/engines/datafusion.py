"""The DataFusion wheel with its default settings, but for the threads."""

from pathlib import Path

import datafusion as df

from cases import TPCH_TABLES, Case
from engines import Run


def context(case: Case) -> df.SessionContext:
    """A session that uses the case's threads."""
    return df.SessionContext(df.SessionConfig().with_target_partitions(case.threads))


def sql(case: Case) -> Run:
    """A query over the TPC-H tables."""
    session = context(case)
    for name in TPCH_TABLES:
        session.register_parquet(name, str(Path(case.input) / f"{name}.parquet"))
    return lambda: session.sql(case.sql).to_arrow_table()


scan = sql


def csv_to_parquet(case: Case) -> Run:
    """Read with inference, write with Snappy."""
    session = context(case)

    def run() -> None:
        session.read_csv(case.input).write_parquet(case.output, compression="snappy")

    return run
