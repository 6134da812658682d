"""Partitions that the user chooses: the same rows whatever they are, and fewer exchanges where they are known."""

import datetime
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sheaf as sf

HOWS = ["inner", "left", "right", "outer", "left_semi", "left_anti", "right_semi", "right_anti"]


def rows(dataset: sf.Dataset) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(row.values()) for row in dataset.to_arrow().to_pylist())


def exchanges(dataset: sf.Dataset) -> int:
    """The exchanges by keys, and gathers, that the engine puts into the plan by itself."""
    plan = dataset.explain().split("== Physical ==")[1]
    moved = ("RepartitionExec: partitioning=Hash", "SkewedExchangeExec", "CoalescePartitionsExec")
    return sum(plan.count(name) for name in moved)


def table(dice: random.Random, session: sf.Session, value: str) -> sf.Dataset:
    """Batches of random keys, some of them null or negative zero, and numbered values."""
    batches, made = [], 0
    for _ in range(dice.choice([0, 1, 3])):
        count = dice.randrange(0, 40)
        keys = [dice.choice([None, 0, 1, 2, 3, 5, 8, -1]) for _ in range(count)]
        floats = [dice.choice([None, 0.0, -0.0, 1.5, float("inf")]) for _ in range(count)]
        columns = {"k": keys, "f": floats, value: list(range(made, made + count))}
        schema = pa.schema({"k": pa.int64(), "f": pa.float64(), value: pa.int64()})
        batches.append(pa.RecordBatch.from_pydict(columns, schema=schema))
        made += count
    schema = pa.schema({"k": pa.int64(), "f": pa.float64(), value: pa.int64()})
    return session.from_arrow(pa.Table.from_batches(batches, schema=schema))


def layouts(dice: random.Random, dataset: sf.Dataset) -> sf.Dataset:
    """The dataset in partitions of any kind."""
    n = dice.randrange(1, 6)
    made = [
        lambda: dataset.repartition(n),
        lambda: dataset.repartition(n, by="k"),
        lambda: dataset.repartition(n, by=["k", "f"], sort=True),
        lambda: dataset.repartition(rows=dice.randrange(1, 30)),
        lambda: dataset.repartition(bytes=dice.randrange(1, 900)),
        lambda: dataset.repartition(7).coalesce(n),
        lambda: dataset.set_index("k", partitions=n),
        lambda: dataset.set_index("k", divisions=[1, 3]),
        lambda: dataset.set_index("k", divisions=[-5, 1, 3, 99]).coalesce(2),
        lambda: dataset.set_index("f", divisions=[0.0]),
        lambda: dataset.repartition(n, by="k").materialize(),
        lambda: dataset.set_index("k", divisions=[1, 3]).materialize(),
        lambda: dataset.random_shuffle(seed=n),
        lambda: dataset.repartition(rows=5).randomize_block_order(seed=n),
    ]
    return dice.choice(made)()


@pytest.mark.parametrize("seed", range(40))
def test_rows_do_not_depend_on_partitions(seed: int) -> None:
    dice = random.Random(seed)
    session = sf.Session(threads=dice.choice([1, 2, 4]))
    left, right = table(dice, session, "a"), table(dice, session, "b")
    for _ in range(3):
        one, other = layouts(dice, left), layouts(dice, right)
        assert rows(one) == rows(left)
        how, key = dice.choice(HOWS), dice.choice(["k", "f"])
        assert rows(one.join(other, on=key, how=how)) == rows(left.join(right, on=key, how=how)), (how, one.explain())
        count, total = sf.col("a").count().alias("n"), sf.col("a").sum().alias("s")
        for keys in (["k"], ["f"], ["k", "f"]):
            assert rows(one.groupby(*keys).agg(count, total)) == rows(left.groupby(*keys).agg(count, total)), keys
        windowed = {"w": sf.col("a").sum().over("k")}
        assert rows(one.with_columns(**windowed)) == rows(left.with_columns(**windowed))
        predicate = dice.choice([sf.col("k") > 1, sf.col("k").is_null(), sf.col("k") == 3, sf.col("f") <= 0.0])
        assert rows(one.filter(predicate)) == rows(left.filter(predicate)), one.filter(predicate).explain()
        assert one.count() == left.count()
        assert one.sort("a").to_pydict() == left.sort("a").to_pydict()


@pytest.mark.parametrize("how", ["inner", "left", "outer", "semi"])
def test_sides_partitioned_alike_join_without_an_exchange(how: Any) -> None:
    session = sf.Session(threads=4)
    ids = session.range(0, 20_000).with_columns(k=sf.col("id") % 100)
    other = session.range(0, 500).with_columns(k=sf.col("id") % 100).rename({"id": "other"})
    for part in (
        lambda side: side.repartition(3, by="k"),
        lambda side: side.repartition(6, by="k", sort=True),
        lambda side: side.set_index("k", divisions=[25, 50, 75]),
        lambda side: side.set_index("k", divisions=[50]).materialize(),
    ):
        joined = part(ids).join(part(other), on="k", how=how)
        assert exchanges(joined) == 0, joined.explain()
        # The key of an outer join is that of either side, and no more that of the partitions.
        if how != "outer":
            assert exchanges(joined.groupby("k").agg(sf.col("k").count().alias("n"))) == 0
        assert rows(joined) == rows(ids.join(other, on="k", how=how))
    apart = ids.repartition(3, by="k").join(other.repartition(5, by="k"), on="k", how=how)
    assert exchanges(apart) > 0
    assert rows(apart) == rows(ids.join(other, on="k", how=how))


