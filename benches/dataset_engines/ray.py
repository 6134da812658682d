"""Ray Data on a local cluster, which is started outside the clock and shut down at the end."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray.data.aggregate import Count, Max, Mean, Min, Quantile, Std, Sum

from cases import Case
from dataset_cases import JOINS
from dataset_engines.functions import (
    IMAGES_A_BATCH,
    SEED,
    HeavyOffset,
    Offset,
    digest,
    heavy_batch,
    light_batch,
)
from engines import Run

Dataset = Any
PARTITIONS = 8


def start(case: Case, *, workers: int | None = None, store: int | None = None) -> None:
    """A cluster of the case's size, quiet, without a dashboard, its files in the folder of the run, and what it spills
    beside what it writes.
    """
    spilled = Path(case.output).parent / "spilled" if case.output else Path.cwd() / "spilled"
    # Of a run that was stopped.
    shutil.rmtree(spilled, ignore_errors=True)
    spilled.mkdir()
    ray.init(
        address="local",
        num_cpus=workers or case.threads,
        object_store_memory=store,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_spilling_directory=str(spilled),
        _temp_dir=str(Path.cwd() / "ray"),
    )
    ray.data.DataContext.get_current().enable_progress_bars = False


def close() -> None:
    """Stop the cluster."""
    ray.shutdown()


def rows_of(dataset: Dataset, *names: str) -> pa.Table:
    """All rows of a small result."""
    return pa.Table.from_pandas(dataset.to_pandas()[list(names)], preserve_index=False)


def summed(dataset: Dataset, **columns: str) -> pa.Table:
    """How many rows there are, and the sums of these columns."""
    found = dataset.aggregate(Count(), *(Sum(column, alias_name=name) for name, column in columns.items()))
    return pa.table({"n": [found["count()"]], **{name: [found[name]] for name in columns}})


def top_two(group: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The largest two of a group."""
    return {"v3": np.sort(group["v3"])[-2:]}


def determination(group: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The square of a group's correlation."""
    return {"r": np.array([np.corrcoef(group["v1"], group["v2"])[0, 1] ** 2])}


def less(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The one aggregate less the other."""
    return {"d": batch["max(v1)"] - batch["min(v2)"]}


QUESTIONS: dict[str, Callable[[Dataset], pa.Table]] = {
    "g01": lambda x: rows_of(x.groupby("id1").sum("v1"), "id1", "sum(v1)"),
    "g02": lambda x: rows_of(x.groupby(["id1", "id2"]).sum("v1"), "id1", "id2", "sum(v1)"),
    "g03": lambda x: summed(x.groupby("id3").aggregate(Sum("v1"), Mean("v3")), v1="sum(v1)", v3="mean(v3)"),
    "g04": lambda x: rows_of(
        x.groupby("id4").aggregate(Mean("v1"), Mean("v2"), Mean("v3")), "id4", "mean(v1)", "mean(v2)", "mean(v3)"
    ),
    "g05": lambda x: summed(
        x.groupby("id6").aggregate(Sum("v1"), Sum("v2"), Sum("v3")), v1="sum(v1)", v2="sum(v2)", v3="sum(v3)"
    ),
    "g06": lambda x: summed(
        x.groupby(["id4", "id5"]).aggregate(Quantile("v3"), Std("v3")), m="quantile(v3)", s="std(v3)"
    ),
    "g07": lambda x: summed(
        x.groupby("id3").aggregate(Max("v1"), Min("v2")).map_batches(less, batch_format="numpy"), d="d"
    ),
    "g08": lambda x: summed(x.groupby("id6").map_groups(top_two, batch_format="numpy"), v3="v3"),
    "g09": lambda x: summed(x.groupby(["id2", "id4"]).map_groups(determination, batch_format="numpy"), r="r"),
    "g10": lambda x: summed(
        x.groupby([f"id{at}" for at in range(1, 7)]).aggregate(Sum("v3"), Count()), v3="sum(v3)", c="count()"
    ),
}


def grouped(case: Case) -> Run:
    """A question over groups."""
    start(case)
    return lambda: QUESTIONS[case.name](ray.data.read_parquet(case.input))


def joined(case: Case) -> Run:
    """A join."""
    start(case)
    right, key, how, _ = JOINS[case.name]
    kind = {"inner": "inner", "left": "left_outer"}[how]
    folder = Path(case.input)

    def run() -> pa.Table:
        x = ray.data.read_parquet(str(folder / "x.parquet"), columns=[key, "v1"])
        other = ray.data.read_parquet(str(folder / f"{right}.parquet"), columns=[key, "v2"])
        return summed(x.join(other, kind, PARTITIONS, on=(key,)), v1="v1", v2="v2")

    return run


def split_words(batch: pa.Table) -> pa.Table:
    """The words of lines, counted within the batch."""
    words = pa.compute.list_flatten(pa.compute.split_pattern(batch["text"], " "))
    counted = words.value_counts()
    return pa.table({"word": counted.field("values"), "n": counted.field("counts")})


def words(case: Case) -> Run:
    """Words by their number."""
    start(case)

    def run() -> pa.Table:
        lines = ray.data.read_text(case.input).map_batches(split_words, batch_format="pyarrow", batch_size=None)
        n = "sum(n)"
        found = lines.groupby("word").sum("n").aggregate(Count(), Sum(n), Max(n))
        return pa.table({"words": [found["count()"]], "total": [found[f"sum({n})"]], "most": [found[f"max({n})"]]})

    return run


def _called(function: Any) -> Callable[[Case], Run]:
    """A function over batches, or a pool of actors with a class of it."""

    def prepared(case: Case) -> Run:
        start(case, workers=case.rows)
        # A class must leave a whole CPU for the reader, or nothing runs.
        pool = (
            {"compute": ray.data.ActorPoolStrategy(size=case.rows), "num_cpus": 0} if isinstance(function, type) else {}
        )

        def run() -> pa.Table:
            mapped = ray.data.read_parquet(case.input).map_batches(function, batch_format="numpy", **pool)
            found = mapped.aggregate(Count(), Sum("x"))
            return digest(found["count()"], found["sum(x)"])

        return run

    return prepared


light_function, heavy_function = _called(light_batch), _called(heavy_batch)
light_class, heavy_class = _called(Offset), _called(HeavyOffset)


def sorted_(case: Case) -> Run:
    """A sort with an object store of the limit."""
    start(case, store=case.rows)

    def run() -> None:
        ray.data.read_parquet(case.input).sort("key").write_parquet(case.output)

    return run


def shuffled(case: Case) -> Run:
    """A random shuffle."""
    start(case)

    def run() -> None:
        ray.data.read_parquet(case.input).random_shuffle(seed=SEED).write_parquet(case.output)

    return run


def single(case: Case) -> Run:
    """A function that is called for each row."""
    start(case)

    def run() -> pa.Table:
        rows = ray.data.read_parquet(case.input).limit(case.rows)
        mapped = rows.map_batches(light_batch, batch_size=1, batch_format="numpy")
        found = mapped.aggregate(Count(), Sum("x"))
        return digest(found["count()"], found["sum(x)"])

    return run


def loader(case: Case) -> Run:
    """Batches of images in an order of the epoch's own."""
    start(case)

    def run() -> pa.Table:
        rows, total = 0, 0
        images = ray.data.read_parquet(case.input).random_shuffle(seed=SEED)
        for batch in images.iter_batches(batch_size=IMAGES_A_BATCH, batch_format="numpy"):
            rows, total = rows + len(batch["image"]), total + batch["label"].sum()
        return digest(rows, total)

    return run
