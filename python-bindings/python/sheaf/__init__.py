"""Sheaf: a distributed dataframe and dataset engine. One plan for Python, SQL and Rust."""

from sheaf import functions
from sheaf._sheaf import VERSION as __version__
from sheaf.expressions import Expr, SortKey, col, lit, when

__all__ = ["Expr", "SortKey", "__version__", "col", "functions", "lit", "when"]
