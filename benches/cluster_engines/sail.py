"""Sail on its local cluster: two workers with a slot each, in the server's process, spoken to with Spark's client."""

import os
from functools import cache

import pyarrow as pa

from cases import TPCH_TABLES, Case
from cluster_cases import NODES
from cluster_engines.answers import LIMITED, seen
from engines import Run

# Read when the server starts.
os.environ |= {
    "SAIL_MODE": "local-cluster",
    "SAIL_CLUSTER__WORKER_INITIAL_COUNT": str(NODES),
    "SAIL_CLUSTER__WORKER_MAX_COUNT": str(NODES),
    # They wait while the other engines run.
    "SAIL_CLUSTER__WORKER_MAX_IDLE_TIME_SECS": "86400",
    "SAIL_CLUSTER__WORKER_TASK_SLOTS": "1",
    "SAIL_EXECUTION__DEFAULT_PARALLELISM": str(NODES),
}

from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession


@cache
def started() -> tuple[SparkConnectServer, SparkSession]:
    """The server and a session on it."""
    server = SparkConnectServer()
    server.start(background=True)
    host, port = server.listening_address
    return server, SparkSession.builder.remote(f"sc://{host}:{port}").getOrCreate()


def session() -> SparkSession:
    """The session of this process."""
    return started()[1]


def close() -> None:
    """Stop the cluster, if it was started."""
    if started.cache_info().currsize:
        server, joined = started()
        joined.stop()
        server.stop()


def sql(case: Case) -> Run:
    """A query over the TPC-H tables."""
    for name in TPCH_TABLES:
        session().read.parquet(f"{case.input}/{name}.parquet").createOrReplaceTempView(name)
    return lambda: session().sql(case.sql).toArrow()


def first(case: Case) -> Run:
    """The first rows of many files."""

    def run() -> pa.Table:
        return seen(session().sql(f"SELECT * FROM parquet.`{case.input}` LIMIT {LIMITED}").toArrow())

    return run
