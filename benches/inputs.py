"""The files that the cases read, made once under the data folder and kept for the next run.

The TPC-H tables come from `cargo bench --bench tpch_data`; the rest is made here, in steps of bounded memory.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cases import TPCH_TABLES, Inputs

ROWS_PER_GROUP = 1_000_000


def prepare(folder: Path, scale: float, number_rows: int, string_rows: int) -> Inputs:
    """All inputs, made where they are missing."""
    tpch = folder / f"tpch-sf{scale:g}"
    missing = [name for name in TPCH_TABLES if not (tpch / f"{name}.parquet").exists()]
    if missing:
        raise FileNotFoundError(
            f"{tpch} lacks {', '.join(missing)}: make them with "
            f"`cargo bench --bench tpch_data -- --scale {scale:g} --out {tpch}`"
        )
    inputs = Inputs(
        tpch=tpch,
        csv=tpch / "lineitem.csv",
        numbers=folder / f"numbers-{number_rows}.parquet",
        strings=folder / f"strings-{string_rows}.parquet",
        number_rows=number_rows,
        string_rows=string_rows,
    )
    make(inputs.csv, lambda path: write_csv(tpch / "lineitem.parquet", path))
    make(inputs.numbers, lambda path: write_parquet(path, "x", number_rows, numbers))
    make(inputs.strings, lambda path: write_parquet(path, "s", string_rows, strings))
    return inputs


def make(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under another name first, so that one that is there is whole."""
    if path.exists():
        return
    unfinished = path.with_name(f"{path.name}.unfinished")
    write(unfinished)
    unfinished.replace(path)


def write_csv(source: Path, path: Path) -> None:
    """The lineitem table as CSV."""
    # Only here: the process that starts the engines must not hold one itself.
    import duckdb  # noqa: PLC0415

    with duckdb.connect() as connection:
        connection.execute(f"copy (from read_parquet('{source}')) to '{path}' (format csv, header)")


def write_parquet(path: Path, column: str, rows: int, values: Callable[[int, int], pa.Array]) -> None:
    """A file of one column. Neither compressed nor in a dictionary: the case is about the function, not the decoder."""
    schema = pa.schema([(column, values(0, 0).type)])
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start, stop in spans(rows):
            writer.write_table(pa.table([values(start, stop)], schema=schema), row_group_size=ROWS_PER_GROUP)


def spans(rows: int) -> Iterator[tuple[int, int]]:
    """The rows in pieces of one row group."""
    for start in range(0, rows, ROWS_PER_GROUP):
        yield start, min(start + ROWS_PER_GROUP, rows)


def numbers(start: int, stop: int) -> pa.Array:
    """The row numbers."""
    return pa.array(np.arange(start, stop, dtype=np.int64))


def strings(start: int, stop: int) -> pa.Array:
    """Short lower-case strings, each its own."""
    return pa.array([f"row {row:08} of a dataset" for row in range(start, stop)], pa.string())
