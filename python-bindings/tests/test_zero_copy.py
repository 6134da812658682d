"""Data crosses between Python and the engine without a copy: buffers keep their addresses."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

import sheaf as sf


def addresses(data: pa.Table | pa.RecordBatch) -> set[int]:
    """Where the values of the data lie."""
    columns = [chunk for column in data.columns for chunk in getattr(column, "chunks", [column])]
    return {buffer.address for column in columns for buffer in column.buffers() if buffer is not None}


def table() -> pa.Table:
    return pa.table({"n": np.arange(1_000), "s": [f"text {number}" for number in range(1_000)]})


def test_buffer_addresses() -> None:
    data = table()
    assert addresses(sf.from_arrow(data).to_arrow()) == addresses(data)


def test_streams_share_buffers_both_ways() -> None:
    data = table()
    dataset = sf.from_arrow(data)
    assert addresses(pa.table(dataset)) == addresses(data)
    assert addresses(pa.RecordBatchReader.from_stream(dataset).read_all()) == addresses(data)
    assert addresses(sf.from_arrow(dataset).to_arrow()) == addresses(data)
    assert {at for batch in dataset.iter_batches() for at in addresses(batch)} == addresses(data)


def test_long_tables_are_cut_without_a_copy() -> None:
    data = pa.table({"n": np.arange(1_000_000)})
    back = sf.from_arrow(data).to_arrow()
    start, end = (data["n"].chunk(0).buffers()[1].address + at for at in (0, 8_000_000))
    assert back["n"].num_chunks > 1
    assert all(start <= chunk.buffers()[1].address < end for chunk in back["n"].chunks)
    assert back.equals(data)


def test_numpy_pandas_and_polars_share_their_buffers() -> None:
    values = np.arange(1_000)
    at = values.__array_interface__["data"][0]
    assert at in addresses(sf.from_pydict({"n": values}).to_arrow())
    frame = pd.DataFrame({"n": values}, copy=False)
    assert at in addresses(sf.from_pandas(frame).to_arrow())
    column = pl.DataFrame({"n": pl.Series(values)})
    assert addresses(column.to_arrow()) & addresses(sf.from_polars(column).to_arrow())
    data = table()
    kept = sf.from_arrow(data).to_polars()["n"].to_numpy(allow_copy=False)
    assert kept.__array_interface__["data"][0] in addresses(data)


def test_functions_see_the_engines_buffers() -> None:
    data = table()
    seen: set[int] = set()

    def arrow(batch: pa.RecordBatch) -> pa.RecordBatch:
        seen.update(addresses(batch))
        return batch

    mapped = sf.from_arrow(data).map_batches(arrow, schema=data.schema)
    assert addresses(mapped.to_arrow()) == addresses(data)
    assert seen == addresses(data)

    def numpy(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen.add(columns["n"].__array_interface__["data"][0])
        return {"n": columns["n"]}

    seen.clear()
    returned = sf.from_arrow(data).map_batches(numpy, batch_format="numpy", schema={"n": "int64"}).to_arrow()
    assert seen <= addresses(data)
    assert seen <= addresses(returned)
