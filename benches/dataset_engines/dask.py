"""Dask's dataframe on threads."""

from pathlib import Path
from typing import Any

import dask
import dask.bag
import dask.dataframe as dd
import pandas as pd
import pyarrow as pa

from cases import Case
from dataset_cases import JOINS
from engines import Run

Frame = Any
QUESTIONS: dict[str, Any] = {
    "g01": lambda x: x.groupby("id1", observed=True).v1.sum(),
    "g02": lambda x: x.groupby(["id1", "id2"], observed=True).v1.sum(),
    "g03": lambda x: digest(x.groupby("id3", observed=True).agg({"v1": "sum", "v3": "mean"}, split_out=4)),
    "g04": lambda x: x.groupby("id4", observed=True).agg({"v1": "mean", "v2": "mean", "v3": "mean"}),
    "g05": lambda x: digest(x.groupby("id6", observed=True).agg({"v1": "sum", "v2": "sum", "v3": "sum"}, split_out=4)),
    "g06": lambda x: digest(x.groupby(["id4", "id5"], observed=True).v3.agg(["median", "std"], shuffle_method="tasks")),
    "g07": lambda x: digest(difference(x.groupby("id3", observed=True).agg({"v1": "max", "v2": "min"}, split_out=4))),
    "g08": lambda x: digest(x.groupby("id6").v3.apply(lambda v: v.nlargest(2), meta=("v3", "f8")).to_frame()),
    "g09": lambda x: digest(
        x.groupby(["id2", "id4"])[["v1", "v2"]]
        .apply(lambda part: part.v1.corr(part.v2) ** 2, meta=("r", "f8"))
        .to_frame()
    ),
    "g10": lambda x: digest(
        x.groupby([f"id{at}" for at in range(1, 7)], observed=True).agg({"v3": "sum", "v1": "count"}, split_out=4)
    ),
}


def start(case: Case) -> None:
    """As many threads as the case has."""
    dask.config.set(scheduler="threads", num_workers=case.threads)


def digest(frame: Frame) -> Frame:
    """How many rows there are, and the sums of their numbers."""
    return frame.size // len(frame.columns), frame.sum()


def difference(frame: Frame) -> Frame:
    """The one aggregate less the other."""
    return (frame.v1 - frame.v2).to_frame("d")


def table(found: Any) -> pa.Table:
    """The rows of a result, computed."""
    if isinstance(found, tuple):
        rows, sums = dask.compute(*found)
        return pa.table({"n": [int(rows)], **{str(name): [value] for name, value in sums.items()}})
    computed = found.compute()
    frame = computed.to_frame() if isinstance(computed, pd.Series) else computed
    return pa.Table.from_pandas(frame.reset_index(), preserve_index=False)


def grouped(case: Case) -> Run:
    """A question over groups."""
    start(case)
    return lambda: table(QUESTIONS[case.name](dd.read_parquet(case.input)))


def joined(case: Case) -> Run:
    """A join."""
    start(case)
    right, key, how, _ = JOINS[case.name]
    folder = Path(case.input)

    def run() -> pa.Table:
        x = dd.read_parquet(folder / "x.parquet", columns=[key, "v1"])
        other = dd.read_parquet(folder / f"{right}.parquet", columns=[key, "v2"])
        both = x.merge(other, on=key, how=how)
        return table(digest(both[["v1", "v2"]]))

    return run


def words(case: Case) -> Run:
    """Words by their number, over a bag of lines as its users count them."""
    start(case)

    def run() -> pa.Table:
        lines = dd.read_csv(case.input, header=None, names=["line"], sep="\x01", blocksize="64MB")
        split = lines.line.str.split(" ").explode()
        counted = split.value_counts(split_every=8)
        words, total, most = dask.compute(counted.size, counted.sum(), counted.max())
        return pa.table({"words": [int(words)], "total": [int(total)], "most": [int(most)]})

    return run
