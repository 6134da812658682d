"""Spark as it comes, on a cluster of processes of its own: a master and a worker for each node, one core each."""

import os
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import psutil
import pyarrow as pa
import pyspark
from pyspark.sql import SparkSession

from cases import TPCH_TABLES, Case
from cluster_cases import NODES
from cluster_engines.answers import LIMITED, disturbed, seen
from engines import Run

# Of each executor: more than Sheaf's node may use for queries, so that nothing of scale 1 spills.
MEGABYTES = 4096
EXECUTOR = "CoarseGrainedExecutorBackend"
START_SECONDS = 60


def home() -> str:
    """Spark's folder in this one: workers write beside their program, and the package is not to be written to."""
    folder = Path.cwd() / "spark"
    folder.mkdir(exist_ok=True)
    for entry in Path(pyspark.__file__).parent.iterdir():
        if entry.name != "work" and not (folder / entry.name).exists():
            (folder / entry.name).symlink_to(entry)
    return str(folder)


@cache
def session() -> SparkSession:
    """The session of this process, and with it the cluster."""
    os.environ |= {"SPARK_HOME": home(), "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    # Java does not ask `TMPDIR` where files go that are left when it is killed.
    temporary = f"-Djava.io.tmpdir={tempfile.gettempdir()}"
    settings = {
        "spark.driver.extraJavaOptions": temporary,
        "spark.driver.host": "127.0.0.1",
        "spark.executor.extraJavaOptions": temporary,
        "spark.executor.memory": f"{MEGABYTES}m",
        "spark.local.dir": str(Path.cwd() / "local"),
        "spark.sql.warehouse.dir": str(Path.cwd() / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master(f"local-cluster[{NODES},1,{MEGABYTES}]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    started = builder.getOrCreate()
    started.sparkContext.setLogLevel("ERROR")
    return started


def ready() -> None:
    """Have both executors there before a run; that of one that was killed is started again by its worker."""
    counted = session().sparkContext._jsc.sc()
    deadline = time.monotonic() + START_SECONDS
    # The driver is among them.
    while (there := counted.getExecutorMemoryStatus().size()) != NODES + 1 or len(executors()) != NODES:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Spark has {there - 1} executors instead of {NODES}")
        time.sleep(0.1)


def close() -> None:
    """Stop the cluster, if it was started."""
    if session.cache_info().currsize:
        session().stop()


def sql(case: Case) -> Run:
    """A query over the TPC-H tables."""
    for name in TPCH_TABLES:
        session().read.parquet(f"{case.input}/{name}.parquet").createOrReplaceTempView(name)
    return lambda: session().sql(case.sql).toArrow()


def first(case: Case) -> Run:
    """The first rows of many files."""

    def run() -> pa.Table:
        return seen(session().sql(f"SELECT * FROM parquet.`{case.input}` LIMIT {LIMITED}").toArrow())

    return run


def executors() -> list[psutil.Process]:
    """The processes that run tasks."""
    return [process for process in psutil.Process().children(recursive=True) if is_executor(process)]


def is_executor(process: psutil.Process) -> bool:
    """Whether a process, which may end meanwhile, is one."""
    try:
        return any(EXECUTOR in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def kill() -> None:
    """End an executor at once, as a crash would."""
    executors()[0].kill()


def killed(case: Case) -> Run:
    """A query during which an executor dies."""
    run = sql(case)
    ready()
    return disturbed(run, kill)
