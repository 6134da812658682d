"""Sheaf: a distributed dataframe and dataset engine. One plan for Python, SQL and Rust."""

from sheaf._sheaf import VERSION as __version__

__all__ = ["__version__"]
