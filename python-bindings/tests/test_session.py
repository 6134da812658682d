"""Session: settings, tables, SQL, and its end."""

import os
import threading
from pathlib import Path

import pyarrow as pa
import pytest

import sheaf as sf


def test_settings(tmp_path: Path) -> None:
    with sf.Session(
        memory_limit="1GiB", threads=3, spill_dir=tmp_path, spill_limit=1 << 30, batch_size=100, progress=False
    ) as session:
        assert session.settings == {
            "memory_limit": str(1 << 30),
            "threads": "3",
            "spill_dir": str(tmp_path),
            "spill_limit": str(1 << 30),
            "batch_size": "100",
            "progress": "off",
            "exchange": "auto",
        }
        assert session.memory == {"reserved": 0, "limit": 1 << 30, "on_disk": 0}
        assert session.spill_folder.startswith(str(tmp_path))
        assert max(batch.num_rows for batch in session.range(1_000).iter_batches()) <= 100
        assert "threads='3'" in repr(session)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("memory_limit", "much"), ("threads", 0), ("batch_size", 0), ("progress", "perhaps"), ("exchange", "quick")],
)
def test_settings_out_of_range(name: str, value: object) -> None:
    with pytest.raises(sf.InvalidInputError):
        sf.Session(**{name: value})


def test_a_closed_session_makes_no_datasets() -> None:
    session = sf.Session(threads=1)
    numbers = session.range(3)
    session.close()
    session.close()
    with pytest.raises(sf.InvalidInputError, match="closed"):
        session.range(3)
    assert numbers.count() == 3


def test_the_module_has_the_methods_of_a_session() -> None:
    public = {name for name in dir(sf.Session) if not name.startswith("_")} - {
        "close", "memory", "settings", "spill_folder",
    }  # fmt: skip
    assert public <= set(dir(sf))
    for name in public:
        assert getattr(sf, name).__func__ is getattr(sf.Session, name)
        assert name in sf.__all__


def test_the_default_session_can_be_exchanged() -> None:
    with sf.Session(threads=1) as session:
        sf.set_default_session(session)
        try:
            session.register("only_here", session.range(3))
            assert sf.table("only_here").count() == 3
            assert sf.default_session().settings["threads"] == "1"
        finally:
            sf.set_default_session(None)
    with pytest.raises(sf.MissingFileError, match="only_here"):
        sf.table("only_here")


def test_sql_sees_datasets_tables_and_files(tmp_path: Path) -> None:
    path = tmp_path / "ids.parquet"
    numbers = sf.range(10)
    numbers.write_parquet(path)
    assert sf.sql("SELECT count(*) AS n FROM numbers", numbers=numbers).to_pydict() == {"n": [10]}
    assert sf.sql(f"SELECT max(id) AS n FROM '{path}'").to_pydict() == {"n": [9]}
    assert sf.sql("SELECT sum(a) AS n FROM t", t=pa.table({"a": [1, 2]})).to_pydict() == {"n": [3]}
    with sf.Session(threads=1) as session:
        session.sql("CREATE VIEW v AS SELECT 1 AS a")
        assert session.table("v").to_pydict() == {"a": [1]}
        session.register("arrow", pa.table({"a": [5]}))
        assert session.sql("SELECT a FROM arrow").to_pydict() == {"a": [5]}
        assert session.deregister("arrow") is True
        assert session.deregister("arrow") is False


def test_sql_parameters() -> None:
    numbers = sf.range(10)
    listed = sf.sql("SELECT id FROM n WHERE id BETWEEN $1 AND $2", [3, 4], n=numbers)
    assert listed.to_pydict() == {"id": [3, 4]}
    named = sf.sql("SELECT $word AS word, $nothing AS nothing", {"word": "a'b", "nothing": None})
    assert named.to_pydict() == {"word": ["a'b"], "nothing": [None]}
    with pytest.raises(sf.InvalidInputError, match="parameter"):
        sf.sql("SELECT $1 AS one")
    with pytest.raises(sf.InvalidInputError, match="not one string"):
        sf.sql("SELECT $1 AS one", "x")


def test_sources() -> None:
    assert sf.from_items([{"a": 1}, {"b": 2}]).to_pydict() == {"a": [1, None], "b": [None, 2]}
    assert sf.from_items([1, 2]).to_pydict() == {"item": [1, 2]}
    assert sf.from_items([]).count() == 0
    assert sf.from_pydict({"a": [1]}, schema={"a": "int16"}).schema.field("a").type == pa.int16()
    assert sf.range(3).to_pydict() == {"id": [0, 1, 2]}
    assert sf.range(1, 3).to_pydict() == {"id": [1, 2]}
    reader = pa.RecordBatchReader.from_batches(pa.schema({"a": pa.int64()}), iter([pa.record_batch({"a": [1]})]))
    assert sf.from_arrow(reader).to_pydict() == {"a": [1]}
    assert sf.from_arrow(pa.record_batch({"a": [1]})).to_pydict() == {"a": [1]}
    with pytest.raises((TypeError, ValueError)):
        sf.from_arrow([1, 2])


def test_sessions_end_with_their_last_dataset() -> None:
    before = threads()
    session = sf.Session(threads=4)
    numbers = session.range(1_000)
    assert numbers.count() == 1_000
    assert threads() > before
    session.close()
    del session, numbers
    assert threads() <= before


def threads() -> int:
    """Threads of the process; the system's list shows those of the engine too."""
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else threading.active_count()
