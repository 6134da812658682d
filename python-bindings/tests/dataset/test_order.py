"""The order of rows: that of the files, in each format and way of reading; and what counts rows."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

import sheaf as sf
from sheaf.errors import InvalidInputError

REPEATS = 5
FILES = 6


def write_parquet(table, path):
    pa.parquet.write_table(table, path, row_group_size=1_000)


def write_json(table, path):
    path.write_text("".join(f'{{"id":{number}}}\n' for number in table.column("id").to_pylist()))


FORMATS = {
    "parquet": (write_parquet, "read_parquet"),
    "csv": (pa.csv.write_csv, "read_csv"),
    "json": (write_json, "read_json"),
    "arrow": (pa.feather.write_feather, "read_ipc"),
}


@pytest.fixture(params=[1, 2, 4])
def session(request):
    with sf.Session(threads=request.param) as session:
        yield session


def folder_of(tmp_path, ending, write):
    """Files of different lengths, and how many ids are in them."""
    first = 0
    for number in range(FILES):
        rows = 3_000 * (number + 1)
        write(pa.table({"id": pa.array(range(first, first + rows), pa.int64())}), tmp_path / f"{number}.{ending}")
        first += rows
    return first


def rows_of(batches):
    return [number for batch in batches for number in batch.column("id").to_pylist()]


@pytest.mark.filterwarnings("ignore:this runs")
@pytest.mark.parametrize("ending", FORMATS)
def test_rows_come_in_the_order_of_the_files(session, tmp_path, ending):
    write, read = FORMATS[ending]
    rows = folder_of(tmp_path, ending, write)
    ds = getattr(session, read)(str(tmp_path))
    everything = list(range(rows))
    for plan, expected in [
        (ds, everything),
        (ds.filter(sf.col("id") % 3 == 0), everything[::3]),
        (ds.map_batches(lambda batch: batch, batch_format="pyarrow", batch_size=700), everything),
        (ds.union(ds.filter(sf.col("id") < 10)), everything + everything[:10]),
    ]:
        for _ in range(REPEATS):
            assert plan.to_pydict() == {"id": expected}
            assert rows_of(plan.iter_batches(batch_format="pyarrow")) == expected
            assert rows_of(pa.RecordBatchReader.from_stream(plan)) == expected
            assert [row["id"] for row in plan.take(5)] == expected[:5]
            assert plan.offset(len(expected) - 3).to_pydict() == {"id": expected[-3:]}
            assert plan.head(4_000).column("id").to_pylist() == expected[:4_000]


def test_files_come_as_they_are_named(session, tmp_path):
    folder_of(tmp_path, "parquet", write_parquet)
    named = session.read_parquet([str(tmp_path / "2.parquet"), str(tmp_path / "0.parquet")])
    for _ in range(REPEATS):
        assert named.to_pydict() == {"id": [*range(9_000, 18_000), *range(3_000)]}


def test_epochs_go_on_where_they_were(session, tmp_path):
    rows = folder_of(tmp_path, "parquet", write_parquet)
    ds = session.read_parquet(str(tmp_path)).filter(sf.col("id") % 2 == 0)
    for stopped in [1, 5, 9]:
        first, second = ds.iterator(), ds.iterator()
        batches = first.iter_batches(1_000, "pyarrow")
        seen = rows_of(next(batches) for _ in range(stopped))
        second.load_state_dict(first.state_dict())
        assert seen + rows_of(second.iter_batches(1_000, "pyarrow")) == list(range(0, rows, 2))


def test_a_table_of_chunks_keeps_its_order(session):
    chunks = [range(3_000), range(3_000, 3_010), range(3_010, 20_000), range(20_000, 20_001), range(20_001, 30_000)]
    table = pa.table({"id": pa.chunked_array([pa.array(chunk, pa.int64()) for chunk in chunks])})
    ds = session.from_arrow(table)
    assert ds.filter(sf.col("id") >= 0).to_pydict() == {"id": list(range(30_000))}
    assert ds.materialize().filter(sf.col("id") >= 0).to_pydict() == {"id": list(range(30_000))}


def test_with_row_index(session, tmp_path):
    rows = folder_of(tmp_path, "parquet", write_parquet)
    ds = session.read_parquet(str(tmp_path)).filter(sf.col("id") % 2 == 0)
    indexed = ds.with_row_index(offset=3)
    assert indexed.columns == ["index", "id"]
    expected = pl.DataFrame({"id": range(0, rows, 2)}).with_row_index(offset=3)
    for _ in range(REPEATS):
        assert indexed.to_pydict() == expected.to_dict(as_series=False)
        late = indexed.filter(sf.col("id") >= rows - 10).to_pydict()
        assert late["index"] == [number // 2 + 3 for number in late["id"]]
    assert session.from_pydict({"a": []}).with_row_index("i").to_pydict() == {"i": [], "a": []}
    with pytest.raises(InvalidInputError, match='a column "id" already'):
        ds.with_row_index("id")
    with pytest.raises(InvalidInputError, match="zero or more"):
        ds.with_row_index(offset=-1)


def test_monotonically_increasing_id(session):
    ids = session.range(100_000).monotonically_increasing_id("row").to_pandas()
    assert ids["row"].is_unique
    assert ids["row"].is_monotonic_increasing
    assert ids["id"].tolist() == list(range(100_000))
    with pytest.raises(InvalidInputError, match='a column "id" already'):
        session.range(3).monotonically_increasing_id()


def test_zip(session):
    left, right = session.range(50_000), session.range(50_000).filter(sf.col("id") >= 0).with_column("x", -sf.col("id"))
    zipped = left.zip(right, suffix="_2")
    assert zipped.columns == ["id", "id_2", "x"]
    for _ in range(REPEATS):
        frame = zipped.to_pandas()
        assert frame["id"].equals(frame["id_2"])
        assert frame["x"].equals(-frame["id"])
    assert zipped.filter(sf.col("id_2") == 40_000).to_pydict() == {"id": [40_000], "id_2": [40_000], "x": [-40_000]}
    with pytest.raises(InvalidInputError, match="zip of 50000 rows with 49999"):
        left.zip(right.limit(49_999)).to_arrow()
    with pytest.raises(InvalidInputError, match="zip of 0 rows with 50000"):
        left.limit(0).zip(right).count()
    with pytest.raises(InvalidInputError, match='two columns "id"'):
        left.zip(right, suffix="")


@pytest.mark.parametrize("seed", range(6))
def test_drop_duplicates_as_pandas(session, seed):
    draw = random.Random(seed)
    rows = draw.choice([0, 1, 5, 30_000])
    keys = [None, *range(rows // 3 + 1)]
    table = pa.table(
        {
            "k": pa.array([draw.choice(keys) for _ in range(rows)], pa.int64()),
            "f": pa.array([draw.choice([0.0, -0.0, 1.5, None]) for _ in range(rows)], pa.float64()),
            "id": pa.array(range(rows), pa.int64()),
        }
    )
    ds, frame = session.from_arrow(table), pd.DataFrame(table.to_pydict()).astype({"k": "Int64", "id": "int64"})
    for subset in (["k"], ["k", "f"], ["f"]):
        for keep in ("first", "last", "none"):
            kept = ds.drop_duplicates(subset, keep=keep).sort("id").to_arrow().column("id").to_pylist()
            assert kept == frame.drop_duplicates(subset, keep=False if keep == "none" else keep)["id"].tolist()
        downwards = ds.drop_duplicates(subset, keep="first", order_by=sf.col("id").desc()).sort("id")
        assert downwards.to_pydict()["id"] == frame.drop_duplicates(subset, keep="last")["id"].tolist()
        assert ds.drop_duplicates(subset).count() == len(frame.drop_duplicates(subset))


def test_drop_duplicates_of_all_columns_and_what_it_refuses(session):
    ds = session.from_pydict({"a": [1, 1, 2, None, None, 3], "b": ["x", "x", "y", None, None, None]})
    assert sorted(ds.drop_duplicates().to_pydict()["a"], key=str) == [1, 2, 3, None]
    assert ds.drop_duplicates(keep="none").sort("a").to_pydict() == {"a": [2, 3], "b": ["y", None]}
    # The order does not tell the two apart, so that the order of rows does.
    tied = session.from_pydict({"k": [1, 1], "o": [0, 0], "id": [0, 1]})
    assert tied.drop_duplicates("k", keep="last", order_by="o").to_pydict()["id"] == [1]
    nan = session.from_arrow(pa.table({"f": pa.array(np.array([np.nan, np.nan, 1.0]))}))
    assert nan.drop_duplicates(keep="none").to_pydict() == {"f": [1.0]}
    with pytest.raises(InvalidInputError, match="any, first, last or none"):
        ds.drop_duplicates(keep="middle")
    with pytest.raises(InvalidInputError, match="looks at no order"):
        ds.drop_duplicates("a", order_by="b")
    with pytest.raises(sf.errors.UnknownColumnError, match="nope"):
        ds.drop_duplicates("nope", keep="first")
