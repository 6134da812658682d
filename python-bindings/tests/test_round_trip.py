"""Every type crosses from Arrow, pandas and Polars into the engine, through an operator, and back."""

import datetime as dt
import decimal
from typing import Any

import pandas as pd
import polars as pl
import polars.testing
import pyarrow as pa
import pytest

import sheaf as sf

UTC = dt.UTC
DAY, MOMENT = dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 12, 30, 15, 123456)
DECIMAL = decimal.Decimal("12345.67")

# name: (type, two values). A null is put between them, so that each is also seen with nulls.
TYPES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "bool": (pa.bool_(), [True, False]),
    **{f"int{bits}": (getattr(pa, f"int{bits}")(), [-5, 7]) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (getattr(pa, f"uint{bits}")(), [5, 7]) for bits in (8, 16, 32, 64)},
    "float16": (pa.float16(), [0.5, -2.0]),
    "float32": (pa.float32(), [0.5, -2.25]),
    "float64": (pa.float64(), [0.1, 1e300]),
    "decimal32": (pa.decimal32(7, 2), [DECIMAL, -DECIMAL]),
    "decimal64": (pa.decimal64(12, 2), [DECIMAL, -DECIMAL]),
    "decimal128": (pa.decimal128(20, 2), [DECIMAL, -DECIMAL]),
    "decimal256": (pa.decimal256(50, 2), [DECIMAL, -DECIMAL]),
    "string": (pa.string(), ["", "ein längerer Text ☃"]),
    "large_string": (pa.large_string(), ["", "x"]),
    "string_view": (pa.string_view(), ["short", "a text longer than twelve bytes"]),
    "binary": (pa.binary(), [b"", b"\x00\xff"]),
    "large_binary": (pa.large_binary(), [b"", b"\x00\xff"]),
    "binary_view": (pa.binary_view(), [b"short", b"bytes longer than twelve of them"]),
    "fixed_binary": (pa.binary(3), [b"abc", b"def"]),
    "date32": (pa.date32(), [DAY, dt.date(1900, 1, 1)]),
    "date64": (pa.date64(), [DAY, dt.date(1900, 1, 1)]),
    "time32": (pa.time32("ms"), [dt.time(1, 2, 3, 4000), dt.time(0)]),
    "time64": (pa.time64("us"), [dt.time(1, 2, 3, 4), dt.time(0)]),
    **{f"timestamp_{unit}": (pa.timestamp(unit), [MOMENT.replace(microsecond=0), dt.datetime(1960, 1, 1)])
       for unit in ("s", "ms", "us", "ns")},
    "timestamp_utc": (pa.timestamp("us", "UTC"), [MOMENT.replace(tzinfo=UTC), dt.datetime(1960, 1, 1, tzinfo=UTC)]),
    "timestamp_zone": (
        pa.timestamp("us", "America/New_York"),
        [MOMENT.replace(tzinfo=UTC), dt.datetime(1960, 7, 1, tzinfo=UTC)],
    ),
    "timestamp_offset": (pa.timestamp("ms", "+05:30"), [MOMENT.replace(tzinfo=UTC, microsecond=0)] * 2),
    **{f"duration_{unit}": (pa.duration(unit), [dt.timedelta(days=1), dt.timedelta(seconds=-5)])
       for unit in ("s", "ms", "us", "ns")},
    "list": (pa.list_(pa.int64()), [[1, None, 2], []]),
    "large_list": (pa.large_list(pa.string()), [["x"], []]),
    "fixed_list": (pa.list_(pa.int32(), 2), [[1, 2], [3, 4]]),
    "struct": (pa.struct({"a": pa.int64(), "b": pa.string()}), [{"a": 1, "b": None}, {"a": None, "b": "x"}]),
    "map": (pa.map_(pa.string(), pa.int64()), [[("a", 1), ("b", None)], []]),
    "nested": (
        pa.list_(pa.struct({"tags": pa.list_(pa.string()), "at": pa.timestamp("us", "UTC")})),
        [[{"tags": ["x"], "at": MOMENT.replace(tzinfo=UTC)}], [{"tags": None, "at": None}]],
    ),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), ["x", "y"]),
    "dictionary_small": (pa.dictionary(pa.int8(), pa.string()), ["x", "y"]),
    "dictionary_numbers": (pa.dictionary(pa.int32(), pa.int64()), [5, 7]),
    "time32_s": (pa.time32("s"), [dt.time(1, 2, 3), dt.time(0)]),
    "time64_ns": (pa.time64("ns"), [dt.time(1, 2, 3, 4), dt.time(0)]),
    "interval": (pa.month_day_nano_interval(), [pa.MonthDayNano([1, 2, 3]), pa.MonthDayNano([-1, 0, 0])]),
    "list_view": (pa.list_view(pa.int64()), [[1, None, 2], []]),
    "large_list_view": (pa.large_list_view(pa.int64()), [[1, None, 2], []]),
    "nested_null": (pa.list_(pa.null()), [[None], []]),
    "null": (pa.null(), [None, None]),
}  # fmt: skip


