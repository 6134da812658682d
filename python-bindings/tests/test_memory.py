"""Over the memory limit, operators spill and give the rows that DuckDB gives; nothing is left on disk.

The queries are those of `tests/engine/memory.rs`, which measures the memory that they take.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import sheaf as sf

LIMIT = "192MiB"
ROWS = 1_600_000
TEXT = "printf('%064d', (i * 2654435761) % 1000000007)"
TABLES = {
    "l": f"SELECT (i * 7919) % {ROWS} AS id, i % 1000 AS v, {TEXT} AS text FROM range({ROWS}) t(i)",
    "r": f"SELECT (i * 7907) % {ROWS} + {ROWS} // 2 AS id, i % 9 AS w, {TEXT} AS note FROM range({ROWS}) t(i)",
    "skewed": f"SELECT CASE WHEN i % 10 = 0 THEN i ELSE 7 END AS id, i AS v, {TEXT} AS text FROM range({ROWS}) t(i)",
}
BOTH = "(SELECT id, v, text FROM l UNION ALL SELECT id + 10000000 AS id, w AS v, note AS text FROM r)"
QUERIES = {
    "sort": f"SELECT * FROM {BOTH} ORDER BY text, id",
    "group": f"SELECT id, count(*) AS n, sum(v) AS s, max(text) AS m FROM {BOTH} GROUP BY id",
    "inner": "SELECT l.*, w, note FROM l JOIN r ON l.id = r.id",
    "left": "SELECT l.*, w, note FROM l LEFT JOIN r ON l.id = r.id",
    "full": "SELECT l.*, r.id AS other, w, note FROM l FULL JOIN r ON l.id = r.id",
    "semi": "SELECT * FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.id = l.id AND r.note <> l.text || 'x')",
    "anti": "SELECT * FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE r.id = l.id AND r.note <> l.text || 'x')",
    # Nine of ten rows have one key.
    "skew": "SELECT s.*, d.text AS note FROM skewed s LEFT JOIN l d ON s.id = d.id",
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[duckdb.DuckDBPyConnection, Path]]:
    """DuckDB with the tables, and the folder of their files."""
    folder = tmp_path_factory.mktemp("tables")
    with duckdb.connect() as connection:
        for name, query in TABLES.items():
            connection.execute(f"COPY ({query}) TO '{folder}/{name}.parquet' (ROW_GROUP_SIZE 100000)")
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM '{folder}/{name}.parquet'")
        yield connection, folder


def fingerprint(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[object, ...]:
    """The count of rows and two sums over their hashes: equal for equal rows in any order."""
    found = connection.execute(f"SELECT count(*), sum(hash(t)::HUGEINT), bit_xor(hash(t)) FROM ({query}) t").fetchone()
    assert found is not None
    return found


@pytest.mark.parametrize("case", QUERIES)
def test_rows_equal_duckdb(reference: tuple[duckdb.DuckDBPyConnection, Path], tmp_path: Path, case: str) -> None:
    connection, folder = reference
    spill = tmp_path / "spill"
    out = tmp_path / "out.parquet"
    with sf.Session(memory_limit=LIMIT, threads=2, spill_dir=spill, progress="off") as session:
        for name in TABLES:
            session.register(name, session.read_parquet(folder / f"{name}.parquet"))
        result = session.sql(QUERIES[case])
        result.write_parquet(out)
        stats = result.stats()
        assert stats is not None
        assert re.search(r"spilled_bytes=[1-9]", stats), stats
        del result
    assert not list(spill.iterdir()), "left on disk"
    assert fingerprint(connection, f"SELECT * FROM '{out}'") == fingerprint(connection, QUERIES[case])
    if case == "sort":
        rows = f"read_parquet('{out}', file_row_number=true)"
        unsorted = connection.execute(
            f"SELECT count(*) FROM (SELECT text, id, lag(text) OVER rows AS t, lag(id) OVER rows AS i FROM {rows} "
            "WINDOW rows AS (ORDER BY file_row_number)) WHERE t IS NOT NULL AND (t, i) > (text, id)"
        )
        assert unsorted.fetchone() == (0,)


@pytest.mark.parametrize(("limit", "threads"), [("96MiB", 2), ("256MiB", 4), ("64MiB", 2)])
def test_threads_without_memory_of_their_own_do_not_fail(tmp_path: Path, limit: str, threads: int) -> None:
    """Fewer partitions run then: each sort, merge and table has room for a few batches."""
    rows = 2_500_000
    with sf.Session(memory_limit=limit, threads=threads, spill_dir=tmp_path, progress="off") as session:
        text = sf.functions.concat(sf.lit("x" * 60), sf.col("id").cast("string"))
        table = session.range(rows).select(k=sf.col("id") * 7919 % rows, text=text)
        joined = table.join(table.rename({"text": "other"}), on="k")
        sums = joined.aggregate(sf.col("k").sum().alias("keys"), sf.functions.count(sf.lit(1)).alias("rows"))
        same = joined.filter(sf.col("text") == sf.col("other"))
        assert sums.to_pydict() == {"keys": [rows * (rows - 1) // 2], "rows": [rows]}
        assert same.count() == rows
        assert table.groupby("k").agg(m=sf.col("text").max()).filter(sf.col("m").is_not_null()).count() == rows


@pytest.mark.parametrize("keys", [("k", "id"), ("k", "small", "id")])
def test_narrow_rows_are_sorted_by_several_keys(tmp_path: Path, keys: tuple[str, ...]) -> None:
    """Before such a sort spills, it writes its keys down row by row: more than the rows themselves take."""
    rows = 5_000_000
    with sf.Session(memory_limit="96MiB", threads=2, spill_dir=tmp_path, progress="off") as session:
        k, small = sf.col("id") * 7919 % 1_000_003, (sf.col("id") % 7).cast("int8")
        dataset = session.range(rows).with_columns(k=k, small=small).select(*keys).sort(*keys)
        seen, spilled, last = 0, 0, tuple(-1 for _ in keys)
        for batch in dataset.iter_batches():
            spilled = max(spilled, session.memory["on_disk"])
            first = tuple(column[0].as_py() for column in batch.columns)
            assert last < first
            assert batch.sort_by([(key, "ascending") for key in keys]).equals(batch)
            last = tuple(column[-1].as_py() for column in batch.columns)
            seen += batch.num_rows
        assert seen == rows
        assert spilled > 0


def test_what_cannot_spill_is_a_memory_error(reference: tuple[duckdb.DuckDBPyConnection, Path], tmp_path: Path) -> None:
    _, folder = reference
    session = sf.Session(memory_limit=LIMIT, threads=2, spill_dir=tmp_path)
    for name in TABLES:
        session.register(name, session.read_parquet(folder / f"{name}.parquet"))
    for query in (
        "SELECT count(*) FROM l WHERE text NOT IN (SELECT note || 'x' FROM r)",
        "SELECT l.text || r.note AS t FROM l CROSS JOIN r",
        "SELECT count(*) FROM l, r WHERE l.text || 'x' < r.note",
    ):
        with pytest.raises(sf.MemoryLimitError, match="memory") as raised:
            session.sql(query).to_arrow()
        assert "raise memory_limit" in str(raised.value)
    assert session.sql("SELECT count(*) AS n FROM l").to_pydict() == {"n": [ROWS]}


def test_spilling_over_its_limit_is_a_disk_error(
    reference: tuple[duckdb.DuckDBPyConnection, Path], tmp_path: Path
) -> None:
    _, folder = reference
    session = sf.Session(memory_limit=LIMIT, threads=2, spill_dir=tmp_path, spill_limit="1MiB")
    files = session.read_parquet([folder / "l.parquet", folder / "skewed.parquet"])
    with pytest.raises(sf.DiskFullError, match="raise spill_limit"):
        files.sort("text", "id").to_arrow()
    assert files.count() == 2 * ROWS


def test_the_folder_goes_while_a_thread_holds_the_session(tmp_path: Path) -> None:
    code = (
        "import sys, threading, time, sheaf as sf\n"
        "session = sf.Session(spill_dir=sys.argv[1])\n"
        "def hold(session=session):\n"
        "    while True: time.sleep(0.01); session.memory\n"
        "threading.Thread(target=hold, daemon=True).start()\n"
        "print(session.range(3).count())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, timeout=60)
    assert done.stdout == "3\n", done.stderr
    assert not list(tmp_path.iterdir())
