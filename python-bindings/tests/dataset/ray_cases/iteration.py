"""Iteration, references and splits."""

import sys

import numpy as np
import pandas as pd
import pyarrow as pa

from .calls import case, table


@case
def iter_batches_default(data):
    return [[type(batch).__name__, len(batch["id"])] for batch in data.range(600).iter_batches()]


@case
def iter_batches_drop_last(data):
    return [batch["id"] for batch in data.range(5).iter_batches(batch_size=2, drop_last=True)]


@case
def iter_batches_pandas(data):
    return [type(batch).__name__ for batch in data.range(3).iter_batches(batch_format="pandas")]


@case
def iter_batches_with_nulls(data):
    [batch] = table(data).iter_batches()
    return batch["y"]


@case
def to_refs(data):

    ray = sys.modules[data.__name__.split(".")[0]]
    dataset = data.range(4, override_num_blocks=1)
    [table] = ray.get(dataset.to_arrow_refs())
    [frame] = ray.get(dataset.to_pandas_refs())
    [array] = ray.get(dataset.to_numpy_refs(column="id"))
    return [table.to_pydict(), frame.to_dict("list"), array]


@case
def from_refs(data):

    ray = sys.modules[data.__name__.split(".")[0]]
    arrow = data.from_arrow_refs([ray.put(pa.table({"a": [1]}))])
    pandas = data.from_pandas_refs([ray.put(pd.DataFrame({"a": [2]}))])
    numpy = data.from_numpy_refs([ray.put(np.array([3]))])
    return [arrow.take_all(), pandas.take_all(), numpy.take_all()]


@case
def split_at_indices(data):
    return [[row["id"] for row in part.take_all()] for part in data.range(6).split_at_indices([2, 5])]


@case
def train_test_split(data):
    return [[row["id"] for row in part.take_all()] for part in data.range(8).train_test_split(test_size=0.25)]


@case
def streaming_split_rows(data):
    [one] = data.range(6).streaming_split(1)
    return sorted(row["id"] for row in one.iter_rows())
