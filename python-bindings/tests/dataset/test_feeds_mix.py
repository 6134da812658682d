"""Datasets mixed by weight: the same for the same seed, to the end that was asked for, gone on with at any row."""

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sheaf as sf


@pytest.fixture(scope="module")
def session() -> Iterator[sf.Session]:
    with sf.Session(threads=3, batch_size=64) as session:
        yield session


def ids(rows: sf.Dataset) -> list[int]:
    got: list[int] = rows.to_pydict()["id"]
    return got


@pytest.fixture
def parts(session: sf.Session, tmp_path: Path) -> list[sf.Dataset]:
    """A range of several partitions, rows in memory, files, and what is computed of them."""
    for part in range(3):
        pq.write_table(pa.table({"id": range(2000 + part * 50, 2050 + part * 50)}), tmp_path / f"{part}.parquet")
    files = session.read_parquet(tmp_path)
    memory = session.from_arrow(pa.table({"id": range(5000, 5070)}))
    return [session.range(0, 500), files, memory, files.select((sf.col("id") + 1000).alias("id"))]


def test_rows_are_drawn_by_weight_and_keep_their_order(session: sf.Session) -> None:
    mixed = ids(session.range(10_000).mix(session.range(10_000, 20_000), weights=[4, 1], stop="shortest", seed=3))
    first, second = [row for row in mixed if row < 10_000], [row for row in mixed if row >= 10_000]
    assert first == sorted(first)
    assert second == sorted(second)
    assert len(first) == 10_000
    assert 0.18 < len(second) / len(mixed) < 0.22


def test_the_same_seed_gives_the_same_mix_whatever_the_threads(parts: list[sf.Dataset]) -> None:
    def mixed(seed: int, **how: Any) -> list[int]:
        return ids(sf.mix(parts, seed=seed, stop="longest", **how))

    for seed in range(5):
        assert mixed(seed) == mixed(seed), seed
        assert sorted(mixed(seed)) == sorted(row for part in parts for row in ids(part))
    assert mixed(1) != mixed(2)
    assert mixed(1) != mixed(1, weights=[1, 2, 3, 4])

    def over(threads: int) -> list[int]:
        with sf.Session(threads=threads) as session:
            return ids(session.range(50_000).mix(session.range(50_000, 70_000), stop="longest", seed=9))

    assert over(1) == over(4)


def test_each_rule_ends_where_it_says(session: sf.Session, parts: list[sf.Dataset]) -> None:
    one, other = session.range(100), session.range(1000, 1020)
    for seed in range(10):
        shortest = ids(one.mix(other, seed=seed))
        assert (sum(row >= 1000 for row in shortest) == 20) != (sum(row < 1000 for row in shortest) == 100)
        repeat = ids(one.mix(other, seed=seed, stop="repeat"))
        again = [row for row in repeat if row >= 1000]
        assert [row for row in repeat if row < 1000] == list(range(100))
        assert again == [1000 + place % 20 for place in range(len(again))]
        assert len(again) > 60
    # Plans of all kinds begin again.
    repeat = ids(sf.mix(parts, weights=[1, 5, 5, 5], seed=1, stop="repeat"))
    for part in parts:
        rows = sorted(ids(part))
        got = [row for row in repeat if row in set(rows)]
        assert got == [rows[place % len(rows)] for place in range(len(got))]
        assert len(got) >= len(rows)


def test_empty_inputs_end_at_once(session: sf.Session) -> None:
    some, none = session.range(10), session.range(0)
    assert ids(some.mix(none, stop="longest", seed=1)) == list(range(10))
    assert ids(some.mix(none, stop="repeat", seed=1)) == list(range(10))
    assert ids(none.mix(none, stop="repeat", seed=1)) == []
    assert len(ids(some.mix(none, stop="shortest", seed=1))) < 10


@pytest.mark.parametrize("seed", range(10))
def test_a_mix_goes_on_at_any_row(parts: list[sf.Dataset], seed: int) -> None:
    chance = random.Random(seed)
    stop = chance.choice(["shortest", "longest", "repeat"])

    def feed() -> sf.DataIterator:
        return sf.mix(parts, weights=[1, 2, 3, 4], stop=stop, seed=seed).iterator()

    whole = [row["id"] for row in feed().iter_rows()]
    at = feed()
    cut = chance.randrange(len(whole))
    assert [row["id"] for row in islice(at.iter_rows(), cut)] == whole[:cut]
    again = feed()
    again.load_state_dict(at.state_dict())
    assert [row["id"] for row in again.iter_rows()] == whole[cut:]


def test_verbs_after_a_mix_do_not_change_it(session: sf.Session) -> None:
    wide = session.range(300).with_column("text", sf.lit("x"))
    mixed = wide.mix(wide.with_columns(id=sf.col("id") + 1000), seed=4, stop="longest")
    assert sorted(ids(mixed.filter(sf.col("id") >= 1000))) == list(range(1000, 1300))
    assert ids(mixed.select("id")) == ids(mixed)
    assert mixed.count() == 600
    assert "MixExec: weights=[1.0, 1.0], stop=longest, seed=4" in mixed.explain()


def test_nulls_and_types_of_a_mix(session: sf.Session) -> None:
    some = session.from_arrow(pa.table({"a": pa.array([1, 2], pa.int64())}))
    nulls = session.from_arrow(pa.table({"a": pa.array([None, None], pa.int64())}))
    mixed = some.mix(nulls, stop="longest", seed=0).to_pydict()["a"]
    assert sorted(mixed, key=str) == [1, 2, None, None]
    strict = session.range(2).mix(session.from_pydict({"id": [None, 5]}).select(sf.col("id")), stop="longest", seed=0)
    assert strict.schema.field("id").nullable
    assert None in strict.to_pydict()["id"]


def test_wrong_mixes_say_so(session: sf.Session) -> None:
    one = session.range(3)
    with pytest.raises(sf.TypeMismatchError, match=r"other columns: \(id: Int64\) and \(name: "):
        one.mix(session.from_pydict({"name": ["a"]}))
    with pytest.raises(sf.InvalidInputError, match="a positive weight"):
        one.mix(one, weights=[1, 0])
    with pytest.raises(sf.InvalidInputError, match="weights of 2 datasets"):
        one.mix(one, weights=[1])
    with pytest.raises(sf.InvalidInputError, match='cannot stop at "never"'):
        one.mix(one, stop="never")  # type: ignore[arg-type]
    with pytest.raises(sf.InvalidInputError, match="a mix of no datasets"):
        sf.mix([])
    with pytest.raises(sf.InvalidInputError, match="different sessions"):
        one.mix(sf.range(3))