def column(name: str, fill: str) -> pa.Array:
    kind, (first, second) = TYPES[name]
    values = {"values": [first, second], "nulls": [first, None, second], "all_null": [None, None], "empty": []}[fill]
    return pa.array(values, kind)


def through(data: Any) -> pa.Table:
    """Into the engine, through an operator that copies rows, and back."""
    return sf.from_arrow(data).union(sf.from_arrow(data)).filter(sf.col("keep")).limit(1_000).to_arrow()


def with_keep(values: pa.Array) -> pa.Table:
    return pa.table({"v": values, "keep": pa.array([True] * len(values), pa.bool_())})


@pytest.mark.parametrize("fill", ["values", "nulls", "all_null", "empty"])
@pytest.mark.parametrize("name", TYPES)
def test_types(name: str, fill: str) -> None:
    values = column(name, fill)
    back = through(with_keep(values))
    assert back.schema.field("v").type == values.type
    assert back["v"].to_pylist() == values.to_pylist() * 2


@pytest.mark.parametrize("fill", ["values", "nulls", "all_null", "empty"])
@pytest.mark.parametrize("name", TYPES)
def test_types_to_pandas_and_back(name: str, fill: str) -> None:
    frame = with_keep(column(name, fill)).to_pandas()
    if name == "map" and fill in ("values", "nulls"):
        # pandas holds maps as lists of pairs, of which Arrow makes no type: they stay what they are.
        assert sf.from_pandas(frame).to_pandas()["v"].tolist() == frame["v"].tolist()
        return
    ours = sf.from_pandas(frame)
    # Arrow's own way to pandas and back is the measure: pandas has fewer types than Arrow.
    pd.testing.assert_frame_equal(ours.to_pandas(), pa.Table.from_pandas(frame, preserve_index=False).to_pandas())


# What Polars itself does not take from Arrow; of zones as offsets it panics.
NOT_IN_POLARS = {"decimal256", "timestamp_offset", "interval"}


@pytest.mark.parametrize("fill", ["values", "nulls", "all_null", "empty"])
@pytest.mark.parametrize("name", sorted(set(TYPES) - NOT_IN_POLARS))
def test_types_to_polars_and_back(name: str, fill: str) -> None:
    try:
        frame = pl.from_arrow(with_keep(column(name, fill)))
    except (pl.exceptions.PolarsError, NotImplementedError, ValueError) as error:
        pytest.skip(f"Polars does not take it: {error}")
    assert isinstance(frame, pl.DataFrame)
    back = sf.from_polars(frame).filter(sf.col("keep")).to_polars()
    pl.testing.assert_frame_equal(back, frame, categorical_as_str=True)
    lazy = sf.from_polars(frame.lazy()).to_polars()
    pl.testing.assert_frame_equal(lazy, frame, categorical_as_str=True)


def test_nulls_inside_values_of_polars() -> None:
    nested = pl.DataFrame({"l": [[None], []], "s": [{"x": None}, {"x": None}]})
    pl.testing.assert_frame_equal(sf.from_polars(nested).to_polars(), nested)


def test_what_pandas_calls_a_category_stays_one() -> None:
    frame = pd.DataFrame({"c": pd.Categorical(["x", "y", "x", None])}, index=[5, 6, 7, 8])
    back = sf.from_pandas(frame).to_pandas()
    assert isinstance(back["c"].dtype, pd.CategoricalDtype)
    assert back["c"].tolist()[:3] == ["x", "y", "x"]
    assert back.columns.tolist() == ["c"], "the index is left out"


def test_metadata_of_fields_stays() -> None:
    schema = pa.schema([pa.field("a", pa.int64(), metadata={"unit": "m"})], metadata={"made": "by hand"})
    back = sf.from_arrow(pa.table({"a": [1]}, schema=schema)).to_arrow()
    assert back.schema.field("a").metadata == {b"unit": b"m"}
    assert back.schema.metadata == {b"made": b"by hand"}


def test_tables_without_columns_keep_their_rows() -> None:
    assert sf.range(5).map_batches(lambda batch: batch.select([]), schema=pa.schema([])).count() == 5