def test_a_function_keeps_the_partitioning_only_when_it_says_so() -> None:
    parts = sf.range(1_000).with_columns(k=sf.col("id") % 7).repartition(5, by="k")

    def reversed_columns(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.select(["k", "id"])

    def grouped(dataset: sf.Dataset) -> sf.Dataset:
        return dataset.groupby("k").agg(sf.col("id").sum().alias("s"))

    lost, kept = parts.map_batches(reversed_columns), parts.map_batches(reversed_columns, keeps_partitioning=True)
    assert exchanges(grouped(lost)) > 0
    assert exchanges(grouped(kept)) == 0
    assert rows(grouped(lost)) == rows(grouped(kept))
    with pytest.raises(sf.errors.InvalidInputError, match='keep the partitioning by "k", and returns no such column'):
        parts.map_batches(lambda batch: batch.select(["id"]), keeps_partitioning=True)
    # Where nothing is known there is nothing to keep.
    assert sf.range(3).map_batches(lambda batch: batch, keeps_partitioning=True).count() == 3


def test_an_index_of_any_ordered_type() -> None:
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=n) for n in range(60)]
    shuffled = random.Random(1).sample(days, k=60)
    data = sf.from_pydict({"day": shuffled, "name": [f"{day:%d-%m}" for day in shuffled]})
    months = data.set_index("day", divisions=[datetime.date(2024, 2, 1)])
    assert months.to_pydict()["day"] == days
    assert months.divisions() == [datetime.date(2024, 2, 1)]
    names = data.set_index("name", partitions=4)
    assert names.num_partitions() == 4
    assert names.to_pydict()["name"] == sorted(f"{day:%d-%m}" for day in days)
    # Divisions of one index are those of another.
    again = data.random_shuffle(seed=1).set_index("name", divisions=names.divisions())
    assert exchanges(names.join(again, on="name")) == 0
    assert data.set_index("name", divisions=[]).divisions() == []
    with pytest.raises(sf.errors.TypeMismatchError, match="no ranges"):
        sf.from_pydict({"l": [[1]]}).set_index("l")


def test_a_filter_on_the_index_reads_the_partitions_that_match() -> None:
    kept = sf.range(1_000).set_index("id", divisions=range(100, 1_000, 100)).materialize()
    few = kept.filter((sf.col("id") >= 250) & (sf.col("id") < 420))
    assert few.count() == 170
    assert "KeptExec: partitions=10, read=3" in few.explain(analyze=True)
    assert few.num_partitions() == 10


def test_the_number_of_partitions_is_the_number_of_files(tmp_path: Path) -> None:
    ids = sf.range(10_000).with_columns(k=sf.col("id") % 10)
    assert ids.repartition(1).write_parquet(tmp_path / "one").files == 1
    assert ids.repartition(6).write_parquet(tmp_path / "six").files == 6
    assert ids.repartition(rows=3_000).write_parquet(tmp_path / "rows").files == 4
    # In order, also where the size of files cuts further.
    report = ids.repartition(1).write_parquet(tmp_path / "cut", target_file_size=1, row_group_rows=1_000)
    assert report.files > 1
    assert pq.read_table(tmp_path / "one" / next((tmp_path / "one").glob("*.parquet")).name)["id"].to_pylist() == list(
        range(10_000)
    )
    # Partitions without rows have no file.
    assert sf.range(2).repartition(5).write_parquet(tmp_path / "few").files == 2


def test_what_is_not_sorted_is_said_to_be() -> None:
    late = sf.from_pydict({"k": [1, 5, 4]}).set_index("k", divisions=[2], sorted=True)
    with pytest.raises(sf.errors.InvalidInputError, match="row 2 comes before the row ahead of it"):
        late.collect()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "repartition of nothing"),
        ({"n": 0}, "at least one partition"),
        ({"n": 2, "rows": 3}, "takes one of a number of partitions, rows= and bytes="),
        ({"rows": 0}, "a partition of no rows"),
        ({"bytes": "lots"}, "lots"),
        ({"n": 2, "sort": True}, "no key to sort by"),
        ({"rows": 2, "by": "id"}, "as many as they are"),
    ],
)
def test_a_repartition_that_makes_no_sense(given: dict[str, Any], text: str) -> None:
    with pytest.raises(sf.errors.InvalidInputError, match=text):
        sf.range(3).repartition(**given)


def test_keys_that_are_not_there() -> None:
    with pytest.raises(sf.errors.UnknownColumnError, match="kk"):
        sf.range(3).repartition(2, by="kk")
    with pytest.raises(sf.errors.UnknownColumnError, match="kk"):
        sf.range(3).set_index("kk")


def test_without_a_seed_each_shuffle_is_another() -> None:
    ids = sf.range(1_000)
    assert ids.random_shuffle().to_pydict() != ids.random_shuffle().to_pydict()
    assert ids.random_shuffle(seed=1).to_pydict() == ids.random_shuffle(seed=1).to_pydict()


def test_wide_rows_are_sorted_within_partitions_beyond_the_memory_limit(tmp_path: Path) -> None:
    session = sf.Session(threads=2, memory_limit="200MB", spill_dir=str(tmp_path))
    ids = session.range(0, 500_000).with_columns(
        k=(sf.col("id") * 7919) % 500_000, text=sf.functions.repeat(sf.lit("0123456789abcdef"), sf.lit(40))
    )
    parts = ids.repartition(8, by="k", sort=True)
    assert parts.count() == 500_000
    seen, batches = 0, 0
    for batch in parts.iter_batches():
        keys = batch["k"].to_pylist()
        assert keys == sorted(keys)
        seen += len(keys)
        batches += 1
    assert seen == 500_000
    assert batches > 8
