"""Calls of Ray Data whose results `sheaf.data` has to give too: `python ray_cases.py ray` writes them down.

`ray_expected.json` beside it was written so by Ray 2.60.0. `python ray_cases.py sheaf` says which differ.
"""

import datetime
import importlib
import inspect
import json
import math
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

EXPECTED = pathlib.Path(__file__).with_name("ray_expected.json")
CASES: dict[str, Callable[[Any], Any]] = {}

ROWS = [
    {"k": "a", "x": 1, "y": 0.5},
    {"k": "b", "x": 4, "y": 1.5},
    {"k": "a", "x": 3, "y": None},
    {"k": "c", "x": 2, "y": 2.5},
    {"k": "b", "x": 0, "y": 3.5},
]


def case(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    CASES[function.__name__] = function
    return function


def table(data: Any) -> Any:
    return data.from_items(ROWS)


def ordered(dataset: Any, *keys: str) -> list[dict[str, Any]]:
    """All rows in an order that does not depend on the engine."""
    return sorted(dataset.take_all(), key=lambda row: [(row[key] is None, row[key]) for key in keys])


def plain(value: Any) -> Any:
    """As JSON holds it, so that arrays and lists, NaN and null stay different."""
    if isinstance(value, np.ndarray):
        return {"array": plain(value.tolist())}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else round(value, 9)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


# --- sources


@case
def from_pandas_several(data):
    return ordered(data.from_pandas([pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})]), "a")


# --- facts


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


# --- functions


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


# --- columns


# --- rows


@case
def take_batch_default(data):
    batch = data.range(100).take_batch()
    return [type(batch).__name__, len(batch["id"])]


@case
def union_of_other_columns(data):
    one, other = data.from_items([{"a": 1}]), data.from_items([{"a": 2, "b": "x"}])
    return ordered(one.union(other), "a")


# --- joins


def sides(data):
    left = data.from_items([{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 3, "v": "c"}])
    right = data.from_items([{"id": 2, "w": 20}, {"id": 3, "w": 30}, {"id": 4, "w": 40}])
    return left, right


@case
def join_inner(data):
    left, right = sides(data)
    return ordered(left.join(right, "inner", 2), "id")


@case
def join_left_outer(data):
    left, right = sides(data)
    return ordered(left.join(right, "left_outer", 2, on=("id",)), "id")


@case
def join_right_outer(data):
    left, right = sides(data)
    return ordered(left.join(right, "right_outer", 2, on=("id",)), "id")


@case
def join_full_outer(data):
    left, right = sides(data)
    return ordered(left.join(right, "full_outer", 2, on=("id",)), "id")


@case
def join_left_semi(data):
    left, right = sides(data)
    return ordered(left.join(right, "left_semi", 2, on=("id",)), "id")


@case
def join_right_anti(data):
    left, right = sides(data)
    return ordered(left.join(right, "right_anti", 2, on=("id",)), "id")


@case
def join_other_names(data):
    left, right = sides(data)
    right = right.rename_columns({"id": "rid"})
    return ordered(left.join(right, "inner", 2, on=("id",), right_on=("rid",)), "id")


@case
def join_other_names_full(data):
    left, right = sides(data)
    right = right.rename_columns({"id": "rid"})
    return ordered(left.join(right, "full_outer", 2, on=("id",), right_on=("rid",)), "id")


@case
def join_suffixes(data):
    left, right = sides(data)
    right = right.rename_columns({"w": "v"})
    return ordered(left.join(right, "inner", 2, on=("id",), left_suffix="_l", right_suffix="_r"), "id")


@case
def join_same_names_without_suffix(data):
    left, right = sides(data)
    right = right.rename_columns({"w": "v"})
    return ordered(left.join(right, "inner", 2, on=("id",)), "id")


@case
def join_right_suffix_alone(data):
    left, right = sides(data)
    right = right.rename_columns({"w": "v"})
    return ordered(left.join(right, "inner", 2, on=("id",), right_suffix="_r"), "id")


