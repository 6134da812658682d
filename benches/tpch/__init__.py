"""The 22 TPC-H queries: `qNN.sql` for the engines that speak SQL, `qNN.py` beside it for Polars."""
