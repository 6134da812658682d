"""Functions over rows and batches, and what reads no rows."""

import numpy as np
import pandas as pd
import pyarrow as pa

from .calls import case, ordered, table


@case
def from_pandas_several(data):
    return ordered(data.from_pandas([pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})]), "a")


@case
def schema_names_and_types(data):
    schema = table(data).schema()
    return [schema.names, [str(kind) for kind in schema.types]]


@case
def name(data):
    dataset = data.range(4)
    before = dataset.name
    dataset.set_name("numbers")
    return [before, dataset.name]


@case
def map_with_arguments(data):
    return (
        data.range(2).map(lambda row, by, to: {"n": row["id"] * by + to}, fn_args=[10], fn_kwargs={"to": 1}).take_all()
    )


@case
def map_batches_default(data):
    def double(batch):
        assert isinstance(batch["id"], np.ndarray)
        return {"n": batch["id"] * 2}

    return data.range(4).map_batches(double).take_all()


@case
def map_batches_pandas(data):
    return data.range(3).map_batches(lambda frame: frame.assign(n=frame["id"] + 1), batch_format="pandas").take_all()


@case
def map_batches_pyarrow(data):
    def add(batch):
        assert isinstance(batch, pa.Table)
        return batch.append_column("n", batch["id"])

    return data.range(3).map_batches(add, batch_format="pyarrow").take_all()


@case
def map_batches_sizes(data):
    made = data.from_items(list(range(10))).repartition(1).map_batches(lambda b: {"n": [len(b["item"])]}, batch_size=4)
    return made.take_all()


@case
def map_batches_generator(data):
    def twice(batch):
        yield {"n": batch["id"]}
        yield {"n": batch["id"] + 10}

    return ordered(data.range(2, override_num_blocks=1).map_batches(twice), "n")


@case
def map_batches_matrix(data):
    return data.range(2).map_batches(lambda batch: {"v": np.stack([batch["id"]] * 2, axis=1)}).take_all()


class Adder:
    def __init__(self, by, times=1):
        self.by = by * times

    def __call__(self, batch):
        return {"n": batch["id"] + self.by}


@case
def map_batches_class(data):
    made = data.range(3, override_num_blocks=1).map_batches(
        Adder, fn_constructor_args=[10], fn_constructor_kwargs={"times": 2}, concurrency=1
    )
    return ordered(made, "n")


@case
def map_batches_actor_pool(data):
    made = data.range(3, override_num_blocks=1).map_batches(
        Adder, fn_constructor_args=[1], compute=data.ActorPoolStrategy(size=1)
    )
    return ordered(made, "n")


@case
def map_class_over_rows(data):
    made = data.range(3, override_num_blocks=1).map(Adder, fn_constructor_args=[5], concurrency=1)
    return ordered(made, "n")


@case
def add_column_numpy(data):
    return data.range(3).add_column("twice", lambda batch: batch["id"] * 2, batch_format="numpy").take_all()


@case
def take_batch_default(data):
    batch = data.range(100).take_batch()
    return [type(batch).__name__, len(batch["id"])]


@case
def union_of_other_columns(data):
    one, other = data.from_items([{"a": 1}]), data.from_items([{"a": 2, "b": "x"}])
    return ordered(one.union(other), "a")