# --- groups and aggregates


@case
def groupby_sum_min_max_mean(data):
    grouped = table(data).groupby("k")
    return [ordered(getattr(grouped, of)("x"), "k") for of in ("sum", "min", "max", "mean")]


@case
def groupby_aggregates(data):
    agg = data.aggregate
    made = (
        table(data)
        .groupby("k")
        .aggregate(agg.Count(), agg.Count("y", ignore_nulls=True), agg.Sum("x", alias_name="total"), agg.AbsMax("x"))
    )
    return ordered(made, "k")


@case
def groupby_lists(data):
    agg = data.aggregate
    made = table(data).groupby("k").aggregate(agg.AsList("x"), agg.Unique("x"), agg.CountDistinct("x"))
    return [{**row, "list(x)": sorted(row["list(x)"]), "unique(x)": sorted(row["unique(x)"])}
            for row in ordered(made, "k")]  # fmt: skip


@case
def groupby_percentages(data):
    agg = data.aggregate
    made = table(data).groupby("k").aggregate(agg.MissingValuePercentage("y"), agg.ZeroPercentage("x"))
    return ordered(made, "k")


@case
def value_counter(data):
    agg = data.aggregate
    [made] = table(data).groupby(None).aggregate(agg.ValueCounter("k")).take_all()
    counted = made["value_counter(k)"]
    return sorted(zip(counted["values"], counted["counts"], strict=True))


@case
def user_aggregate(data):
    agg = data.aggregate
    fn = agg.AggregateFn(
        init=lambda key: 0,
        accumulate_row=lambda state, row: state + row["x"],
        merge=lambda state, other: state + other,
        finalize=lambda state: state * 10,
        name="tenfold",
    )
    return [ordered(table(data).groupby("k").aggregate(fn), "k"), table(data).aggregate(fn)]


@case
def map_groups_default(data):
    made = table(data).groupby("k").map_groups(lambda group: {"k": group["k"][:1], "n": np.array([len(group["x"])])})
    return ordered(made, "k")


@case
def map_groups_pandas(data):
    made = table(data).groupby("k").map_groups(lambda group: group[["k", "x"]].assign(most=group["x"].max()),
                                               batch_format="pandas")  # fmt: skip
    return ordered(made, "k", "x")


@case
def aggregate_several(data):
    agg = data.aggregate
    return table(data).aggregate(agg.Max("x"), agg.Min("k"), agg.Mean("y"), agg.Std("y"), agg.Count())


@case
def statistics_of_nothing(data):
    empty = table(data).filter(lambda row: False)
    return [empty.count(), empty.sum("x"), empty.max("x"), empty.mean("x")]


# --- iteration


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
    import sys

    ray = sys.modules[data.__name__.split(".")[0]]
    dataset = data.range(4, override_num_blocks=1)
    [table] = ray.get(dataset.to_arrow_refs())
    [frame] = ray.get(dataset.to_pandas_refs())
    [array] = ray.get(dataset.to_numpy_refs(column="id"))
    return [table.to_pydict(), frame.to_dict("list"), array]


@case
def from_refs(data):
    import sys

    ray = sys.modules[data.__name__.split(".")[0]]
    arrow = data.from_arrow_refs([ray.put(pa.table({"a": [1]}))])
    pandas = data.from_pandas_refs([ray.put(pd.DataFrame({"a": [2]}))])
    numpy = data.from_numpy_refs([ray.put(np.array([3]))])
    return [arrow.take_all(), pandas.take_all(), numpy.take_all()]


# --- splits


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


# --- files


@case
def parquet_appends(data):
    with tempfile.TemporaryDirectory() as folder:
        data.range(2).write_parquet(f"{folder}/out")
        data.range(3).write_parquet(f"{folder}/out")
        return ordered(data.read_parquet(f"{folder}/out"), "id")


