"""`sheaf.data` gives what Ray Data 2.60 gives, says what it does not, and the documentation tells of every method."""

import contextlib
import datetime
import inspect
import json
import pathlib
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import compute as pc
from pyarrow import csv

import sheaf as ray
from sheaf.data import aggregate as agg
from sheaf.data import functions, readers, writers
from sheaf.data.expressions import col

from .ray_cases import CASES, EXPECTED, ordered, outcome, table

DOCS = pathlib.Path(__file__).parents[3] / "docs" / "datasets-from-ray-and-daft.md"
RAY = json.loads(EXPECTED.read_text())
# Where the results differ, what they are here: the documentation lists both.
DIFFERENT = {
    "union_of_other_columns": {"value": [{"a": 1, "b": None}, {"a": 2, "b": "x"}]},
    "map_to_several_columns_of_some_rows": {"value": [{"a": 0, "b": 2}, {"a": 1, "b": None}]},
    "aggregates_of_nothing": {"value": {"count()": 0, "sum(x)": None, "std(y)": None, "quantile(y)": None}},
    "to_pandas": {"value": {"k": ["a", "b", "a", "c", "b"], "x": [1, 4, 3, 2, 0], "y": [0.5, 1.5, "NaN", 2.5, 3.5]}},
}
# Every public method and property of `ray.data.Dataset` of Ray 2.60.0.
RAY_METHODS = """
    add_column aggregate columns context copy count deserialize_lineage drop_columns explain filter flat_map
    get_dataset_id get_internal_block_refs get_stats_summary groupby has_serializable_lineage input_files iter_batches
    iter_internal_ref_bundles iter_jax_batches iter_rows iter_tf_batches iter_torch_batches iterator join limit map
    map_batches map_batches_internal materialize max mean min mix name num_blocks random_sample random_shuffle
    randomize_block_order rename_columns repartition schema select_columns serialize_lineage set_name show size_bytes
    sort split split_at_indices split_proportionately stats std streaming_split streaming_train_test_split sum summary
    take take_all take_batch to_arrow_refs to_daft to_dask to_mars to_modin to_numpy_refs to_pandas to_pandas_refs
    to_random_access_dataset to_spark to_tf train_test_split union unique with_column with_columns write_bigquery
    write_clickhouse write_csv write_datasink write_delta write_iceberg write_images write_json write_kafka write_lance
    write_mongo write_numpy write_orc write_parquet write_snowflake write_sql write_tfrecords write_turbopuffer
    write_webdataset zip
""".split()  # noqa: SIM905
# Every public method and property of `daft.DataFrame` of Daft 0.7.26.
DAFT_METHODS = """
    agg agg_concat agg_list agg_set any_value collect column_names columns concat count count_distinct count_rows
    describe distinct drop_duplicates drop_nan drop_null except_all except_distinct exclude explain explode filter
    groupby intersect intersect_all into_batches into_partitions iter_partitions iter_rows join join_asof limit max
    mean melt metrics min num_partitions offset pipe pivot product repartition sample schema select show shuffle skew
    skip_existing skipped_corrupt_files sort stddev sum summarize to_arrow to_arrow_iter to_dask_dataframe to_pandas
    to_pydict to_pylist to_ray_dataset to_torch_dataloader to_torch_iter_dataset to_torch_map_dataset transform union
    union_all union_all_by_name union_by_name unique unpivot var where with_column with_column_renamed with_columns
    with_columns_renamed write_bigtable write_clickhouse write_csv write_deltalake write_huggingface write_iceberg
    write_json write_lance write_paimon write_parquet write_sink write_sql write_turbopuffer
""".split()  # noqa: SIM905


@pytest.fixture(scope="module", autouse=True)
def no_runtime_left() -> Iterator[None]:
    """Classes run in workers, and references are in the object store."""
    yield
    ray.shutdown()


