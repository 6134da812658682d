"""The engines of `make bench-dataset`: one module each, with one function for each kind of work that it takes part in.

They are to `dataset_cases` what `engines` is to `cases`.
"""

from engines import Engine

ENGINES = (
    Engine("sheaf", "Sheaf", "sheaf"),
    Engine("duckdb", "DuckDB", "duckdb"),
    Engine("polars", "Polars", "polars"),
    Engine("daft", "Daft", "daft"),
    Engine("dask", "Dask", "dask"),
    Engine("ray", "Ray Data", "ray"),
    Engine("torch", "DataLoader", "torch"),
)