@case
def parquet_overwrites(data):
    with tempfile.TemporaryDirectory() as folder:
        data.range(2).write_parquet(f"{folder}/out")
        data.range(3).write_parquet(f"{folder}/out", mode=data.SaveMode.OVERWRITE)
        return ordered(data.read_parquet(f"{folder}/out"), "id")


@case
def parquet_is_there(data):
    with tempfile.TemporaryDirectory() as folder:
        data.range(2).write_parquet(f"{folder}/out")
        data.range(3).write_parquet(f"{folder}/out", mode=data.SaveMode.ERROR)


@case
def parquet_columns(data):
    with tempfile.TemporaryDirectory() as folder:
        table(data).write_parquet(f"{folder}/out")
        return ordered(data.read_parquet(f"{folder}/out", columns=["x"]), "x")


@case
def parquet_partitions(data):
    with tempfile.TemporaryDirectory() as folder:
        table(data).write_parquet(f"{folder}/out", partition_cols=["k"])
        return ordered(data.read_parquet(f"{folder}/out").select_columns(["k", "x"]), "x")


@case
def csv(data):
    with tempfile.TemporaryDirectory() as folder:
        table(data).write_csv(f"{folder}/out")
        return ordered(data.read_csv(f"{folder}/out"), "x")


@case
def csv_nulls(data):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "a.csv").write_text('n,s,t\n1,x,NA\nNA,,"y"\n,NA,\n4,"",z\n')
        return data.read_csv(f"{folder}/a.csv").take_all()


@case
def csv_delimiter(data):
    from pyarrow import csv as options

    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "a.csv").write_text("a;b\n1;x\n")
        return data.read_csv(f"{folder}/a.csv", parse_options=options.ParseOptions(delimiter=";")).take_all()


@case
def json_lines(data):
    with tempfile.TemporaryDirectory() as folder:
        table(data).write_json(f"{folder}/out")
        return ordered(data.read_json(f"{folder}/out"), "x")


@case
def text(data):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "a.txt").write_text("one\n\ntwo\n")
        return [data.read_text(f"{folder}/a.txt").take_all(),
                data.read_text(f"{folder}/a.txt", drop_empty_lines=False).take_all()]  # fmt: skip


@case
def binary_files(data):
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "a.bin").write_bytes(b"one")
        [row] = data.read_binary_files(f"{folder}/a.bin", include_paths=True).take_all()
        return [row["bytes"], pathlib.Path(row["path"]).name]


@case
def numpy_files(data):
    with tempfile.TemporaryDirectory() as folder:
        data.range(3).write_numpy(f"{folder}/out", column="id")
        return ordered(data.read_numpy(f"{folder}/out"), "data")


@case
def sql(data):
    import sqlite3

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/a.db"
        with sqlite3.connect(path) as there:
            there.execute("CREATE TABLE t (id INTEGER)")
        data.range(3).write_sql("INSERT INTO t VALUES (?)", lambda: sqlite3.connect(path))
        return ordered(data.read_sql("SELECT id FROM t", lambda: sqlite3.connect(path)), "id")


# --- nulls, nothing, and other types


def with_nulls(data):
    values = [("a", None, "x"), ("a", None, None), ("b", 0, "z"), ("b", None, "z"), ("b", 4, None)]
    return data.from_items([{"k": k, "y": y, "s": s} for k, y, s in values])


@case
def aggregates_of_groups_with_nulls(data):
    agg = data.aggregate
    made = with_nulls(data).groupby("k").aggregate(
        agg.Count("y"), agg.Count("y", ignore_nulls=True, alias_name="known"), agg.Sum("y"), agg.Mean("y"),
        agg.Std("y"), agg.Min("y"), agg.Max("s"), agg.AbsMax("y"), agg.CountDistinct("s"),
        agg.MissingValuePercentage("s"), agg.ZeroPercentage("y"), agg.Quantile("y"),
    )  # fmt: skip
    return ordered(made, "k")


