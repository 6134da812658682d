"""Datasets as objects of the runtime and back: order, laziness, shared memory, and what goes wrong."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import sheaf as sf


@pytest.fixture(autouse=True, scope="module")
def runtime() -> Iterator[None]:
    """A runtime of two CPUs."""
    sf.init(num_cpus=2, log_to_driver=False)
    yield
    sf.shutdown()


@pytest.fixture
def session() -> Iterator[sf.Session]:
    """A session of two threads."""
    with sf.Session(threads=2, progress="off") as session:
        yield session


def mappings() -> list[tuple[int, int]]:
    """Where the shared memory of the object store is mapped in this process."""
    found = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) .*/memfd:sheaf", Path("/proc/self/maps").read_text(), re.MULTILINE)
    return [(int(start, 16), int(end, 16)) for start, end in found]


def is_mapped(table: pa.Table) -> bool:
    """Whether all values lie in the object store's memory."""
    places = mappings()
    buffers = [buffer for column in table.columns for chunk in column.chunks for buffer in chunk.buffers()]
    large = [buffer.address for buffer in buffers if buffer is not None and buffer.size > 1000]
    return bool(large) and all(any(start <= at < end for start, end in places) for at in large)


@sf.remote
def looked_at(table: pa.Table) -> tuple[int, bool]:
    """The rows of a table, and whether it is read where it lies."""
    return table.num_rows, is_mapped(table)


@pytest.mark.parametrize("kind", ["arrow", "pandas", "numpy"])
def test_there_and_back(session: sf.Session, kind: str) -> None:
    numbers = session.range(200_000).with_columns(half=sf.col("id") / 2)
    refs = getattr(numbers, f"to_{kind}_refs")()
    assert len(refs) == 2, "one for each partition"
    back = getattr(session, f"from_{kind}_refs")(refs)
    assert back.to_arrow().to_pydict() == numbers.to_arrow().to_pydict()
    assert back.filter(sf.col("id") % 2 == 0).select("id").count() == 100_000
    assert back.count() == back.count(), "it can be read again"


def test_tables_are_read_where_they_lie(session: sf.Session) -> None:
    refs = session.range(400_000).with_columns(half=sf.col("id") / 2).to_arrow_refs()
    assert sum(rows for rows, _ in sf.get([looked_at.remote(ref) for ref in refs])) == 400_000
    assert all(mapped for _, mapped in sf.get([looked_at.remote(ref) for ref in refs])), "in workers"
    assert all(is_mapped(table) for table in sf.get(refs)), "in the driver"
    assert is_mapped(session.from_arrow_refs(refs).to_arrow()), "and through the engine"


def test_large_partitions_are_several_objects(session: sf.Session) -> None:
    refs = session.range(400_000).to_arrow_refs(object_bytes=500_000)
    tables = sf.get(refs)
    assert len(tables) >= 8
    assert all(table.nbytes <= 500_000 for table in tables)
    assert [n for table in tables for n in table.column("id").to_pylist()] == list(range(400_000))


def test_objects_are_read_when_the_dataset_is(session: sf.Session) -> None:
    @sf.remote
    def slow(n: int) -> pa.Table:
        time.sleep(1)
        return pa.table({"n": [n, n]})

    start = time.monotonic()
    dataset = session.from_arrow_refs([slow.remote(n) for n in range(2)], schema={"n": "int64"})
    assert time.monotonic() - start < 0.9
    assert dataset.to_pydict() == {"n": [0, 0, 1, 1]}


def test_many_small_objects_keep_their_order(session: sf.Session) -> None:
    refs = [sf.put(pa.table({"n": pa.array([n] * (n % 3), pa.int64())})) for n in range(50)]
    expected = [n for n in range(50) for _ in range(n % 3)]
    assert session.from_arrow_refs(refs).to_pydict() == {"n": expected}


def test_nulls_text_and_no_rows(session: sf.Session) -> None:
    table = pa.table({"s": ["a", None, "c" * 100], "l": [[1], None, []]})
    source = session.from_arrow(table).filter(sf.col("s").is_null() | (sf.col("s") != "a"))
    assert session.from_arrow_refs(source.to_arrow_refs()).to_pydict() == {"s": [None, "c" * 100], "l": [None, []]}
    empty = session.from_arrow(table).filter(sf.lit(False))
    refs = empty.to_arrow_refs()
    assert len(refs) >= 1
    assert session.from_arrow_refs(refs).to_arrow().equals(empty.to_arrow())
    assert sf.get(empty.to_numpy_refs(column="s"))[0].tolist() == []


def test_one_array_or_one_column() -> None:
    refs = sf.range(3).to_numpy_refs(column="id")
    assert sf.get(refs)[0].tolist() == [0, 1, 2]
    assert sf.from_numpy_refs(refs).to_pydict() == {"data": [0, 1, 2]}
    matrix = sf.from_numpy_refs([sf.put(np.arange(6).reshape(3, 2))])
    assert matrix.to_pydict() == {"data": [[0, 1], [2, 3], [4, 5]]}
    assert sf.from_pandas_refs([sf.put(pd.DataFrame({"a": [1]}, index=[7]))]).to_pydict() == {"a": [1]}


def test_what_goes_wrong_is_told(session: sf.Session) -> None:
    with pytest.raises(sf.InvalidInputError, match="there is no reference") as raised:
        session.from_arrow_refs([])
    assert raised.value.hint == "pass schema="
    assert session.from_arrow_refs([], schema={"a": "int64"}).count() == 0
    mixed = session.from_arrow_refs([sf.put(pa.table({"a": [1]})), sf.put(pa.table({"b": ["x"]}))])
    with pytest.raises(sf.TypeMismatchError, match="part 1 has the columns b Utf8, and the first a Int64"):
        mixed.to_arrow()

    @sf.remote
    def broken() -> Any:
        raise KeyError("no such thing")

    failing = session.from_arrow_refs([broken.remote()], schema={"a": "int64"})
    with pytest.raises(sf.UserFunctionError, match=r"(?s)part 0 cannot be loaded.*no such thing"):
        failing.to_arrow()


def test_a_dataset_over_objects_is_an_argument_of_tasks() -> None:
    tables = [pa.table({"id": range(at * 10, at * 10 + 10)}) for at in range(4)]
    dataset = sf.from_arrow_refs([sf.put(table) for table in tables]).filter(sf.col("id") % 2 == 0)

    @sf.remote
    def ids(of: list[sf.Dataset]) -> list[int]:
        return of[0].to_pydict()["id"]

    # The references in its plan are arguments too: what they refer to stays until the task has read it.
    held = ids.remote([dataset])
    del tables, dataset
    assert sf.get(held) == list(range(0, 40, 2))
