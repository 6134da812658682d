"""Samples: as many rows as asked, drawn evenly, again the same for the same seed; and in SQL."""

import math
from collections import Counter
from typing import Any

import pytest

import sheaf as sf

ROWS = 100_000


def ids(sample: sf.Dataset) -> list[int]:
    drawn: list[int] = sample.to_pydict()["id"]
    return drawn


def is_near(drawn: float, expected: float, deviation: float) -> bool:
    """Within six standard deviations: by chance once in a billion times, and the seeds are fixed."""
    return abs(drawn - expected) <= 6 * deviation


@pytest.mark.parametrize("n", [0, 1, 10, 9_999, ROWS - 1, ROWS, ROWS + 1])
def test_so_many_rows_each_once_in_their_order(n: int) -> None:
    drawn = ids(sf.range(ROWS).sample(n=n, seed=3))
    assert len(drawn) == min(n, ROWS)
    assert drawn == sorted(set(drawn))


@pytest.mark.parametrize("n", [0, 1, 10, 2 * ROWS])
def test_with_replacement_so_many_rows_even_more_than_there_are(n: int) -> None:
    drawn = ids(sf.range(ROWS).sample(n=n, seed=3, replace=True))
    assert len(drawn) == n
    assert drawn == sorted(drawn)
    assert set(drawn) <= set(range(ROWS))


@pytest.mark.parametrize("replace", [False, True])
def test_draws_are_even_over_rows_and_partitions(replace: bool) -> None:
    counts: Counter[int] = Counter()
    for seed in range(40):
        counts.update(row // 1000 for row in ids(sf.range(ROWS).sample(n=1000, seed=seed, replace=replace)))
    # Of 40,000 draws each of 100 ranges of rows has about 400.
    assert sum(counts.values()) == 40_000
    assert all(is_near(counts[part], 400, math.sqrt(400)) for part in range(100)), counts


def test_draws_with_replacement_repeat_as_independent_ones_do() -> None:
    drawn = Counter(ids(sf.range(1000).sample(n=1000, seed=5, replace=True)))
    # The share of rows that independent draws miss is 1/e.
    assert is_near(1000 - len(drawn), 1000 / math.e, math.sqrt(1000 / math.e))
    one = sf.range(1).sample(n=500, seed=1, replace=True)
    assert ids(one) == [0] * 500


def test_a_fraction_with_replacement_is_how_often_a_row_comes() -> None:
    drawn = Counter(ids(sf.range(ROWS).sample(2.5, seed=7, replace=True)))
    assert is_near(sum(drawn.values()), 2.5 * ROWS, math.sqrt(2.5 * ROWS))
    times = Counter(drawn.values())
    times[0] = ROWS - len(drawn)
    for count in range(8):
        expected = ROWS * math.exp(-2.5) * 2.5**count / math.factorial(count)
        assert is_near(times[count], expected, math.sqrt(expected)), (count, times[count], expected)
    assert ids(sf.range(10).sample(0.0, seed=1, replace=True)) == []


@pytest.mark.parametrize(
    "how", [{"fraction": 0.1}, {"n": 500}, {"n": 500, "replace": True}, {"fraction": 2, "replace": True}]
)
def test_the_seed_decides(how: dict[str, Any]) -> None:
    numbers = sf.range(ROWS)
    assert ids(numbers.sample(**how, seed=1)) == ids(numbers.sample(**how, seed=1))
    assert ids(numbers.sample(**how, seed=1)) != ids(numbers.sample(**how, seed=2))
    assert ids(numbers.sample(**how)) != ids(numbers.sample(**how))


def test_the_rows_do_not_depend_on_the_threads(tmp_path: Any) -> None:
    for part in range(5):
        sf.range(part * 1000, part * 1000 + 1000).repartition(1).write_parquet(f"{tmp_path}/{part}")
    drawn = []
    for threads in (1, 2, 3):
        session = sf.Session(threads=threads)
        parts = [session.read_parquet(f"{tmp_path}/{part}") for part in range(5)]
        # Each file is a partition of the union, however many threads there are.
        whole = parts[0].coalesce(1).union(*(part.coalesce(1) for part in parts[1:]))
        how: list[dict[str, Any]] = [{"fraction": 0.2}, {"n": 300}, {"n": 300, "replace": True}]
        drawn.append([sorted(ids(whole.sample(**each, seed=4))) for each in how])
        drawn[-1].append(sorted(ids(whole.with_column("k", sf.col("id") % 7).sample(0.3, seed=4, stratify_by="k"))))
    assert drawn[0] == drawn[1] == drawn[2]


def test_wide_rows_are_drawn_whole() -> None:
    table = sf.range(50_000).with_columns(text=sf.col("id").cast("string"), list=sf.col("id") * 2)
    for row in table.sample(n=300, seed=2).to_pylist():
        assert row == {"id": row["id"], "text": str(row["id"]), "list": row["id"] * 2}


def test_columns_that_are_not_asked_for_change_nothing() -> None:
    table = sf.range(10_000).with_column("twice", sf.col("id") * 2)
    for how in ({"n": 100}, {"fraction": 0.1}, {"fraction": 0.1, "stratify_by": "twice"}):
        drawn = table.sample(**how, seed=1)
        assert sorted(row * 2 for row in ids(drawn.select("id"))) == sorted(drawn.select("twice").to_pydict()["twice"])
        assert drawn.count() == len(drawn.to_pydict()["id"])


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 0.5, 1.0])
def test_each_stratum_has_its_fraction_to_the_nearest_row(fraction: float) -> None:
    sizes = {"a": 10_000, "b": 1000, "c": 37, "d": 3, None: 210}
    values = [value for value, size in sizes.items() for _ in range(size)]
    table = sf.from_pydict({"k": values, "n": list(range(len(values)))}).random_shuffle(seed=1)
    drawn = table.sample(fraction, seed=9, stratify_by=["k"]).to_pylist()
    assert {row["n"]: row["k"] for row in drawn} == {row["n"]: values[row["n"]] for row in drawn}
    assert len({row["n"] for row in drawn}) == len(drawn)
    counts = Counter(row["k"] for row in drawn)
    assert counts == {k: rows for k, size in sizes.items() if (rows := math.floor(size * fraction + 0.5))}