@case
def aggregates_where_nulls_count(data):
    agg = data.aggregate
    made = with_nulls(data).groupby("k").aggregate(
        agg.Sum("y", ignore_nulls=False), agg.Mean("y", ignore_nulls=False), agg.Max("y", ignore_nulls=False),
        agg.Std("y", ignore_nulls=False), agg.CountDistinct("s", ignore_nulls=False),
        agg.ZeroPercentage("y", ignore_nulls=False),
    )  # fmt: skip
    return ordered(made, "k")


@case
def lists_with_nulls(data):
    agg = data.aggregate
    made = with_nulls(data).groupby("k").aggregate(
        agg.AsList("s"), agg.AsList("s", alias_name="known", ignore_nulls=True), agg.Unique("s"),
        agg.Unique("s", ignore_nulls=True, alias_name="different"),
    )  # fmt: skip
    return [{name: sorted(map(str, value)) for name, value in row.items()} for row in ordered(made, "k")]


@case
def aggregates_of_nothing(data):
    agg = data.aggregate
    empty = table(data).filter(expr="x > 100")
    return empty.aggregate(agg.Count(), agg.Sum("x"), agg.Std("y"), agg.Quantile("y"))


@case
def groups_of_nothing(data):
    return table(data).filter(expr="x > 100").groupby("k").count().take_all()


class Span:
    """The methods of a user's aggregate; its base is the module's."""

    def aggregate_block(self, block):
        values = block["x"].to_pylist()
        return [min(values), max(values)]

    def combine(self, current_accumulator, new):
        return [min(current_accumulator[0], new[0]), max(current_accumulator[1], new[1])]

    def finalize(self, accumulator):
        return accumulator[1] - accumulator[0]


@case
def user_aggregate_as_a_class(data):
    made = type("Spread", (Span, data.aggregate.AggregateFnV2), {})
    spread = made("spread", lambda: [100, -100], on="x", ignore_nulls=True)
    return ordered(table(data).groupby("k").aggregate(spread), "k")


@case
def join_null_keys(data):
    left = data.from_items([{"id": None, "v": 1}, {"id": 1, "v": 2}])
    right = data.from_items([{"id": None, "w": 1}, {"id": 1, "w": 2}])
    return sorted(left.join(right, "left_outer", 1).take_all(), key=lambda row: row["v"])


@case
def other_types(data):
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5)
    rows = [{"at": moment, "day": moment.date(), "raw": b"ab", "nested": {"a": 1, "b": [1, 2]}, "yes": True}]
    return data.from_items(rows).map(lambda row: row).take_all()


@case
def numpy_of_other_types(data):
    rows = [
        {"s": "x", "raw": b"ab", "yes": True, "f": 1.5, "l": [1, 2]},
        {"s": "y", "raw": b"", "yes": False, "f": 2.5, "l": []},
    ]
    batch = data.from_items(rows).take_batch()
    return {
        name: [column.dtype.kind.replace("T", "O"), [str(value) for value in column]] for name, column in batch.items()
    }


@case
def rows_of_pandas_with_nan(data):
    return data.from_pandas(pd.DataFrame({"a": [1.0, float("nan")], "b": ["x", None]})).take_all()


@case
def sort_several_with_nulls(data):
    return [row["y"] for row in with_nulls(data).sort(["k", "y"]).take_all()]


@case
def map_groups_class(data):
    made = table(data).groupby("k").map_groups(Counter, fn_constructor_args=["k"], fn_kwargs={"more": 1}, concurrency=1)
    return ordered(made, "k")


class Counter:
    def __init__(self, key):
        self.key = key

    def __call__(self, group, more=0):
        return {self.key: group[self.key][:1], "n": np.array([len(group["x"]) + more])}


