"""Functions of the user's inside plans: formats, sizes, schemas, errors."""

import threading
import traceback
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import sheaf as sf

DATA = {"n": [1, 2, 3], "f": [0.5, None, 2.5], "s": ["x", None, "z"]}


def data() -> sf.Dataset:
    return sf.from_pydict(DATA)


def give_arrow(batch: pa.RecordBatch) -> pa.RecordBatch:
    assert isinstance(batch, pa.RecordBatch)
    return batch.slice(1)


def give_table(batch: pa.RecordBatch) -> pa.Table:
    half = batch.slice(0, 1)
    return pa.Table.from_batches([half, batch.slice(2)]).slice(0)


def give_pandas(frame: pd.DataFrame) -> pd.DataFrame:
    assert isinstance(frame, pd.DataFrame)
    frame["n"] += 1
    return frame[frame["s"].notna()]


def give_polars(frame: pl.DataFrame) -> pl.DataFrame:
    assert isinstance(frame, pl.DataFrame)
    return frame.with_columns(pl.col("n") * 10)


def give_numpy(columns: dict[str, np.ndarray]) -> dict[str, Any]:
    assert columns["n"].dtype == np.int64
    assert np.isnan(columns["f"][1])
    return {"n": columns["n"] - 1, "list": [1, 2, None], "matrix": np.eye(3), "arrow": pa.array(["a", "b", "c"])}


@pytest.mark.parametrize(
    ("function", "batch_format", "expected"),
    [
        (give_arrow, "pyarrow", {"n": [2, 3], "f": [None, 2.5], "s": [None, "z"]}),
        (give_table, "pyarrow", {"n": [1, 3], "f": [0.5, 2.5], "s": ["x", "z"]}),
        (give_pandas, "pandas", {"n": [2, 4], "f": [0.5, 2.5], "s": ["x", "z"]}),
        (give_polars, "polars", {"n": [10, 20, 30], "f": [0.5, None, 2.5], "s": ["x", None, "z"]}),
        (
            give_numpy,
            "numpy",
            {
                "n": [0, 1, 2],
                "list": [1, 2, None],
                "matrix": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
                "arrow": ["a", "b", "c"],
            },
        ),
    ],
)
def test_formats(function: Any, batch_format: Any, expected: dict[str, list[Any]]) -> None:
    assert data().map_batches(function, batch_format=batch_format).to_pydict() == expected


def test_any_format_may_be_returned() -> None:
    numbers = sf.range(2)
    for give in (
        lambda _: pd.DataFrame({"a": [1]}, index=[7]),
        lambda _: pl.DataFrame({"a": [1]}),
        lambda _: {"a": [1]},
        lambda _: pa.table({"a": [1]}),
    ):
        assert numbers.map_batches(give).to_pydict() == {"a": [1]}
    with pytest.raises(sf.UserFunctionError, match="returned int"):
        numbers.map_batches(lambda _: 1)
    with pytest.raises(sf.InvalidInputError, match="there is no batch format"):
        numbers.map_batches(lambda batch: batch, batch_format="csv")


def test_matrices_go_both_ways() -> None:
    matrix = sf.from_arrow(pa.table({"m": pa.FixedSizeListArray.from_arrays(pa.array(range(6)), 2)}))
    doubled = matrix.map_batches(lambda columns: {"m": columns["m"] * 2}, batch_format="numpy")
    assert doubled.to_pydict() == {"m": [[0, 2], [4, 6], [8, 10]]}


def test_batch_sizes() -> None:
    sizes: list[int] = []
    with sf.Session(threads=1) as session:
        numbers = session.range(1_000)

        def note(batch: pa.RecordBatch) -> pa.RecordBatch:
            sizes.append(batch.num_rows)
            return batch

        assert numbers.map_batches(note, batch_size=300, schema=numbers.schema).count() == 1_000
    assert sizes == [300, 300, 300, 100]
    with pytest.raises(sf.InvalidInputError, match="batch_size"):
        sf.range(1).map_batches(note, batch_size=0)


def test_arguments() -> None:
    mapped = sf.range(2).map_batches(
        lambda columns, add, times: {"id": columns["id"] * times + add},
        batch_format="numpy",
        fn_args=[1],
        fn_kwargs={"times": 10},
    )
    assert mapped.to_pydict() == {"id": [1, 11]}


def test_schema_given_or_seen() -> None:
    calls: list[int] = []

    def note(batch: pa.RecordBatch) -> pa.RecordBatch:
        calls.append(batch.num_rows)
        return batch.append_column("t", pa.array(["x"] * batch.num_rows))

    numbers = sf.range(5)
    lazy = numbers.map_batches(note, schema={"id": int, "t": "string"})
    assert calls == []
    assert lazy.schema.names == ["id", "t"]
    seen = numbers.map_batches(note)
    assert len(calls) == 1
    assert seen.schema.field("t").type == pa.string()
    assert sf.range(0).map_batches(note).columns == ["id", "t"]


@pytest.mark.parametrize("batch_format", ["pyarrow", "pandas", "polars"])
def test_text_is_text_however_a_format_lays_it_out(batch_format: Any) -> None:
    texts = sf.from_pydict({"t": ["a", None, "c"], "l": [["x"], [], None]})
    schema = {"t": "string", "l": pa.list_(pa.large_string())}
    same = texts.map_batches(lambda frame: frame, batch_format=batch_format, schema=schema)
    assert same.to_arrow().schema.types == [pa.string(), pa.list_(pa.large_string())]
    assert same.to_pydict() == texts.to_pydict()


