"""DuckDB, whose rows the others' are compared with."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cases import Case
from dataset_engines.functions import digest, heavy, light
from engines import Run

WORDS_SQL = """
select count(*) as words, sum(n)::bigint as total, max(n) as most from (
    select word, count(*) as n from (
        select unnest(string_split(line, ' ')) as word
        from read_csv($input, columns = {line: 'varchar'}, delim = '\\0', quote = '', escape = '', header = false)
    ) group by word
)
"""


def connect(case: Case) -> duckdb.DuckDBPyConnection:
    """A connection with the case's threads and no files of its own."""
    return duckdb.connect(config={"threads": case.threads})


def grouped(case: Case) -> Run:
    """A question over groups."""
    connection = connect(case)
    connection.execute(f"create view x as select * from read_parquet('{case.input}')")
    return lambda: connection.sql(case.sql).to_arrow_table()


def joined(case: Case) -> Run:
    """A join."""
    connection = connect(case)
    for path in Path(case.input).glob("*.parquet"):
        connection.execute(f"create view {path.stem} as select * from read_parquet('{path}')")
    return lambda: connection.sql(case.sql).to_arrow_table()


def words(case: Case) -> Run:
    """Words by their number."""
    connection = connect(case)
    return lambda: connection.execute(WORDS_SQL, {"input": case.input}).to_arrow_table()


def sorted_(case: Case) -> Run:
    """An external sort into one file."""
    connection = duckdb.connect(config={"threads": case.threads, "memory_limit": f"{case.rows}B"})

    def run() -> None:
        connection.execute(
            f"copy (select * from read_parquet('{case.input}') order by key) to '{case.output}/sorted.parquet' "
            "(format parquet, compression snappy)"
        )

    return run


def _applied(work: Callable[[np.ndarray], np.ndarray]) -> Callable[[Case], Run]:
    """What a user function must come to; it is not timed against it."""

    def prepared(case: Case) -> Run:
        def run() -> pa.Table:
            values = pq.read_table(case.input)["x"].to_numpy()
            return digest(len(values), work(values).sum())

        return run

    return prepared


light_function = light_class = _applied(light)
heavy_function = heavy_class = _applied(heavy)


def single(case: Case) -> Run:
    """What the one-row batches must come to."""
    return lambda: digest(case.rows, case.rows * (case.rows + 1) // 2)


def loader(case: Case) -> Run:
    """What the images' labels must come to."""
    return lambda: digest(case.rows, sum(at % 10 for at in range(case.rows)))


def shuffled(case: Case) -> Run:
    """A shuffle is the same rows in another order; this one is for the digest alone."""
    connection = connect(case)

    def run() -> None:
        connection.execute(
            f"copy (select * from read_parquet('{case.input}') order by hash(key)) to '{case.output}/rows.parquet' "
            "(format parquet, compression snappy)"
        )

    return run


def converted(case: Case) -> pa.Table:
    """The digest of written records: how many, the sum of their keys, and whether the order is what was asked for."""
    files = sorted(Path(case.output).glob("**/*.parquet"))
    rows, total, order, last = 0, 0, True, None
    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(columns=["key"]):
            values = batch.column(0).to_numpy()
            rows += len(values)
            total += int((values & 0xFFFFFFFF).sum())
            order = order and bool((values[1:] >= values[:-1]).all()) and (last is None or values[0] >= last)
            last = values[-1] if len(values) else last
    as_asked = order if case.work == "sorted_" else first_keys(files[0]) != first_keys(Path(case.input))
    return pa.table({"rows": [rows], "total": [total], "as asked": [as_asked]})


def first_keys(path: Path) -> list[int]:
    """The keys of the first rows of a file."""
    return next(pq.ParquetFile(path).iter_batches(100, columns=["key"])).column(0).to_pylist()
