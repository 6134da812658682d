"""The engines: one module each, with one function for each kind of work that the engine takes part in.

Such a function takes a case, sets the engine up outside the clock, and returns the function that is timed. The timed
function returns the result's rows as an Arrow table, or None when the result is a written file.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

Run = Callable[[], pa.Table | None]


@dataclass(frozen=True)
class Engine:
    """How an engine is called in the table, and which package brings it."""

    module: str
    title: str
    package: str


ENGINES = (
    Engine("sheaf", "Sheaf", "sheaf"),
    Engine("datafusion", "DataFusion", "datafusion"),
    Engine("duckdb", "DuckDB", "duckdb"),
    Engine("polars", "Polars", "polars"),
    Engine("daft", "Daft", "daft"),
    Engine("ray", "Ray Data", "ray"),
    Engine("pyarrow", "PyArrow", "pyarrow"),
)
