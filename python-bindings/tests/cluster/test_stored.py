"""Rows that stay on a cluster, what goes there with a query, and what comes back of it besides its rows."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runtime.processes import becomes_true
from servers import BUCKET, KEY, REGION, SECRET, ObjectServer, serving

import sheaf as sf

from .nodes import Cluster, driven, eventually

pytestmark = pytest.mark.timeout(300)

ROWS = 60_000
FILES = 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Files that are worth a task each where functions are called."""
    folder = tmp_path_factory.mktemp("rows")
    drawn = np.random.default_rng(7)
    for number in range(FILES):
        a = np.arange(number * ROWS // FILES, (number + 1) * ROWS // FILES)
        columns = {"a": a, "text": [f"text {n}" * 5 for n in a], "weight": drawn.random(len(a))}
        pq.write_table(pa.table(columns), folder / f"{number}.parquet", compression="none")
    return str(folder)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head for the driver, and two nodes with two CPUs each."""
    with driven(tmp_path_factory.mktemp("nodes"), 2, 2) as started:
        yield started


@pytest.fixture
def there(nodes: Cluster) -> Iterator[sf.Session]:
    with sf.Session(threads=2, address=nodes.address) as session:
        yield session


def where(batch: dict[str, Any]) -> dict[str, Any]:
    return {"a": batch["a"], "pid": np.full(len(batch["a"]), os.getpid())}


def weighed(batch: dict[str, Any]) -> dict[str, Any]:
    return {**where(batch), "weight": batch["weight"]}


def test_persisted_rows_of_functions_are_made_once(there: sf.Session, nodes: Cluster, data: str) -> None:
    kept = there.read_parquet(data).map_batches(weighed, batch_format="numpy").persist()
    # Small results are kept by the program's node, within its memory.
    assert sum(nodes.objects()) > ROWS * 8 * 2 // 3
    assert nodes.objects(nodes.members[0]) == []
    made_by = sorted(set(kept.to_pydict()["pid"]))
    assert len(made_by) >= 2
    again = kept.groupby("pid").agg(sf.col("a").count().alias("n")).sort("pid").to_pydict()
    assert again["pid"] == made_by
    assert sum(again["n"]) == ROWS
    assert kept.limit(3).to_pydict()["a"] == [0, 1, 2]
    assert kept.count() == ROWS
    with pytest.raises(sf.errors.UnsupportedError, match="persisted rows are on the cluster"):
        kept.__reduce__()
    del kept
    eventually(nodes.objects, [])


def test_persisted_rows_survive_a_node(tmp_path: Path, data: str) -> None:
    with driven(tmp_path, 1, 1, 1) as nodes, sf.Session(threads=2, address=nodes.address) as there:
        kept = there.read_parquet(data).groupby("a").agg(sf.col("weight").sum().alias("w")).persist()
        nodes.members[3].kill()
        assert kept.filter(sf.col("a") % 2 == 0).count() == ROWS // 2
        nodes.members[2].kill()
        assert len(kept.to_arrow()) == ROWS
        del kept
        # What the dead ones had on disk goes when they start again.
        for member in nodes.members[2:]:
            nodes.restart(member)
        nodes.becomes_empty()


def test_large_rows_in_memory_go_there_once(there: sf.Session, nodes: Cluster) -> None:
    rows = there.from_arrow(pa.table({"a": np.arange(400_000), "b": np.arange(400_000) % 7}))
    for _ in range(2):
        assert rows.groupby("b").agg(sf.col("a").count().alias("n")).count() == 7
        assert rows.map_batches(where, batch_format="numpy").filter(sf.col("a") > 399_997).count() == 2
    eventually(lambda: len(nodes.objects()), 1)
    assert nodes.objects(nodes.members[0])[0] > 1_000_000
    del rows
    # What nobody can ask for any more goes with the next query.
    assert there.range(10).count() == 10


def odd(row: dict[str, Any]) -> dict[str, Any]:
    if row["a"] % 1_000 == 0:
        raise ValueError(row["a"])
    return row


def test_failed_rows_are_counted(there: sf.Session, data: str) -> None:
    rows = there.read_parquet(data).map(odd, on_error="skip")
    assert len(rows.to_arrow()) == ROWS - 60
    stats = rows.stats()
    assert stats is not None
    last = stats.splitlines()[-1]
    assert "All stages" in last
    assert "failed_rows=60" in last


def test_credentials_of_the_program_reach_the_nodes(
    nodes: Cluster, there: sf.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(ObjectServer()) as store:
        environment = {"ENDPOINT_URL": store.url, "REGION": REGION, "ACCESS_KEY_ID": KEY, "SECRET_ACCESS_KEY": SECRET}
        for name, value in environment.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        assert there.range(1_000).write_parquet(f"s3://{BUCKET}/out/", mode="overwrite").rows == 1_000
        counted = there.read_parquet(f"s3://{BUCKET}/out/").groupby("id").agg(sf.col("id").count().alias("n"))
        assert "ClusterExec" in counted.explain()
        assert len(counted.to_pydict()["n"]) == 1_000
        shown = [counted.explain(), counted.stats() or "", *(member.said() for member in nodes.members)]
        assert all(SECRET not in text for text in shown)


def with_length(of: sf.ObjectRef) -> sf.Dataset:
    return sf.range(100).map_batches(lambda batch: {"id": batch["id"] + len(sf.get(of))}, batch_format="numpy")


def test_references_within_functions_go_with_the_query(nodes: Cluster) -> None:
    def has_it() -> bool:
        return any(size > 1_000_000 for size in nodes.objects())

    sf.shutdown()
    with sf.init(nodes.address):
        rows = with_length(sf.put(np.arange(200_000)))
        assert min(rows.to_pydict()["id"]) == 200_000
        assert has_it()
        del rows
        assert becomes_true(lambda: not has_it(), 10)