@pytest.mark.filterwarnings("ignore:this runs")
@pytest.mark.parametrize("name", CASES)
def test_as_ray(name: str) -> None:
    made, expected = outcome(CASES[name], ray.data), DIFFERENT.get(name, RAY["cases"][name])
    assert made == expected or (made.keys() == expected.keys() == {"error"})


def test_cases_are_those_of_ray() -> None:
    assert RAY["ray"] == "2.60.0"
    assert set(CASES) == set(RAY["cases"])
    assert len(CASES) >= 60


def test_every_method_is_there_or_says_what_is() -> None:
    made = ray.data.range(1)
    for name in RAY_METHODS:
        if not hasattr(made, name):
            with pytest.raises(AttributeError, match=f"no attribute '{name}'\n  help: ."):
                getattr(made, name)
    there = [name for name in RAY_METHODS if hasattr(ray.data.Dataset, name)]
    assert len(there) >= 68
    with pytest.raises(AttributeError, match=r"object has no attribute 'nothing'$"):
        made.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="read_binary_files"):
        ray.data.read_images("a.png")


def test_arguments_have_the_names_and_places_of_rays() -> None:
    places = {
        "join": ["ds", "join_type", "num_partitions", "on", "right_on", "left_suffix", "right_suffix"],
        "repartition": ["num_blocks", "target_num_rows_per_block"],
        "sort": ["key", "descending", "boundaries"],
        "groupby": ["key", "num_partitions"],
        "std": ["on", "ddof", "ignore_nulls"],
        "add_column": ["col", "fn"],
        "take_batch": ["batch_size"],
        "filter": ["fn", "expr"],
    }
    for name, arguments in places.items():
        has = inspect.signature(getattr(ray.data.Dataset, name)).parameters.values()
        assert [each.name for each in has if each.kind is each.POSITIONAL_OR_KEYWORD][1:] == arguments, name


# What Ray takes, changes results, and is refused by name: files and formats of PyArrow's, and what is not there.
REFUSED = {
    *("arrow_open_stream_args", "arrow_orc_args_fn", "arrow_parquet_args_fn", "catalog"),
    *("filename_provider", "filesystem", "include_row_hash", "min_rows_per_file", "skip_paths"),
    *("tensor_column_schema", "zero_factory", "encode_lists"),
}


def test_arguments_of_ray_are_taken_or_refused() -> None:
    compared, refused = 0, set()
    homes = {"Dataset": ray.data.Dataset, "DataIterator": ray.data.DataIterator, "GroupedData": ray.data.GroupedData}
    for name, theirs in RAY["arguments"].items():
        owner, _, method = name.rpartition(".")
        home = homes.get(owner, agg if owner else ray.data)
        if not hasattr(home, method):
            continue
        compared += 1
        theirs = theirs[1:] if owner in homes else theirs
        has = inspect.signature(getattr(home, method)).parameters
        missing = {each for each in theirs if each not in has and each[0] != "_"}
        if name.startswith("read_"):
            missing -= {*readers._FILES, *readers._WITHOUT_EFFECT, "shard_keys", "shard_hash_fn"}
        elif method.startswith("write_"):
            missing -= {*writers._WITHOUT_EFFECT}
        elif "options" in has:
            missing -= {*functions._WORKERS, *functions._WITHOUT_EFFECT}
        elif "ray_options" in has:
            missing.clear()
        assert missing <= REFUSED | {"other", "aggs", "more_exprs"}, name
        refused |= missing
    assert compared >= 120
    assert refused >= REFUSED - {"min_rows_per_file"}


def test_everything_public_has_an_example() -> None:
    for module in (ray.data, agg):
        for name in module.__all__:
            value = getattr(module, name)
            assert ">>> " in (value.__doc__ or ""), name
            inside = (
                inspect.getmembers(value) if isinstance(value, type) and value.__module__[:10] == "sheaf.data" else []
            )
            for key, member in inside:
                if key[0] != "_" and (inspect.isroutine(member) or isinstance(member, property)):
                    of = member.fget if isinstance(member, property) else member
                    assert not str(getattr(of, "__module__", "")).startswith("sheaf") or ">>> " in member.__doc__, (
                        f"{name}.{key}"
                    )


