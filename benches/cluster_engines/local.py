"""Sheaf in the process, with as many threads as the cluster has CPUs."""

import sheaf as sf

from cases import Case
from cluster_engines import sheaf as cluster
from engines import Run, sheaf

sql = sheaf.sql


def first(case: Case) -> Run:
    """The first row of many files."""
    return cluster.first_of(sf.Session(threads=case.threads), case)
