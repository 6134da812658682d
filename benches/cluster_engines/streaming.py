"""Sheaf on a cluster like that of `sheaf.py`, with the streaming exchange: a query that loses a node begins anew."""

from functools import partial

from cluster_engines import sheaf

ready = sheaf.ready
close = sheaf.close
sql = partial(sheaf.sql, exchange="streaming")
first = partial(sheaf.first, exchange="streaming")
