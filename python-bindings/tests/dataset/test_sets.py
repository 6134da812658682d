"""Datasets as sets and multisets of rows, compared with counters of Python's."""

import random
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

import sheaf as sf


def random_rows(rng: random.Random) -> list[tuple[Any, Any]]:
    rows = rng.randrange(0, 30)
    return [(rng.choice([None, 1, 2]), rng.choice([None, "a", "b"])) for _ in range(rows)]


def dataset_of(rows: list[tuple[Any, Any]], number: pa.DataType) -> sf.Dataset:
    x, y = pa.array([row[0] for row in rows], number), pa.array([row[1] for row in rows], pa.string())
    return sf.from_arrow(pa.table({"x": x, "y": y}))


def counted(dataset: sf.Dataset) -> Counter[tuple[Any, ...]]:
    return Counter(dataset.iter_rows(named=False))


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_counted_as_multisets(seed: int) -> None:
    rng = random.Random(seed)
    a, b = random_rows(rng), random_rows(rng)
    left, right = dataset_of(a, pa.int64()), dataset_of(b, pa.int32()).rename({"x": "other", "y": "names"})
    many, others = Counter(a), Counter(b)
    assert counted(left.intersect(right, distinct=False)) == many & others
    assert counted(left.except_(right, distinct=False)) == many - others
    assert counted(left.intersect(right)) == Counter(set(a) & set(b))
    assert counted(left.except_(right)) == Counter(set(a) - set(b))
    assert counted(left.union(right)) == many + others
    assert counted(left.union(right, distinct=True)) == Counter(set(a) | set(b))
    assert left.intersect(right, distinct=False).columns == ["x", "y"]


def test_floats_are_equal_as_in_joins() -> None:
    nan = float("nan")
    left, right = sf.from_pydict({"x": [nan, nan, 0.0, -0.0, 1.0]}), sf.from_pydict({"x": [nan, -0.0, 2.0]})
    both, rest = left.intersect(right, distinct=False), left.except_(right, distinct=False)
    assert sorted(map(str, both.to_pydict()["x"])) in (["-0.0", "nan"], ["0.0", "nan"])
    assert sorted(map(abs, rest.drop_nan().to_pydict()["x"])) == [0.0, 1.0]
    assert rest.count() == 3


def test_sets_of_several_partitions() -> None:
    numbers = sf.range(100_000)
    thirds = numbers.filter(sf.col("id") % 3 == 0)
    assert numbers.except_(thirds, distinct=False).count() == 66_666
    assert numbers.union(numbers).intersect(numbers.union(thirds), distinct=False).count() == 133_334
    assert numbers.except_(numbers).is_empty()


def test_columns_of_two_kinds_are_refused() -> None:
    numbers, texts = sf.from_pydict({"a": [1]}), sf.from_pydict({"a": ["x"]})
    for verb in (numbers.union, numbers.intersect, numbers.except_):
        with pytest.raises(sf.TypeMismatchError, match='"a" is Int64, and "a" of the other dataset is Utf8'):
            verb(texts)
    with pytest.raises(sf.TypeMismatchError, match='"a" is Int64'):
        numbers.union(texts, by_name=True)
    with pytest.raises(sf.TypeMismatchError, match="union of 1 columns"):
        numbers.union(sf.from_pydict({"a": [1], "b": [2]}))
    with pytest.raises(sf.TypeMismatchError, match="a union is of datasets, and this is Table"):
        numbers.union(pa.table({"a": [1]}))  # type: ignore[arg-type]
    wide = numbers.union(sf.from_pydict({"a": [0.5]}), sf.from_pydict({"a": pa.array([None], pa.null())}))
    assert wide.schema.field("a").type == pa.float64()
    assert wide.to_pydict() == {"a": [1.0, 0.5, None]}
    named = sf.from_pydict({"b": ["x"], "a": [0.5]}).union(numbers, by_name=True)
    assert named.schema.field("a").type == pa.float64()
    assert named.to_pydict() == {"b": ["x", None], "a": [0.5, 1.0]}


def test_concat_keeps_the_order_of_datasets() -> None:
    parts = [sf.range(50_000).select(id=sf.col("id") + 50_000 * at) for at in range(3)]
    assert sf.concat(parts).to_pydict()["id"] == list(range(150_000))
    assert sf.concat(sf.range(1) for _ in range(2_000)).count() == 2_000
    by_name = sf.concat([sf.from_pydict({"a": [1], "b": [2]}), sf.from_pydict({"b": [3], "c": [4]})], by_name=True)
    assert by_name.to_pydict() == {"a": [1, None], "b": [2, 3], "c": [None, 4]}
    assert sf.concat([sf.range(2), sf.range(2)], distinct=True).count() == 2
    with pytest.raises(sf.InvalidInputError, match="no dataset to concat"):
        sf.concat([])


@pytest.mark.parametrize("operator", ["EXCEPT", "INTERSECT"])
def test_sql_refuses_what_it_would_count_wrongly(operator: str) -> None:
    a = sf.from_pydict({"x": [1, 1]})
    with pytest.raises(sf.UnsupportedError, match=f"{operator} ALL\n  help: leave ALL out"):
        sf.sql(f"SELECT * FROM a {operator} ALL SELECT 1", a=a)


def test_rows_over_the_memory_limit_are_counted_on_disk() -> None:
    with sf.Session(memory_limit="192MiB", threads=1) as session:
        rows = session.range(900_000).select(id="id", text=sf.functions.lpad(sf.col("id").cast("string"), 200, "x"))
        fewer = rows.filter(sf.col("id") % 3 != 0)
        left = rows.except_(fewer, distinct=False)
        assert left.count() == 300_000
        assert "spill" in str(left.stats())
        assert session.memory["reserved"] == 0