def rows_of(text: str, heading: str) -> dict[str, list[str]]:
    """The rows of the table under a heading, by the names in their first cell."""
    part = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:2] == "| "]
    return {cell.strip("` "): cells[1:] for cells in rows for cell in cells[0].split(",")}


@pytest.mark.parametrize(
    ("heading", "methods"), [("Ray Data's `Dataset`", RAY_METHODS), ("Daft's `DataFrame`", DAFT_METHODS)]
)
def test_docs_tell_of_every_method(heading: str, methods: list[str]) -> None:
    rows = rows_of(DOCS.read_text(), heading)
    assert [name for name in methods if name not in rows] == []
    for name in methods:
        assert all(rows[name]), name


def test_docs_name_methods_that_are_there() -> None:
    text = DOCS.read_text()
    for name, (theirs, ours, *_) in rows_of(text, "Ray Data's `Dataset`").items():
        if name in RAY_METHODS:
            assert (theirs == "yes") == hasattr(ray.data.Dataset, name), name
            assert theirs in ("yes", "—"), name
            for used in named(ours):
                assert hasattr(ray.Dataset, used) or hasattr(ray, used) or hasattr(ray.Expr, used), (name, used)
    for name, (ours, *_) in rows_of(text, "Daft's `DataFrame`").items():
        for used in named(ours) if name in DAFT_METHODS else []:
            assert hasattr(ray.Dataset, used) or hasattr(ray, used) or hasattr(ray.Expr, used), (name, used)


def named(cell: str) -> list[str]:
    """The methods that a cell names: `map_batches`, `sort(…)`."""
    parts = [part.split("(")[0] for part in cell.split("`")[1::2]]
    return [part for part in parts if part.isidentifier()]


