"""Sheaf on a cluster of processes, a head without CPUs and two nodes with one each, with the durable exchange."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Literal

import pyarrow as pa
import sheaf as sf

from cases import TPCH_TABLES, Case
from cluster_cases import NODES
from cluster_engines.answers import LIMITED, disturbed, seen
from engines import Run
from workloads.nodes import END_SECONDS, process_of

START_SECONDS = 30
PYTHON = ("--python", sys.executable)
Exchange = Literal["durable", "streaming"]


class Cluster:
    """The processes of a cluster."""

    def __init__(self) -> None:
        self._ending = ExitStack()
        self._nodes: list[subprocess.Popen[str]] = []
        try:
            head = process_of("head", "--port", "0", "--num-cpus", "0", *PYTHON)
            _, self.place = self._ending.enter_context(head)
            self.fill()
        except BaseException:
            self.stop()
            raise

    def fill(self) -> None:
        """Start the nodes that are missing, and wait until the head counts on all of them and on no other."""
        self._nodes = [node for node in self._nodes if node.poll() is None]
        if len(self._nodes) == NODES:
            return
        flags = ("--head", self.place, "--num-cpus", "1", *PYTHON)
        while len(self._nodes) < NODES:
            node, _ = self._ending.enter_context(process_of("node", *flags))
            self._nodes.append(node)
        deadline = time.monotonic() + START_SECONDS
        while (alive := self.alive()) != NODES + 1:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the head counts {alive} nodes instead of {NODES + 1}")
            time.sleep(0.05)

    def alive(self) -> int:
        """How many nodes the head counts on, itself among them."""
        command = [str(Path(sys.executable).with_name("sheaf")), "nodes", "--address", self.place, "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=START_SECONDS)
        return sum(json.loads(line)["state"] == "alive" for line in done.stdout.splitlines())

    def kill(self) -> None:
        """End a node at once, as a crash would."""
        node = self._nodes.pop()
        node.kill()
        node.wait(END_SECONDS)

    def stop(self) -> None:
        """End all that is left, the head last."""
        self._ending.close()


@cache
def cluster() -> Cluster:
    """The cluster of this process."""
    return Cluster()


@cache
def session(threads: int, folder: str, exchange: Exchange) -> sf.Session:
    """A session on it, with the tables of a folder."""
    joined = sf.Session(threads=threads, address=f"sheaf://{cluster().place}", exchange=exchange)
    for name in TPCH_TABLES if folder else ():
        joined.register(name, joined.read_parquet(Path(folder) / f"{name}.parquet"))
    return joined


def ready() -> None:
    """Have all nodes there before a run."""
    cluster().fill()


def close() -> None:
    """Stop the cluster, if it was started."""
    if cluster.cache_info().currsize:
        session.cache_clear()
        cluster().stop()


def sql(case: Case, exchange: Exchange = "durable") -> Run:
    """A query over the TPC-H tables."""
    joined = session(case.threads, case.input, exchange)
    return lambda: joined.sql(case.sql).to_arrow()


def first(case: Case, exchange: Exchange = "durable") -> Run:
    """The first row of many files."""
    return first_of(session(case.threads, "", exchange), case)


def first_of(given: sf.Session, case: Case) -> Run:
    """The same on any session: from the text of the query to the first batch of its rows."""

    def run() -> pa.Table:
        limited = given.sql(f"SELECT * FROM '{case.input}/*.parquet' LIMIT {LIMITED}")
        return seen(next(iter(limited.iter_batches())))

    return run


def killed(case: Case) -> Run:
    """A query during which a node dies."""
    return disturbed(sql(case), cluster().kill)