def test_a_column_without_values_fits_any_type() -> None:
    noted = sf.range(2).map_batches(
        lambda frame: frame.assign(note=None), batch_format="pandas", schema={"id": int, "note": "string"}
    )
    assert noted.to_pydict() == {"id": [0, 1], "note": [None, None]}


@pytest.mark.parametrize("batch_format", ["pandas", "numpy", "polars", "pyarrow"])
def test_integers_stay_integers_where_some_are_missing(batch_format: Any) -> None:
    numbers = sf.from_pydict({"a": [*range(9_000), None]})
    same = numbers.map_batches(lambda batch: batch, batch_format=batch_format, batch_size=1_000)
    assert same.schema.field("a").type == pa.int64()
    assert same.to_arrow() == numbers.to_arrow()
    small = sf.range(3).map_batches(lambda batch: batch, batch_format=batch_format, schema={"id": "int8"})
    assert small.to_arrow().column("id").type == pa.int8()
    with pytest.raises(sf.TypeMismatchError, match="Int64 instead of Int8"):
        sf.range(300).map_batches(lambda batch: batch, batch_format=batch_format, schema={"id": "int8"}).to_arrow()


def test_a_polars_frame_with_a_column_of_nulls_may_be_returned() -> None:
    noted = sf.range(2).map_batches(lambda frame: frame.with_columns(n=pl.lit(None)), batch_format="polars")
    assert noted.to_pydict() == {"id": [0, 1], "n": [None, None]}


@pytest.mark.parametrize("column", [lambda b: b.to_pandas()["id"], lambda b: pl.DataFrame(b)["id"], lambda b: b["id"]])
def test_a_column_is_no_batch(column: Any) -> None:
    with pytest.raises(sf.UserFunctionError, match=r"return a pyarrow\.RecordBatch or Table"):
        sf.range(2).map_batches(column, schema={"id": int}).to_arrow()


def test_a_result_of_another_schema_is_refused() -> None:
    with pytest.raises(sf.TypeMismatchError, match="batch 0"):
        sf.range(5).map_batches(lambda _: {"id": ["x"]}, schema={"id": "int64"}).to_arrow()
    with pytest.raises(sf.TypeMismatchError, match="instead of"):
        sf.range(5).map_batches(lambda _: {"a": [1], "b": [1]}, schema={"id": "int64"}).to_arrow()


def test_it_streams_inside_the_plan() -> None:
    calls: list[int] = []

    def note(batch: pa.RecordBatch) -> pa.RecordBatch:
        calls.append(batch.num_rows)
        return batch

    with sf.Session(threads=1) as session:
        numbers = session.range(10_000_000)
        taken = numbers.map_batches(note, batch_size=1_000, schema=numbers.schema).limit(5).to_arrow()
    assert taken.num_rows == 5
    assert sum(calls) < 1_000_000


def test_partitions_run_on_threads_of_their_own() -> None:
    names: set[int] = set()
    together = threading.Barrier(2, timeout=30)

    def note(batch: pa.RecordBatch) -> pa.RecordBatch:
        names.add(threading.get_ident())
        together.wait()
        return batch

    with sf.Session(threads=2) as session:
        half = pa.table({"a": list(range(10))})
        both = session.from_arrow(half).union(session.from_arrow(half))
        assert both.map_batches(note, schema=half.schema).count() == 20
    assert len(names) == 2


def boom(batch: pa.RecordBatch) -> pa.RecordBatch:
    raise KeyError("no such thing")


def test_an_error_has_its_own_traceback_and_the_position() -> None:
    with sf.Session(threads=1) as session:
        numbers = session.range(100)
        mapped = numbers.map_batches(
            lambda batch: boom(batch) if batch["id"][0].as_py() == 60 else batch, batch_size=20, schema=numbers.schema
        )
        with pytest.raises(sf.UserFunctionError) as raised:
            mapped.to_arrow()
    message = str(raised.value)
    assert "KeyError" in message
    assert "no such thing" in message
    assert "partition 0, batch 3, row 60" in message
    cause = raised.value.__cause__
    assert isinstance(cause, KeyError)
    assert "boom" in [frame.name for frame in traceback.extract_tb(cause.__traceback__)]


def test_an_error_keeps_its_cause_across_an_exchange() -> None:
    with sf.Session(threads=2) as session:
        numbers = session.range(100)
        grouped = numbers.map_batches(boom, schema=numbers.schema).groupby("id").agg(n=sf.functions.count(sf.lit(1)))
        with pytest.raises(sf.UserFunctionError) as raised:
            grouped.sort("id").to_arrow()
    assert isinstance(raised.value.__cause__, KeyError)


def test_a_function_may_use_the_engine() -> None:
    def nested(batch: pa.RecordBatch) -> pa.RecordBatch:
        return sf.from_arrow(batch).with_column("id", sf.col("id") + 1).to_arrow()

    assert sf.range(3).map_batches(nested).to_pydict() == {"id": [1, 2, 3]}