# What one expression asks.
CASES |= {
    "aggregate_one": lambda data: data.range(4).aggregate(data.aggregate.Sum("id")),
    "groupby_quantile": lambda data: ordered(
        table(data).groupby("k").aggregate(data.aggregate.Quantile("x", q=0.25)), "k"
    ),
    "with_column": lambda data: data.range(3).with_column("next", data.expressions.col("id") + 1).take_all(),
    "with_columns": lambda data: (
        data.range(2).with_columns({"next": data.expressions.col("id") + 1, "one": data.expressions.lit(1)}).take_all()
    ),
    "filter_expression": lambda data: data.range(6).filter(expr=data.expressions.col("id") >= 4).take_all(),
    "filter_text_with_nulls": lambda data: table(data).filter(expr="y > 1").take_all(),
    "filter_text_not_with_nulls": lambda data: table(data).filter(expr="not y > 1").take_all(),
    "batches_of_pyarrow": lambda data: [
        type(each).__name__ for each in data.range(3).iter_batches(batch_format="pyarrow")
    ],
    "map_to_several_columns_of_some_rows": lambda data: (
        data.range(2).map(lambda row: {"a": 1} if row["id"] else {"a": 0, "b": 2}).take_all()
    ),
    "take_more_than_there_is": lambda data: data.range(2).take(10),
    "limit_of_nothing": lambda data: data.range(2).limit(0).take_all(),
    "numbers_of_numpy": lambda data: data.from_items([{"a": np.int32(3), "b": np.float64(0.5)}]).take_all(),
    "split_more_than_there_is": lambda data: [piece.count() for piece in data.range(2).split(3, equal=True)],
    "split_behind_the_end": lambda data: [piece.count() for piece in data.range(2).split_at_indices([5])],
    "split_proportions_of_little": lambda data: [
        piece.count() for piece in data.range(10).split_proportionately([0.01, 0.5])
    ],
    "test_rows_by_number": lambda data: [part.count() for part in data.range(10).train_test_split(test_size=3)],
    "test_rows_stratified": lambda data: [
        ordered(part.groupby("k").count(), "k")
        for part in data.from_items([{"k": n % 2, "n": n} for n in range(20)]).train_test_split(0.2, stratify="k")
    ],
    "range_take_all": lambda data: data.range(4).take_all(),
    "range_tensor": lambda data: data.range_tensor(3, shape=(2, 2)).take_all(),
    "range_tensor_batch": lambda data: data.range_tensor(3, shape=(2,)).take_batch(3),
    "from_items_values": lambda data: data.from_items([5, 6, 7]).take_all(),
    "from_items_dicts": lambda data: table(data).take_all(),
    "from_pandas": lambda data: data.from_pandas(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})).take_all(),
    "from_arrow": lambda data: data.from_arrow(pa.table({"a": [1, None], "b": [[1, 2], [3]]})).take_all(),
    "from_arrow_several": lambda data: ordered(data.from_arrow([pa.table({"a": [1]}), pa.table({"a": [2]})]), "a"),
    "from_numpy": lambda data: data.from_numpy(np.arange(3)).take_all(),
    "from_numpy_matrix": lambda data: data.from_numpy(np.arange(4).reshape(2, 2)).take_all(),
    "from_blocks": lambda data: ordered(data.from_blocks([pa.table({"a": [1]}), pa.table({"a": [2]})]), "a"),
    "columns": lambda data: table(data).columns(),
    "count": lambda data: data.range(10).count(),
    "materialized_count": lambda data: data.range(10).materialize().count(),
    "num_blocks_of_lazy": lambda data: data.range(4).map(lambda row: row).num_blocks(),
    "num_blocks_of_materialized": lambda data: data.range(4, override_num_blocks=2).materialize().num_blocks(),
    "input_files_of_memory": lambda data: data.range(4).input_files(),
    "map_rows": lambda data: data.range(3).map(lambda row: {"id": row["id"], "twice": row["id"] * 2}).take_all(),
    "map_to_arrays": lambda data: data.range(2).map(lambda row: {"v": np.array([row["id"], 1])}).take_all(),
    "map_to_matrices": lambda data: data.range(2).map(lambda row: {"v": np.full((2, 2), row["id"])}).take_batch(2),
    "map_to_lists": lambda data: data.range(2).map(lambda row: {"v": [row["id"]] * row["id"]}).take_all(),
    "flat_map": lambda data: data.range(3).flat_map(lambda row: [row, row]).take_all(),
    "filter_function": lambda data: data.range(6).filter(lambda row: row["id"] % 2 == 0).take_all(),
    "filter_text": lambda data: data.range(10).filter(expr="id > 3 and id <= 6").take_all(),
    "filter_text_in": lambda data: table(data).filter(expr="k in ['a', 'c'] or x == 0").take_all(),
    "add_column_pandas": lambda data: data.range(3).add_column("twice", lambda frame: frame["id"] * 2).take_all(),
    "drop_columns": lambda data: table(data).drop_columns(["k", "y"]).take_all(),
    "select_columns": lambda data: table(data).select_columns(["x", "k"]).take(2),
    "select_one_column": lambda data: table(data).select_columns("x").take(2),
    "rename_by_dict": lambda data: table(data).rename_columns({"x": "z"}).take(1),
    "rename_by_list": lambda data: table(data).rename_columns(["a", "b", "c"]).take(1),
    "rename_twice_the_same": lambda data: table(data).rename_columns(["a", "b", "b"]).take(1),
    "limit": lambda data: data.range(10).limit(3).take_all(),
    "take_default": lambda data: len(data.range(100).take()),
    "take_batch_pandas": lambda data: type(data.range(3).take_batch(2, batch_format="pandas")).__name__,
    "take_batch_pyarrow": lambda data: type(data.range(3).take_batch(2, batch_format="pyarrow")).__name__,
    "take_batch_of_nothing": lambda data: data.range(0).take_batch(),
    "take_all_limit": lambda data: data.range(10).take_all(limit=3),
    "sort": lambda data: table(data).sort("x").take_all(),
    "sort_descending": lambda data: table(data).sort("x", descending=True).take_all(),
    "sort_with_nulls": lambda data: [row["y"] for row in table(data).sort("y", descending=True).take_all()],
    "sort_several": lambda data: table(data).sort(["k", "x"], descending=[False, True]).take_all(),
    "union": lambda data: ordered(data.range(2).union(data.range(1), data.range(1)), "id"),
    "random_shuffle_same_rows": lambda data: ordered(data.range(20).random_shuffle(seed=1), "id"),
    "randomize_block_order_same_rows": lambda data: ordered(data.range(20).randomize_block_order(seed=1), "id"),
    "random_sample_bounds": lambda data: [data.range(10).random_sample(share).count() for share in (0.0, 1.0)],
    "random_sample_too_much": lambda data: data.range(10).random_sample(1.5).count(),
    "repartition_rows": lambda data: ordered(data.range(10).repartition(3), "id"),
    "repartition_number": lambda data: data.range(10).repartition(3).materialize().num_blocks(),
    "mix_longest": lambda data: ordered(data.range(3).mix(data.range(5)), "id"),
    "zip_datasets": lambda data: data.range(3).zip(data.range(3)).take_all(),
    "groupby_count": lambda data: ordered(table(data).groupby("k").count(), "k"),
    "groupby_sum_of_several": lambda data: ordered(table(data).groupby("k").sum(["x", "y"]), "k"),
    "groupby_std_of_single_rows": lambda data: ordered(table(data).groupby("k").std("x"), "k"),
    "groupby_std_of_all": lambda data: ordered(table(data).groupby("k").std("x", ddof=0), "k"),
    "groupby_nulls_not_ignored": lambda data: ordered(table(data).groupby("k").sum("y", ignore_nulls=False), "k"),
    "groupby_several_keys": lambda data: ordered(table(data).groupby(["k", "x"]).count(), "k", "x"),
    "groupby_null_key": lambda data: ordered(table(data).groupby("y").count(), "y"),
    "sum_of_one": lambda data: table(data).sum("x"),
    "sum_of_several": lambda data: table(data).sum(["x", "y"]),
    "sum_of_all": lambda data: data.range(4).sum(),
    "sum_nulls_not_ignored": lambda data: table(data).sum("y", ignore_nulls=False),
    "statistics_of_a_column": lambda data: [getattr(table(data), of)("y") for of in ("min", "max", "mean", "std")],
    "std_of_one_row": lambda data: data.range(1).std("id"),
    "std_of_all": lambda data: table(data).std("x", ddof=0),
    "unique": lambda data: sorted(table(data).unique("k")),
    "unique_with_null": lambda data: sorted(table(data).unique("y"), key=lambda value: (value is None, value)),
    "unique_ignoring_nulls": lambda data: sorted(table(data).unique("y", ignore_nulls=True)),
    "iter_rows": lambda data: list(data.range(3).iter_rows()),
    "iterator_batches": lambda data: [batch["id"] for batch in data.range(5).iterator().iter_batches(batch_size=3)],
    "iterator_materialize": lambda data: data.range(5).iterator().materialize().count(),
    "iterator_schema": lambda data: data.range(5).iterator().schema().names,
    "to_pandas": lambda data: table(data).to_pandas().to_dict("list"),
    "to_pandas_limit": lambda data: len(data.range(10).to_pandas(limit=3)),
    "split": lambda data: sum(part.count() for part in data.range(10).split(3)),
    "split_equal": lambda data: [part.count() for part in data.range(10).split(3, equal=True)],
    "split_proportionately": lambda data: [part.count() for part in data.range(10).split_proportionately([0.2, 0.5])],
}


