"""The files of `make bench-cluster`, made once under the data folder and kept for the next run.

The TPC-H tables are those of `make bench` where they are there. Otherwise `tpchgen-cli` makes them, the same generator
as a package, so that nothing has to be built; they are written once more as `tpch_data.rs` writes them, without the
schema of Arrow, for no engine is to read its own dialect.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cases import TPCH_TABLES
from inputs import make

# As in `tpch_data.rs`.
ROWS_PER_GROUP = 122_880
# A minute and a half for each unit of scale is ten times what it takes.
SECONDS_PER_SCALE = 90


@dataclass(frozen=True)
class ClusterInputs:
    """The folders that the cases read."""

    tpch: Path
    many: Path
    files: int


def prepare(folder: Path, scale: float, files: int) -> ClusterInputs:
    """All inputs, made where they are missing."""
    inputs = ClusterInputs(folder / f"tpch-sf{scale:g}", folder / f"orders-sf{scale:g}-in-{files}", files)
    if any(not (inputs.tpch / f"{name}.parquet").exists() for name in TPCH_TABLES):
        generate(inputs.tpch, scale)
    make(inputs.many, lambda path: write_many(inputs.tpch / "orders.parquet", path, files))
    return inputs


def generate(folder: Path, scale: float) -> None:
    """The tables that are missing, from `tpchgen-cli`."""
    program = Path(sys.executable).with_name("tpchgen-cli")
    if not program.exists():
        raise FileNotFoundError(f"{folder} lacks tables: `pip install tpchgen-cli` makes it possible to make them")
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in TPCH_TABLES if not (folder / f"{name}.parquet").exists()]
    with tempfile.TemporaryDirectory(prefix="made-", dir=folder) as made:
        command = [str(program), "parquet", "--quiet", f"-s{scale:g}", f"-o{made}", f"-T{','.join(missing)}"]
        subprocess.run(command, check=True, timeout=SECONDS_PER_SCALE * max(1.0, scale))
        for name in missing:
            make(folder / f"{name}.parquet", partial(rewrite, Path(made, f"{name}.parquet")))


def rewrite(source: Path, path: Path) -> None:
    """The rows of a file, with plain strings and without what only readers of Arrow understand."""
    with pq.ParquetFile(source) as file:
        schema = plain(file.schema_arrow)
        options = {"compression": "snappy", "store_schema": False, "store_decimal_as_integer": True}
        with pq.ParquetWriter(path, schema, **options) as writer:
            for batch in file.iter_batches(ROWS_PER_GROUP):
                writer.write_table(pa.table(batch).cast(schema), row_group_size=ROWS_PER_GROUP)


def plain(schema: pa.Schema) -> pa.Schema:
    """The schema with strings as everybody has them."""
    return pa.schema([f.with_type(pa.string()) if pa.types.is_string_view(f.type) else f for f in schema])


def write_many(source: Path, folder: Path, files: int) -> None:
    """The rows of a file in a folder of many."""
    table = pq.read_table(source)
    folder.mkdir()
    rows = max(1, table.num_rows // files)
    for number in range(files):
        part = table.slice(number * rows % table.num_rows, rows)
        pq.write_table(part, folder / f"part-{number:05}.parquet", store_schema=False)
