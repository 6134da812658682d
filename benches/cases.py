"""What is measured: each case is one piece of work that several engines do on the same input.

A case is plain data. It crosses to the child process as JSON, and the engine's module has a function with the name of
the case's `work` that prepares it.
"""

from dataclasses import dataclass
from pathlib import Path

TPCH_TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")
QUERIES = Path(__file__).parent / "tpch"

TABULAR = ("sheaf", "datafusion", "duckdb", "polars", "daft")
CONVERTING = (*TABULAR, "pyarrow")
MAPPING = ("sheaf", "polars", "daft", "ray", "pyarrow")

# The engine whose rows are the truth. It runs each case, also those in whose race it takes no part.
REFERENCE = "duckdb"

SCAN_SQL = """
select l_orderkey, l_partkey, l_extendedprice, l_shipdate, l_shipmode
from lineitem
where l_shipdate >= date '1998-09-01' and l_discount >= 0.05
"""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    title: str
    work: str
    engines: tuple[str, ...]
    input: str
    threads: int
    query: int = 0
    sql: str = ""
    rows: int = 0
    output: str = ""
    # The package of the engines' modules.
    folder: str = "engines"


@dataclass(frozen=True)
class Inputs:
    """The folders and files that the cases read."""

    tpch: Path
    csv: Path
    numbers: Path
    strings: Path
    number_rows: int
    string_rows: int


def all_cases(inputs: Inputs, threads: int, scratch: Path) -> list[Case]:
    """Every case, in the order of the table."""
    queries = [
        Case(
            name=f"q{number:02}",
            title=f"Q{number}",
            work="sql",
            engines=TABULAR,
            input=str(inputs.tpch),
            threads=threads,
            query=number,
            sql=(QUERIES / f"q{number:02}.sql").read_text(),
        )
        for number in range(1, 23)
    ]
    return [
        *queries,
        Case(
            name="csv",
            title="CSV → Parquet, lineitem",
            work="csv_to_parquet",
            engines=CONVERTING,
            input=str(inputs.csv),
            threads=threads,
            output=str(scratch / "converted"),
        ),
        Case(
            name="scan",
            title="Parquet scan with a filter, lineitem",
            work="scan",
            engines=CONVERTING,
            input=str(inputs.tpch),
            threads=threads,
            sql=SCAN_SQL,
        ),
        Case(
            name="numpy",
            title=f"`map_batches`: NumPy add over {counted(inputs.number_rows)} rows",
            work="map_numpy",
            engines=MAPPING,
            input=str(inputs.numbers),
            threads=threads,
            rows=inputs.number_rows,
        ),
        Case(
            name="pandas",
            title=f"`map_batches`: pandas upper case over {counted(inputs.string_rows)} strings",
            work="map_pandas",
            engines=MAPPING,
            input=str(inputs.strings),
            threads=threads,
            rows=inputs.string_rows,
        ),
    ]


def counted(rows: int) -> str:
    """A row count as people say it."""
    return f"{rows // 1_000_000} M" if rows >= 1_000_000 else f"{rows:,}"


def selected(cases: list[Case], names: list[str]) -> list[Case]:
    """The cases that were asked for by name; `tpch` stands for the 22 queries. No names means all."""
    if not names:
        return cases
    known = {case.name for case in cases} | {"tpch"}
    if unknown := sorted(set(names) - known):
        raise ValueError(f"no case named {', '.join(unknown)}: choose from {', '.join(sorted(known))}")
    return [case for case in cases if case.name in names or (case.query and "tpch" in names)]