# --- What is refused, and what has no effect.


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda ds: ds.map_batches(len, batch_size=1, cpus=2), ValueError, "map_batches has no argument 'cpus'"),
        (lambda ds: ds.map_batches(len, batch_format="cudf"), ValueError, "no batch format 'cudf'"),
        (lambda ds: ds.map_batches(len, compute="actors"), ValueError, "says of no place"),
        (lambda ds: ds.filter(), ValueError, "either a function or expr="),
        (lambda ds: ds.filter(expr="f(id)"), ValueError, "no part of a condition"),
        (lambda ds: ds.filter(expr="id >"), ValueError, "is no condition"),
        (lambda ds: ds.filter(expr="1 > 0"), ValueError, "names no column"),
        (lambda ds: ds.with_column("x", 1), TypeError, "has to be an expression"),
        (lambda ds: ds.rename_columns(["a", "b"]), ValueError, "2 names for 1 columns"),
        (lambda ds: ds.select_columns(["id", "id"]), ValueError, "twice"),
        (lambda ds: ds.repartition(), ValueError, "needs num_blocks"),
        (lambda ds: ds.join(ds, "outer", 1), ValueError, "no join_type 'outer'; there are inner"),
        (lambda ds: ds.join(ds, "inner", 1, on="id"), ValueError, "a tuple or a list"),
        (lambda ds: ds.aggregate(1), TypeError, "int is no aggregate"),
        (lambda ds: ds.sum([]), ValueError, "no column to aggregate"),
        (lambda ds: ds.map(lambda row: 1), ray.errors.UserFunctionError, "a row is a dict"),
        (lambda ds: ds.flat_map(lambda row: {"a": 1}), ray.errors.UserFunctionError, "a list of rows"),
        (lambda ds: ds.flat_map(lambda row: []), ray.errors.UserFunctionError, "columns are not known"),
        (lambda ds: ds.split(0), ValueError, "one piece at least"),
        (lambda ds: ds.split_at_indices([3, 1]), ValueError, "in their order"),
        (lambda ds: ds.split_proportionately([0.5, 0.5]), ValueError, "less than 1"),
        (lambda ds: ds.train_test_split(1.5), ValueError, "share between 0 and 1"),
        (lambda ds: ds.train_test_split(0.5, shuffle=True, stratify="id"), ValueError, "not both"),
        (lambda ds: ds.write_orc("x", filesystem=object()), ValueError, "write_orc does not take filesystem="),
        (lambda ds: ds.write_parquet("x", filesystem=object()), ValueError, "no file system of fsspec"),
        (lambda ds: ds.write_parquet("x", mode="upsert"), NotImplementedError, "'upsert'"),
        (lambda ds: ds.write_json("x", orient="split"), NotImplementedError, "lines of objects"),
        (lambda ds: ray.data.read_csv("x", catalog=object()), ValueError, "read_csv does not take catalog="),
        (lambda ds: ray.data.read_parquet("x", include_row_hash=True), ValueError, "include_row_hash="),
        (lambda ds: ray.data.read_text("x", encoding="latin-1"), NotImplementedError, "reads UTF-8"),
        (lambda ds: ray.data.read_numpy("x", allow_pickle=True), NotImplementedError, "pickled"),
        (lambda ds: ds.iter_jax_batches(paddings=0), NotImplementedError, "does not take paddings="),
        (lambda ds: setattr(ds.context, "max_errored_blocks", 1), NotImplementedError, "whole blocks"),
        (lambda ds: ray.data.from_arrow([]), ValueError, "nothing to make a dataset of"),
    ],
)
def test_refused(call: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        call(ray.data.range(3))
    notes = [str(caught.value), str(caught.value.__cause__), *getattr(caught.value, "__notes__", [])]
    assert text in "\n".join(notes)


def test_arguments_without_effect() -> None:
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    numbers = ray.data.range(10, parallelism=2, concurrency=3)
    made = numbers.map_batches(
        lambda batch: batch, zero_copy_batch=True, udf_modifying_row_count=False, accelerator_type=None, max_calls=1
    )
    made = made.map(lambda row: row, scheduling_strategy="SPREAD").select_columns("id", concurrency=2)
    made = made.sort("id", boundaries=[5]).random_shuffle(num_blocks=2, seed=1)
    assert ordered(made, "id") == numbers.take_all()
    assert made.context is context


# --- Several partitions, nulls, nothing at all, by an oracle.


def random_table(seed: int, rows: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({"k": draw.integers(0, 7, rows), "x": draw.integers(-9, 9, rows), "y": draw.normal(size=rows)})
    frame.loc[draw.random(rows) < 0.2, "y"] = None
    return frame


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ddof", [0, 1, 2])
def test_std_of_groups_as_pandas(seed: int, ddof: int) -> None:
    frame = random_table(seed, 40)
    data = ray.data.from_pandas(frame, override_num_blocks=5)
    made = {row["k"]: row["std(y)"] for row in data.groupby("k").std("y", ddof=ddof).take_all()}
    for key, values in frame.groupby("k")["y"]:
        known = values.dropna()
        if known.empty:
            assert made[key] is None
        elif len(known) <= ddof:
            assert np.isnan(made[key])
        else:
            assert made[key] == pytest.approx(known.std(ddof=ddof))


@pytest.mark.parametrize("seed", range(4))
def test_aggregates_as_pandas(seed: int) -> None:
    frame = random_table(seed, 200)
    data = ray.data.from_pandas(frame, override_num_blocks=4)
    aggregates = (agg.Sum("x"), agg.Mean("y"), agg.Count("y", ignore_nulls=True), agg.CountDistinct("x"),
                  agg.Quantile("x", q=0.3), agg.ZeroPercentage("x"), agg.MissingValuePercentage("y"))  # fmt: skip
    made = pd.DataFrame(ordered(data.groupby("k").aggregate(*aggregates), "k")).set_index("k")
    groups = frame.groupby("k")
    expected = pd.DataFrame({
        "sum(x)": groups["x"].sum(),
        "mean(y)": groups["y"].mean(),
        "count(y)": groups["y"].count(),
        "count_distinct(x)": groups["x"].nunique(),
        "quantile(x)": groups["x"].quantile(0.3),
        "zero_pct(x)": groups["x"].apply(lambda values: (values == 0).mean() * 100),
        "missing_pct(y)": groups["y"].apply(lambda values: values.isna().mean() * 100),
    })  # fmt: skip
    pd.testing.assert_frame_equal(made, expected, check_dtype=False, check_index_type=False)


def test_one_null_makes_a_result_null_where_nulls_count() -> None:
    data = table(ray.data)
    made = data.aggregate(*(of("y", ignore_nulls=False) for of in (agg.Sum, agg.Min, agg.Max, agg.Mean, agg.Std)))
    assert set(made.values()) == {None}
    assert data.aggregate(agg.CountDistinct("y", ignore_nulls=False)) == {"count_distinct(y)": 5}
    nan = ray.data.from_arrow(pa.table({"y": [1.0, float("nan"), None, 2.0]}))
    assert nan.aggregate(agg.MissingValuePercentage("y")) == {"missing_pct(y)": 50.0}


@pytest.mark.parametrize("seed", range(20))
def test_texts_of_conditions_as_python(seed: int) -> None:
    draw = random.Random(seed)

    def condition(depth: int) -> str:
        if depth == 0:
            name = draw.choice(["a", "b"])
            return draw.choice([f"{name} > {draw.randint(-5, 5)}", f"{name} in [1, 2, {draw.randint(-5, 5)}]",
                                f"{name} not in (0, 3)", f"{draw.randint(-5, 0)} <= {name} < 4",
                                f"{name} + 1 != 2 * {name}", f"-{name} == 2"])  # fmt: skip
        if draw.random() < 0.3:
            return f"not ({condition(depth - 1)})"
        return f"({condition(depth - 1)}) {draw.choice(['and', 'or'])} ({condition(depth - 1)})"

    rows = [{"a": draw.randint(-5, 5), "b": draw.randint(-5, 5)} for _ in range(50)]
    text = condition(3)
    assert ray.data.from_items(rows).filter(expr=text).take_all() == [row for row in rows if eval(text, {}, row)]


def test_null_in_the_text_of_a_condition() -> None:
    data = table(ray.data)
    assert [row["x"] for row in data.filter(expr="y is None").take_all()] == [3]
    assert data.filter(expr="y is not None and k == 'a'").count() == 1


@pytest.mark.filterwarnings("ignore:this runs")
def test_rows_of_several_partitions_go_through_functions() -> None:
    numbers = ray.data.range(50_000, override_num_blocks=7)
    made = (
        numbers.map(lambda row: {"n": row["id"] + 1}).flat_map(lambda row: [row] * 2).filter(lambda row: row["n"] % 2)
    )
    assert made.count() == 50_000
    assert made.sum("n") == 2 * sum(range(1, 50_001, 2))


class Scale:
    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, row: dict[str, Any]) -> Any:
        return row["id"] % self.by == 0


def test_a_class_filters_rows_in_workers() -> None:
    numbers = ray.data.range(10)
    made = numbers.filter(Scale, fn_constructor_args=[3], compute=ray.data.ActorPoolStrategy(size=1))
    assert ordered(made, "id") == [{"id": 0}, {"id": 3}, {"id": 6}, {"id": 9}]


def test_rows_in_workers_have_the_columns_of_the_first_batch() -> None:
    numbers = ray.data.range(60_000, override_num_blocks=4)
    made = numbers.flat_map(lambda row: [{"n": row["id"]}] if row["id"] < 5 else [], concurrency=2)
    assert ordered(made, "n") == [{"n": n} for n in range(5)]
    made = numbers.map(lambda row: {"n": row["id"] if row["id"] == 0 else None}, num_cpus=1)
    assert made.filter(expr="n is not None").take_all() == [{"n": 0}]


@pytest.mark.parametrize("late", ["x", 1.5, {"n": 1}])
def test_values_of_another_type_than_the_first_say_what_to_do(late: Any) -> None:
    rows = ray.data.range(20_000).map(lambda row: {"n": 1 if row["id"] < 10_000 else late})
    with pytest.raises(ray.errors.UserFunctionError) as caught:
        rows.take_all()
    assert "values that are no int64, as its first ones" in str(caught.value.__cause__)
    assert caught.value.__cause__.hint == "say its type: schema={'n': type}, with the other columns"


def test_a_column_without_a_first_value_needs_a_type() -> None:
    def late(row: dict[str, Any]) -> dict[str, Any]:
        return {"n": None if row["id"] < 10_000 else row["id"]}

    with pytest.raises(ray.errors.UserFunctionError, match="'n' had no value in the first batch"):
        ray.data.range(20_000).map(late).take_all()
    assert ray.data.range(20_000).map(late, schema={"n": int}).max("n") == 19_999


def test_items_of_arrays() -> None:
    made = ray.data.from_items([{"v": np.full((2, 2), n), "n": n} for n in range(3)])
    assert made.take_batch()["v"].shape == (3, 2, 2)
    assert ray.data.from_items([np.array([1, 2])]).take_all()[0]["item"].tolist() == [1, 2]


def test_rows_that_fail_are_named_and_may_be_skipped() -> None:
    numbers = ray.data.range(5)
    with pytest.raises(ZeroDivisionError) as caught:
        raise_cause(lambda: numbers.map(lambda row: {"n": 1 // row["id"]}, schema={"n": int}).take_all())
    assert "{'id': 0}" in "\n".join(caught.value.__notes__)
    skipped = numbers.map(lambda row: {"n": 4 // row["id"]}, schema={"n": int}, on_error="skip")
    assert ordered(skipped, "n") == [{"n": 1}, {"n": 1}, {"n": 2}, {"n": 4}]


def raise_cause(call: Any) -> None:
    """Call, and raise what the user's function raised."""
    try:
        call()
    except ray.errors.UserFunctionError as error:
        raise error.__cause__ from None


def test_arrays_of_rows_keep_their_shape_and_may_differ() -> None:
    numbers = ray.data.range(3)
    assert numbers.map(lambda row: {"v": np.zeros((2, 3))}).take_batch()["v"].shape == (3, 2, 3)
    ragged = numbers.map(lambda row: {"v": np.arange(row["id"])}).take_all()
    assert [list(row["v"]) for row in ragged] == [[], [0], [0, 1]]
    tensors = ray.data.range_tensor(4, shape=(2, 2)).map_batches(lambda batch: {"data": batch["data"] + 1})
    assert [row["data"].tolist() for row in tensors.take(2)] == [[[1, 1], [1, 1]], [[2, 2], [2, 2]]]


class Count:
    """Groups of an instance: each thread has its own."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, group: dict[str, Any], more: int = 0) -> dict[str, Any]:
        return {self.key: group[self.key][:1], "n": [len(group["x"]) + more]}


def test_a_class_over_groups() -> None:
    made = table(ray.data).groupby("k").map_groups(Count, fn_constructor_args=["k"], fn_kwargs={"more": 1})
    assert ordered(made, "k") == [{"k": "a", "n": 3}, {"k": "b", "n": 3}, {"k": "c", "n": 2}]


def test_groups_of_everything() -> None:
    data = table(ray.data)
    assert data.groupby(None).count().take_all() == [{"count()": 5}]
    assert data.groupby(None).map_groups(lambda group: {"n": [len(group["x"])]}).take_all() == [{"n": 5}]


def test_with_a_column_that_both_sides_have() -> None:
    left = ray.data.from_items([{"a": 1, "b": 2, "v": 3}])
    right = ray.data.from_items([{"c": 1, "b": 2, "v": 4}])
    joined = left.join(right, "full_outer", 1, on=("a", "b"), right_on=("c", "b"), left_suffix="_l", right_suffix="_r")
    assert joined.take_all() == [{"a": 1, "b": 2, "v_l": 3, "v_r": 4}]


def test_null_keys_match_nothing() -> None:
    side = ray.data.from_items([{"id": None, "v": 1}, {"id": 1, "v": 2}])
    other = side.rename_columns({"v": "w"})
    assert side.join(other, "inner", 1).take_all() == [{"id": 1, "v": 2, "w": 2}]


@pytest.mark.parametrize(("rows", "n"), [(0, 2), (1, 3), (10, 3), (50_000, 4)])
@pytest.mark.parametrize("equal", [True, False])
def test_splits_have_each_row_once(rows: int, n: int, equal: bool) -> None:
    pieces = ray.data.range(rows, override_num_blocks=3).split(n, equal=equal)
    got = [row["id"] for piece in pieces for row in piece.take_all()]
    assert got == list(range(rows - rows % n if equal else rows))
    sizes = [piece.count() for piece in pieces]
    assert max(sizes) - min(sizes) <= (0 if equal else 1)


@pytest.mark.parametrize("test_size", [0.25, 25])
def test_both_parts_have_the_same_shares(test_size: float) -> None:
    rows = [{"k": "rare" if n % 10 == 0 else "often", "n": n} for n in range(100)]
    train, test = ray.data.from_items(rows, override_num_blocks=3).train_test_split(test_size, stratify="k")
    assert sorted(row["n"] for part in (train, test) for row in part.take_all()) == list(range(100))
    assert [part.filter(expr="k == 'rare'").count() for part in (train, test)] == [8, 2]
    assert test.columns() == ["k", "n"]
    train, test = ray.data.from_items(rows).train_test_split(test_size, shuffle=True, seed=3)
    assert test.count() == 25
    assert {row["n"] for row in train.take_all()} | {row["n"] for row in test.take_all()} == set(range(100))


def test_trainers_share_the_rows() -> None:
    shares = ray.data.range(5_000).streaming_split(2, equal=True)
    with ThreadPoolExecutor() as trainers:
        got = list(trainers.map(lambda share: [row["id"] for row in share.iter_rows()], shares))
    assert sorted(got[0] + got[1]) == list(range(5_000))
    assert len(got[0]) == len(got[1])
    with pytest.raises(ray.errors.UnsupportedError, match="in the order in which it is dealt"):
        shares[0].iter_batches(local_shuffle_buffer_size=10)


def test_a_window_is_shuffled() -> None:
    numbers = ray.data.range(100)
    given = {"batch_size": 100, "local_shuffle_buffer_size": 50, "local_shuffle_seed": 1}
    [one], [other] = list(numbers.iter_batches(**given)), list(numbers.iter_batches(**given))
    assert one["id"].tolist() == other["id"].tolist() != list(range(100))
    assert sorted(one["id"].tolist()) == list(range(100))


def test_torch_is_asked_for_by_name() -> None:
    with contextlib.suppress(ModuleNotFoundError):
        import torch  # noqa: F401

        pytest.skip("PyTorch is there")
    with pytest.raises(ModuleNotFoundError, match="pip install torch"):
        list(ray.data.range(2).iter_torch_batches())


# --- Files.


def test_reads_with_rays_arguments(tmp_path: pathlib.Path) -> None:
    for year in (2025, 2026):
        (tmp_path / f"year={year}").mkdir()
        (tmp_path / f"year={year}" / "a.csv").write_text(f"# skipped\n{year - 2000};NA\n")
    read = ray.data.read_csv(
        str(tmp_path),
        read_options=csv.ReadOptions(skip_rows=1, column_names=["n", "x"]),
        parse_options=csv.ParseOptions(delimiter=";"),
        convert_options=csv.ConvertOptions(null_values=["NA"], column_types={"x": pa.float64()}),
        partition_filter=lambda paths: [path for path in paths if "2026" in path],
        include_paths=True,
        override_num_blocks=4,
        shuffle="files",
    )
    [row] = read.take_all()
    assert (row["n"], row["x"], str(row["year"])) == (26, None, "2026")
    assert row["path"].endswith("year=2026/a.csv")
    assert ray.data.read_csv(str(tmp_path), partitioning=None, include_paths=False).columns() != read.columns()


def test_texts_for_null_in_csv(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.csv").write_text("n,s,d\n1,NA,2026-01-02\n-,,-\n")
    given = {"null_values": ["-", ""], "column_types": {"n": pa.float32()}}
    read = ray.data.read_csv(tmp_path / "a.csv", convert_options=csv.ConvertOptions(**given))
    assert read.schema().types == [pa.float32(), pa.string(), pa.date32()]
    assert [list(row.values()) for row in read.take_all()] == [
        [1.0, "NA", datetime.date(2026, 1, 2)],
        [None, "", None],
    ]
    options = csv.ConvertOptions(null_values=["-", "NA"], strings_can_be_null=True)
    assert [row["s"] for row in ray.data.read_csv(tmp_path / "a.csv", convert_options=options).take_all()] == [None] * 2


def test_columns_of_parquet_with_paths(tmp_path: pathlib.Path) -> None:
    table(ray.data).write_parquet(tmp_path / "out.parquet", min_rows_per_file=2, compression="zstd")
    assert len(list((tmp_path / "out.parquet").glob("*.parquet"))) == 3
    read = ray.data.read_parquet(tmp_path / "out.parquet", columns=["x"], include_paths=True)
    assert read.columns() == ["x", "path"]
    assert read.sum("x") == 10


def test_texts_of_files_are_what_pyarrow_computes_with(tmp_path: pathlib.Path) -> None:
    ray.data.from_items([{"s": "x", "b": b"1"}]).write_parquet(tmp_path)
    read = ray.data.read_parquet(tmp_path)
    plain = pa.schema([("s", pa.string()), ("b", pa.binary())])
    assert read.schema().base_schema.equals(plain)
    assert read.iterator().schema() == read.schema()

    def upper(batch: pa.Table) -> pa.Table:
        assert batch.schema.equals(plain)
        return pa.table({"s": pc.utf8_upper(batch["s"])})

    assert read.map_batches(upper, batch_format="pyarrow").take_all() == [{"s": "X"}]
    assert read.groupby("s").map_groups(upper, batch_format="pyarrow").take_all() == [{"s": "X"}]
    assert [batch.schema.equals(plain) for batch in read.iter_batches(batch_format="pyarrow")] == [True]
    assert ray.get(read.to_arrow_refs())[0].schema.equals(plain)


@pytest.mark.parametrize("write", ["write_parquet", "write_csv", "write_json", "write_numpy", "write_orc"])
def test_modes_of_writes(write: str, tmp_path: pathlib.Path) -> None:
    to = {"column": "id"} if write == "write_numpy" else {}
    modes = ray.data.SaveMode

    def wrote(rows: int, **more: Any) -> int:
        getattr(ray.data.range(rows), write)(tmp_path / "out", **to, **more)
        return len([path for path in (tmp_path / "out").iterdir() if path.is_file()])

    first = wrote(3)
    assert first == 1
    assert wrote(3) == 2
    assert wrote(3, mode=modes.IGNORE) == 2
    assert wrote(3, mode="overwrite") == 1
    for mode in (modes.ERROR, modes.CREATE):
        with pytest.raises(ray.errors.ExistsError):
            wrote(3, mode=mode)
    assert wrote(3, mode=modes.APPEND) == 2


def test_the_same_program_under_both_names() -> None:
    dataset = ray.data.from_sheaf(ray.range(4)).with_column("half", col("id") / 2)
    assert dataset.to_sheaf().columns == ["id", "half"]
    assert isinstance(dataset.materialize(), ray.data.MaterializedDataset)
    assert pa.table(dataset).num_rows == 4
    assert ray.sql("SELECT sum(id) AS total FROM numbers", numbers=dataset).to_pydict() == {"total": [6]}