def outcome(of: Callable[[Any], Any], data: Any) -> Any:
    try:
        return {"value": plain(of(data))}
    except Exception as error:
        return {"error": type(error).__name__}


def arguments(data: Any) -> dict[str, list[str]]:
    """The arguments of the functions of the module, and of the methods of its classes, by name."""
    classes = {
        "Dataset": data.Dataset,
        "DataIterator": data.DataIterator,
        "GroupedData": type(table(data).groupby("k")),
    }
    called = {name: getattr(data, name) for name in dir(data) if name.startswith(("range", "from_", "read_"))}
    for kind, of in classes.items():
        called |= {f"{kind}.{name}": member for name, member in inspect.getmembers(of, inspect.isfunction)}
    for name in dir(data.aggregate):
        of = getattr(data.aggregate, name)
        if isinstance(of, type) and of.__module__ == data.aggregate.__name__:
            called[f"aggregate.{name}"] = of
    return {
        name: [each.name for each in inspect.signature(of).parameters.values() if each.kind is not each.VAR_KEYWORD]
        for name, of in called.items()
        if callable(of) and not name.split(".")[-1].startswith("_")
    }


def write(told: dict[str, Any]) -> None:
    """A line for each call."""
    parts = []
    for part in ("cases", "arguments"):
        lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(told[part].items())]
        parts.append(f'"{part}": {{\n' + ",\n".join(lines) + "\n}")
    EXPECTED.write_text(f'{{"ray": {json.dumps(told["ray"])},\n' + ",\n".join(parts) + "\n}\n")


def main() -> None:
    module = sys.argv[1]
    if module == "ray":
        import ray

        ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False
        # Functions of a script's own module reach Ray's workers by value.
        found = {name: outcome(of, ray.data) for name, of in CASES.items()}
        told = {"ray": ray.__version__, "cases": found, "arguments": arguments(ray.data)}
        write(told)
    else:
        data = importlib.import_module("sheaf.data")
        expected = json.loads(EXPECTED.read_text())["cases"]
        for name, of in CASES.items():
            made = outcome(of, data)
            if made != expected[name]:
                print(f"{name}\n  ray:   {expected[name]}\n  sheaf: {made}")


if __name__ == "__main__":
    main()
