"""PyArrow: the plain loop that a person writes without an engine."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet as pq

from cases import Case
from engines import Run
from engines.functions import add_one, upper


def scan(case: Case) -> Run:
    """The filtered scan through a dataset."""
    lineitem = Path(case.input) / "lineitem.parquet"
    wanted = (pc.field("l_shipdate") >= pa.scalar("1998-09-01").cast(pa.date32())) & (
        pc.field("l_discount") >= pa.scalar("0.05").cast(pa.decimal128(15, 2))
    )
    columns = ["l_orderkey", "l_partkey", "l_extendedprice", "l_shipdate", "l_shipmode"]
    return lambda: pa.dataset.dataset(lineitem).to_table(columns=columns, filter=wanted)


def csv_to_parquet(case: Case) -> Run:
    """A loop over the CSV reader's batches."""
    target = Path(case.output) / "lineitem.parquet"

    def run() -> None:
        with pa.csv.open_csv(case.input) as reader, pq.ParquetWriter(target, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)

    return run


def map_numpy(case: Case) -> Run:
    """A loop over the Parquet reader's batches."""

    def run() -> pa.Table:
        rows, total = 0, 0
        for batch in pq.ParquetFile(case.input).iter_batches():
            values = pa.array(add_one(batch.column("x").to_numpy()))
            rows += len(values)
            total += pc.sum(values).as_py()
        return pa.table({"rows": [rows], "total": [total]})

    return run


def map_pandas(case: Case) -> Run:
    """A loop over the Parquet reader's batches."""

    def run() -> pa.Table:
        rows, bounds = 0, []
        for batch in pq.ParquetFile(case.input).iter_batches():
            values = pa.Array.from_pandas(upper(batch.column("s").to_pandas()))
            rows += len(values)
            bounds.append(pc.min_max(values).as_py())
        least = min(bound["min"] for bound in bounds)
        greatest = max(bound["max"] for bound in bounds)
        return pa.table({"rows": [rows], "least": [least], "greatest": [greatest]})

    return run