def test_within_a_stratum_every_row_is_as_likely() -> None:
    counts: Counter[int] = Counter()
    table = sf.range(100).with_column("k", sf.col("id") % 2)
    for seed in range(200):
        counts.update(ids(table.sample(0.2, seed=seed, stratify_by="k")))
    assert sum(counts.values()) == 200 * 20
    assert all(is_near(counts[row], 40, math.sqrt(200 * 0.2 * 0.8)) for row in range(100)), counts


def test_no_rows() -> None:
    nothing = sf.from_pydict({"k": [1]}).filter(sf.col("k") > 1)
    for how in ({"fraction": 0.5}, {"n": 5}, {"n": 5, "replace": True}, {"fraction": 0.5, "stratify_by": "k"}):
        assert nothing.sample(**how, seed=1).to_pydict() == {"k": []}


def test_filters_above_a_sample_stay_above() -> None:
    for how in ({"fraction": 0.3}, {"n": 200}, {"fraction": 0.3, "stratify_by": "k"}):
        drawn = sf.range(1000).with_column("k", sf.col("id") % 3).sample(**how, seed=1)
        expected = sorted(row for row in ids(drawn) if row % 3 == 1)
        assert sorted(ids(drawn.filter(sf.col("k") == 1))) == expected


def test_what_fits_nowhere_is_said() -> None:
    numbers = sf.Session(memory_limit=64 << 20).range(20_000_000)
    with pytest.raises(sf.SheafError, match=r"DrawExec"):
        numbers.sample(n=10_000_000, seed=1).count()
    with pytest.raises(sf.SheafError, match=r"DrawExec"):
        numbers.sample(n=1 << 40, seed=1, replace=True).count()


def test_few_rows_of_many_take_little_memory() -> None:
    numbers = sf.Session(memory_limit=64 << 20).range(20_000_000)
    assert numbers.sample(n=10_000, seed=1).count() == 10_000


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({}, "either a fraction or a number of rows"),
        ({"fraction": 0.5, "n": 3}, "either a fraction or a number of rows"),
        ({"fraction": 1.5}, "between 0 and 1, not at 1.5"),
        ({"fraction": -0.1}, "between 0 and 1"),
        ({"fraction": math.nan}, "between 0 and 1"),
        ({"fraction": 101.0, "replace": True}, "between 0 and 100"),
        ({"n": 5, "stratify_by": "id"}, "of each stratum a fraction"),
        ({"fraction": 0.5, "replace": True, "stratify_by": "id"}, "of each stratum a fraction"),
    ],
)
def test_what_is_no_sample_is_told(how: dict[str, Any], told: str) -> None:
    with pytest.raises(sf.InvalidInputError, match=told):
        sf.range(10).sample(**how)


def test_a_stratum_is_a_column() -> None:
    with pytest.raises(sf.UnknownColumnError, match="idd"):
        sf.range(10).sample(0.5, stratify_by="idd")


def test_tablesample_is_the_verb() -> None:
    numbers = sf.range(ROWS)
    text = "SELECT id FROM numbers TABLESAMPLE BERNOULLI (10) REPEATABLE (3)"
    assert sorted(ids(sf.sql(text, numbers=numbers))) == sorted(ids(numbers.sample(0.1, seed=3)))
    text = "SELECT n.id FROM numbers AS n TABLESAMPLE (50 ROWS) REPEATABLE (3) WHERE n.id >= 0"
    assert sorted(ids(sf.sql(text, numbers=numbers))) == ids(numbers.sample(n=50, seed=3))
    unseeded = "SELECT id FROM numbers TABLESAMPLE (10 PERCENT)"
    first, other = (ids(sf.sql(unseeded, numbers=numbers)) for _ in range(2))
    assert is_near(len(first), ROWS / 10, math.sqrt(ROWS * 0.09))
    assert first != other
