"""Functions over groups: each group whole or in batches, larger than a batch, larger than memory, with every key."""

from __future__ import annotations

import math
import traceback
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import sheaf as sf


def told(batch: pa.RecordBatch) -> dict[str, list[Any]]:
    """What a call was given: its least key and value, and how many rows."""
    return {"k": batch["k"][:1].to_pylist(), "rows": [batch.num_rows], "least": [pa.compute.min(batch["x"]).as_py()]}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Rows of 100 groups and of nulls, in no order; one group has half of them."""
    rng = np.random.default_rng(3)
    keys = np.where(rng.random(60_000) < 0.5, 7, rng.integers(0, 100, 60_000))
    k = pd.array(np.where(keys == 3, pd.NA, keys), dtype="Int64")
    return pd.DataFrame({"k": k, "x": rng.integers(0, 1 << 40, 60_000)})


@pytest.fixture(scope="module")
def dataset(frame: pd.DataFrame) -> sf.Dataset:
    """The same rows, in several partitions."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return sf.from_arrow(pa.Table.from_batches(table.to_batches(max_chunksize=5_000)))


def test_each_group_is_one_call(frame: pd.DataFrame, dataset: sf.Dataset) -> None:
    given = dataset.groupby("k").map_groups(told).sort("k").to_pandas()
    expected = frame.groupby("k", dropna=False).x.agg(["size", "min"])
    assert given["rows"].tolist() == expected["size"].tolist()
    assert given["least"].tolist() == expected["min"].tolist()
    assert given["rows"].max() > 3 * 8192, "one group has more rows than a batch"


@pytest.mark.parametrize("batch_format", ["pyarrow", "pandas", "polars", "numpy"])
def test_formats(frame: pd.DataFrame, dataset: sf.Dataset, batch_format: Any) -> None:
    def total(group: Any) -> dict[str, Any]:
        x = np.asarray(group["x"])
        return {"rows": np.array([len(x)]), "total": np.array([x.sum()])}

    given = dataset.groupby("k").map_groups(total, batch_format).to_pandas()
    expected = frame.groupby("k", dropna=False).x.agg(["size", "sum"])
    assert sorted(given.itertuples(index=False, name=None)) == sorted(expected.itertuples(index=False, name=None))


def test_arguments_and_schema(dataset: sf.Dataset) -> None:
    calls: list[int] = []

    def scaled(group: pa.RecordBatch, factor: int, *, plus: int) -> dict[str, Any]:
        calls.append(group.num_rows)
        return {"n": [group.num_rows * factor + plus]}

    mapped = dataset.groupby("k").map_groups(scaled, schema={"n": "int64"}, fn_args=[2], fn_kwargs={"plus": 1})
    assert calls == [], "with a schema nothing is called before the plan runs"
    assert sum(mapped.to_pydict()["n"]) == 2 * 60_000 + 100
    assert sum(calls) == 60_000


def test_groups_are_several_rows_or_none(dataset: sf.Dataset) -> None:
    doubled = dataset.groupby("k").map_groups(lambda group: pa.concat_tables([pa.table(group)] * 2))
    assert doubled.count() == 120_000
    assert dataset.groupby("k").map_groups(lambda group: group[:0]).count() == 0


