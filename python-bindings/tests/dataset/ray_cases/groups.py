"""Groups and aggregates."""

import numpy as np

from .calls import case, ordered, table


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
