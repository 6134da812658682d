"""Writes on a cluster: the nodes write the files, the program commits them in one step."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sheaf as sf

from .nodes import Cluster, driven, eventually

pytestmark = pytest.mark.timeout(600)

ROWS = 400_000
FILES = 4
KILLS = 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("rows")
    drawn = np.random.default_rng(7)
    for number in range(FILES):
        a = np.arange(number * ROWS // FILES, (number + 1) * ROWS // FILES)
        columns = {"a": a, "g": a % 5, "weight": drawn.random(len(a)), "more": drawn.random(len(a))}
        pq.write_table(pa.table(columns), folder / f"{number}.parquet", compression="none")
    return str(folder)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head for the driver, and three nodes with a CPU each."""
    with driven(tmp_path_factory.mktemp("nodes"), 1, 1, 1) as started:
        yield started


@pytest.fixture
def there(nodes: Cluster) -> Iterator[sf.Session]:
    with sf.Session(threads=2, address=nodes.address) as session:
        yield session


def same(batch: dict[str, Any]) -> dict[str, Any]:
    return batch


def slowly(batch: dict[str, Any]) -> dict[str, Any]:
    time.sleep(0.05)
    return batch


def files_of(folder: Path) -> list[str]:
    """Data files, also those that readers do not see."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("part-*"))


def numbers(folder: Path) -> list[int]:
    with sf.Session(threads=2) as here:
        return sorted(here.read_parquet(str(folder)).to_pydict()["a"])


def test_nodes_write_the_files(there: sf.Session, data: str, tmp_path: Path) -> None:
    rows = there.read_parquet(data).map_batches(same, batch_format="numpy")
    report = rows.write_parquet(str(tmp_path / "all"))
    assert (report.rows, report.files) == (ROWS, len(files_of(tmp_path / "all")))
    assert report.files >= 3
    assert numbers(tmp_path / "all") == list(range(ROWS))
    # The programs' own process wrote none of them.
    [plan] = there.sql(
        f"EXPLAIN FORMAT INDENT COPY (SELECT * FROM '{data}/*.parquet') TO '{tmp_path}/plan/'"
    ).to_pydict()["plan"][-1:]
    assert plan.index("CommitExec") < plan.index("ClusterExec") < plan.index("WriteFilesExec")


def test_modes_and_folders_are_as_in_one_process(there: sf.Session, data: str, tmp_path: Path) -> None:
    target, rows = tmp_path / "target", there.read_parquet(data).select("a", "g")
    rows.write_parquet(str(target), partition_by=["g"])
    assert sorted(path.name for path in target.iterdir() if "=" in path.name) == [f"g={n}" for n in range(5)]
    with pytest.raises(sf.errors.ExistsError):
        rows.write_parquet(str(target), partition_by=["g"])
    rows.filter(sf.col("a") < 10).write_parquet(str(target), partition_by=["g"], mode="append")
    assert numbers(target) == sorted([*range(ROWS), *range(10)])
    rows.filter(sf.col("a") < 7).write_parquet(str(target), partition_by=["g"], mode="ignore")
    assert len(numbers(target)) == ROWS + 10
    rows.filter(sf.col("a") < 7).write_parquet(str(target), partition_by=["g"], mode="overwrite")
    assert numbers(target) == list(range(7))
    # None at all still have columns.
    rows.filter(sf.col("a") < 0).write_parquet(str(tmp_path / "none"))
    with sf.Session(threads=1) as here:
        assert here.read_parquet(str(tmp_path / "none")).count() == 0
    # One file is written by the program.
    assert rows.filter(sf.col("a") < 9).write_csv(str(tmp_path / "few.csv")).rows == 9
    assert len((tmp_path / "few.csv").read_text().splitlines()) == 10


def test_rows_that_are_sorted_are_written_so(there: sf.Session, data: str, tmp_path: Path) -> None:
    there.read_parquet(data).sort("weight").write_parquet(str(tmp_path / "sorted"))
    names = files_of(tmp_path / "sorted")
    weights = np.concatenate([pq.read_table(tmp_path / "sorted" / name)["weight"].to_numpy() for name in names])
    assert len(weights) == ROWS
    assert (np.diff(weights) >= 0).all()


def test_a_write_that_fails_leaves_what_was_there(there: sf.Session, data: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    there.range(10).select(a=sf.col("id")).write_parquet(str(target))
    before = files_of(target)

    def fails(batch: dict[str, Any]) -> dict[str, Any]:
        if batch["a"][-1] > ROWS - 5_000:
            raise ValueError("the last ones are too large")
        return {"a": batch["a"]}

    rows = there.read_parquet(data).map_batches(fails, batch_format="numpy", batch_size=2_000)
    with pytest.raises(sf.errors.UserFunctionError, match="too large"):
        rows.write_parquet(str(target), mode="overwrite")
    assert numbers(target) == list(range(10))
    eventually(lambda: files_of(target), before)


def test_killed_nodes_leave_whole_writes(cluster: Cluster, data: str, tmp_path: Path) -> None:
    cluster.add(num_cpus=0)
    for _ in range(3):
        cluster.add(num_cpus=1)
    with sf.Session(threads=2, address=cluster.address) as there:
        for kill in range(KILLS):
            target = tmp_path / f"kill {kill}"
            rows = there.read_parquet(data).map_batches(slowly, batch_format="numpy", batch_size=10_000)
            victim = cluster.members[1 + kill % 3]
            killer = threading.Timer(0.4 + 0.3 * kill, victim.kill)
            killer.start()
            report = rows.write_parquet(str(target))
            killer.join(60)
            assert (report.rows, report.files) == (ROWS, len(files_of(target)))
            assert numbers(target) == list(range(ROWS))
            victim.start()
            victim.await_place()
            eventually(lambda: len(cluster.nodes()), 4)
    eventually(cluster.objects, [])