def test_batches_never_cross_groups(frame: pd.DataFrame, dataset: sf.Dataset) -> None:
    def checked(batch: pa.RecordBatch) -> dict[str, list[Any]]:
        assert len(batch["k"].unique()) == 1
        return told(batch)

    given = dataset.groupby("k").map_batches(checked, batch_size=1_000).to_pandas()
    sizes = frame.groupby("k", dropna=False).size()
    for key, size in sizes.items():
        mine = given["rows"][given["k"].isna() if pd.isna(key) else given["k"] == key]
        assert sorted(mine, reverse=True) == [1_000] * (size // 1_000) + [size % 1_000] * (size % 1_000 > 0)
    usual = dataset.groupby("k").map_batches(checked).to_pandas()
    assert usual["rows"].sum() == 60_000
    assert usual["rows"].max() <= 8192
    with pytest.raises(sf.InvalidInputError, match="batch_size must be at least 1"):
        dataset.groupby("k").map_batches(told, batch_size=0)


def test_one_group_is_nulls_one_nans_one_zeros() -> None:
    values = [0.0, -0.0, math.nan, -math.nan, None, 1.5, None, 0.0]
    data = sf.from_arrow(pa.table({"k": pa.array(values), "x": range(8)}))
    for kind in ("float64", "float32"):
        grouped = data.with_column("k", sf.col("k").cast(kind)).groupby("k")
        sizes = grouped.map_groups(lambda group: {"xs": [sorted(group["x"].to_pylist())]}).to_pydict()["xs"]
        assert sorted(sizes) == [[0, 1, 7], [2, 3], [4, 6], [5]]
    whole = data.groupby("k").map_groups(lambda group: group).to_pydict()
    assert sorted(map(str, whole["k"])) == sorted(map(str, [*values[:3], math.nan, *values[4:]])), (
        "keys are as they were"
    )


def test_every_kind_of_key() -> None:
    table = pa.table(
        {
            "text": ["a", "b", "a", None] * 50,
            "list": [[1], [1, 2], [1], None] * 50,
            "struct": [{"a": 1}, {"a": 2}, {"a": 1}, None] * 50,
            "dictionary": pa.array(["x", "y", "x", None] * 50).dictionary_encode(),
            "null": pa.nulls(200),
            "bool": [True, False, True, None] * 50,
        }
    )
    data = sf.from_arrow(pa.Table.from_batches(table.to_batches(max_chunksize=7)))
    for name in table.schema.names:
        sizes = data.groupby(name).map_groups(lambda group: {"n": [group.num_rows]}).to_pydict()["n"]
        assert sorted(sizes) == ([200] if name == "null" else [50, 50, 100]), name
    both = data.groupby("text", sf.col("bool").is_null()).map_groups(lambda group: {"n": [group.num_rows]})
    assert sorted(both.to_pydict()["n"]) == [50, 50, 100]


def test_expressions_functions_and_none_as_keys(dataset: sf.Dataset) -> None:
    def given(group: pa.RecordBatch) -> dict[str, list[Any]]:
        assert group.schema.names == ["k", "x"], "the function sees the dataset's columns alone"
        return {"odd": [group["x"][0].as_py() % 2], "rows": [group.num_rows]}

    by_expression = dataset.groupby(sf.col("x") % 2).map_groups(given).sort("odd").to_pydict()
    by_function = dataset.groupby(lambda row: row["x"] % 2).map_groups(given).sort("odd").to_pydict()
    assert by_expression == by_function
    assert sum(by_expression["rows"]) == 60_000
    assert dataset.groupby(None).map_groups(given).to_pydict()["rows"] == [60_000]
    sizes = dataset.groupby(None).map_batches(given, batch_size=25_000).to_pydict()["rows"]
    assert sizes == [25_000, 25_000, 10_000]


def test_no_rows_are_no_groups() -> None:
    none = sf.from_arrow(pa.table({"k": pa.array([], pa.int64()), "x": pa.array([], pa.int64())}))
    mapped = none.groupby("k").map_groups(lambda group: {"rows": [group.num_rows]})
    assert mapped.schema == pa.schema([("rows", pa.int64())])
    assert mapped.to_pydict() == {"rows": []}


def test_errors_are_the_functions_own(dataset: sf.Dataset) -> None:
    def fails(group: pa.RecordBatch) -> pa.RecordBatch:
        raise KeyError("no such thing")

    with pytest.raises(sf.UserFunctionError, match=r"fails\" raised KeyError") as caught:
        dataset.groupby("k").map_groups(fails, schema=dataset.schema).to_arrow()
    assert isinstance(caught.value.__cause__, KeyError)
    lines = traceback.extract_tb(caught.value.__cause__.__traceback__)
    assert lines[-1].name == "fails"
    with pytest.raises(sf.UnknownColumnError, match="kk"):
        dataset.groupby("kk").map_groups(told)
    with pytest.raises(sf.TypeMismatchError, match="n"):
        dataset.groupby("k").map_groups(lambda group: {"n": ["text"]}, schema={"n": "int64"}).to_arrow()


def test_the_plan_has_an_exchange_and_a_sort(dataset: sf.Dataset) -> None:
    plan = dataset.groupby("k").map_groups(told).explain().split("== Physical ==")[1]
    assert "MapGroupsExec" in plan
    assert "by=[k@0], whole groups" in plan
    assert "SortExec: expr=[k@0 ASC]" in plan
    assert "RepartitionExec: partitioning=Hash([k@0]" in plan


def test_groups_of_more_data_than_memory_are_spilled() -> None:
    with sf.Session(memory_limit="192MiB", threads=2) as session:
        rows = 3_000_000
        data = session.range(rows).with_columns(
            k=sf.col("id") * 7919 % 5_000, text=sf.functions.lpad(sf.col("id").cast("string"), 80, "x")
        )
        mapped = data.groupby("k").map_groups(
            lambda group: {"k": group["k"][:1], "rows": [group.num_rows]}, schema={"k": "int64", "rows": "int64"}
        )
        given = mapped.to_pydict()
        assert len(given["k"]) == len(set(given["k"])) == 5_000
        assert set(given["rows"]) == {600}
        stats = mapped.stats()
        assert stats is not None
        sort = next(line for line in stats.splitlines() if "SortExec" in line)
        assert "spill_count=0" not in sort


def test_a_group_that_does_not_fit_is_told() -> None:
    with sf.Session(memory_limit="192MiB", threads=2) as session:
        data = session.range(3_000_000).with_column("text", sf.functions.lpad(sf.col("id").cast("string"), 80, "x"))
        grouped = data.groupby(sf.col("id") * 0)
        with pytest.raises(
            sf.MemoryLimitError, match=r"a group of count has [0-9]+ rows or more, which need"
        ) as caught:
            grouped.map_groups(count, schema={"rows": "int64"}).to_arrow()
        assert "map_batches" in str(caught.value)
        # In several batches it is no matter.
        sizes = grouped.map_batches(count, schema={"rows": "int64"}).to_pydict()["rows"]
        assert sum(sizes) == 3_000_000


def count(group: pa.RecordBatch) -> dict[str, list[int]]:
    """How many rows a call is given."""
    return {"rows": [group.num_rows]}
