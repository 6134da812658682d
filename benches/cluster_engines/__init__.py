"""The engines of `make bench-cluster`, each with a cluster of two nodes with a CPU each, but for Sheaf in process.

A module starts its cluster when it is first asked for work, keeps it for all cases, and stops it in `close`. The others
of this folder are to `cluster_cases` what `engines` is to `cases`.

Left out are Dask, whose frames have no SQL (`dask-sql` is given up), and Ballista, of which there is no wheel.
"""

from engines import Engine

# Beside which the clusters are measured.
LOCAL = "local"
# Sheaf on a cluster with its other exchange.
STREAMING = "streaming"

ENGINES = (
    Engine("sheaf", "Sheaf, durable", "sheaf"),
    Engine(STREAMING, "Sheaf, streaming", "sheaf"),
    Engine(LOCAL, "Sheaf in process", "sheaf"),
    Engine("spark", "Spark", "pyspark"),
    Engine("sail", "Sail", "pysail"),
    Engine("daft", "Daft on Ray", "daft"),
)
# What else stands behind them.
BESIDE = (Engine("ray", "Ray", "ray"), Engine("duckdb", "DuckDB", "duckdb"))
