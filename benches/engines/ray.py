"""Ray Data on a local cluster, which is started outside the clock and shut down at the end."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import ray
from ray.data.aggregate import Count, Max, Min, Sum

from cases import Case
from engines import Run
from engines.functions import add_one, upper


def start(case: Case) -> None:
    """A cluster of the case's size, quiet, without a dashboard, its files in the folder of the run."""
    ray.init(
        address="local",
        num_cpus=case.threads,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _temp_dir=str(Path.cwd() / "ray"),
    )
    ray.data.DataContext.get_current().enable_progress_bars = False


def close() -> None:
    """Stop the cluster."""
    ray.shutdown()


def map_numpy(case: Case) -> Run:
    """`map_batches` in NumPy's format."""
    start(case)

    def mapped(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"x": add_one(batch["x"])}

    def run() -> pa.Table:
        dataset = ray.data.read_parquet(case.input).map_batches(mapped, batch_format="numpy", batch_size=None)
        found = dataset.aggregate(Count(), Sum("x"))
        return pa.table({"rows": [found["count()"]], "total": [found["sum(x)"]]})

    return run


def map_pandas(case: Case) -> Run:
    """`map_batches` in pandas' format."""
    start(case)

    def mapped(batch: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"s": upper(batch["s"])})

    def run() -> pa.Table:
        dataset = ray.data.read_parquet(case.input).map_batches(mapped, batch_format="pandas", batch_size=None)
        found = dataset.aggregate(Count(), Min("s"), Max("s"))
        return pa.table({"rows": [found["count()"]], "least": [found["min(s)"]], "greatest": [found["max(s)"]]})

    return run
