"""Nulls, nothing, and other types."""

import datetime

import numpy as np
import pandas as pd

from .calls import case, ordered, table


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
