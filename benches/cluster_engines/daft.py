"""Daft on a cluster of Ray's: a head without CPUs, and two nodes with one each."""

import logging
from functools import cache

import daft as df
import pyarrow as pa
import ray
from ray.cluster_utils import Cluster

from cases import Case
from cluster_cases import NODES
from cluster_engines.answers import LIMITED, seen
from engines import Run, daft

# Of each node's store.
STORE_BYTES = 1 << 30


@cache
def cluster() -> Cluster:
    """The cluster of this process, and Daft on it. Its files are where `RAY_TMPDIR` says."""
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(NODES):
        started.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    ray.init(started.address, log_to_driver=False, logging_level=logging.ERROR)
    df.set_runner_ray(started.address, noop_if_initialized=True)
    return started


def close() -> None:
    """Stop the cluster, if it was started."""
    if cluster.cache_info().currsize:
        ray.shutdown()
        cluster().shutdown()


def sql(case: Case) -> Run:
    """A query over the TPC-H tables."""
    cluster()
    asked = daft.over_tpch(case)

    def run() -> pa.Table:
        try:
            return asked()
        except ray.exceptions.RayTaskError as error:
            # Ray's own text begins with where it happened, for longer than a footnote has room.
            raise error.cause from error

    return run


def first(case: Case) -> Run:
    """The first rows of many files."""
    cluster()

    def run() -> pa.Table:
        return seen(df.read_parquet(f"{case.input}/*.parquet").limit(LIMITED).to_arrow())

    return run
