"""Queries over more rows than all nodes of a cluster have memory for, results and what lies between stages included."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sheaf as sf

from .nodes import Cluster

pytestmark = pytest.mark.timeout(240)

MEMORY = 160 << 20
ROWS = 1_250_000
TEXT = 160


def texts(seed: int) -> pa.Array:
    """As many texts of so many characters, which cannot be made shorter."""
    letters = np.random.default_rng(seed).integers(97, 123, ROWS * TEXT, dtype=np.uint8)
    offsets = pa.py_buffer(np.arange(0, (ROWS + 1) * TEXT, TEXT, dtype=np.int32))
    return pa.StringArray.from_buffers(ROWS, offsets, pa.py_buffer(letters))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files with a key that each row has alone, in another order in each."""
    folder = tmp_path_factory.mktemp("rows")
    for number in range(2):
        keys = np.random.default_rng(number).permutation(ROWS)
        table = pa.table({"key": keys, "text": texts(number + 10)})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=100_000, compression="none")
    return folder


@pytest.mark.parametrize("exchange", ["durable", "streaming"])
def test_what_is_larger_than_all_nodes_have_ends_right(cluster: Cluster, folder: Path, exchange: str) -> None:
    cluster.add(num_cpus=0)
    for _ in range(2):
        cluster.add(num_cpus=1, memory_limit=MEMORY, object_store_memory=32 << 20)
    one, other = (f"'{folder}/{number}.parquet'" for number in range(2))
    both = f"'{folder}/*.parquet'"
    size = sum(file.stat().st_size for file in folder.iterdir())
    assert size > 1.2 * 2 * MEMORY
    with sf.Session(address=cluster.address, exchange=exchange, memory_limit=MEMORY) as session:
        # Each text is a group, all rows of both sides meet, and all are sorted.
        grouped = session.sql(
            f"SELECT count(*) AS n, sum(key) AS k FROM (SELECT text, min(key) AS key FROM {both} GROUP BY text)"
        )
        joined = session.sql(
            f"SELECT count(*) AS n, sum(length(a.text || b.text)) AS k FROM {one} a JOIN {other} b ON a.key = b.key"
        )
        ranked = session.sql(
            f"SELECT count(*) AS n, sum(at * key) AS k FROM "
            f"(SELECT key, row_number() OVER (ORDER BY text, key) % 2 AS at FROM {both})"
        )
        total = ROWS * (ROWS - 1) // 2
        assert grouped.to_pandas().to_dict("records") == [{"n": 2 * ROWS, "k": 2 * total}]
        if exchange == "durable":
            # One side goes to all tasks: streaming, it has to fit into the memory of those who make it.
            assert "mode=CollectLeft" in joined.explain()
            assert joined.to_pandas().to_dict("records") == [{"n": ROWS, "k": 2 * TEXT * ROWS}]
        order = pq.read_table(folder).sort_by([("text", "ascending"), ("key", "ascending")])["key"]
        assert ranked.to_pandas().to_dict("records") == [{"n": 2 * ROWS, "k": int(order.to_numpy()[::2].sum())}]
        if exchange == "durable":
            sorted_rows = (
                session.read_parquet(f"{folder}/0.parquet").sort("key").write_parquet(str(folder.parent / "out"))
            )
            assert sorted_rows.rows == ROWS
    cluster.becomes_empty()
