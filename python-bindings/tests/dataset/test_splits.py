"""Splits: parts that have each row once, between them; by order, by chance, by stratum and by a hash that stays."""

import itertools
import random
import subprocess
import sys
from typing import Any

import pytest

import sheaf as sf

ROWS = 100_000


def ids(dataset: sf.Dataset) -> list[int]:
    values: list[int] = dataset.to_pydict()["id"]
    return values


def parts_of(parts: list[sf.Dataset] | tuple[sf.Dataset, ...]) -> list[list[int]]:
    return [ids(part) for part in parts]


@pytest.mark.parametrize(("rows", "n"), [(ROWS, 1), (ROWS, 7), (10, 3), (2, 3), (0, 2)])
def test_a_split_is_of_rows_that_follow_one_another(rows: int, n: int) -> None:
    parts = parts_of(sf.range(rows).split(n))
    assert list(itertools.chain(*parts)) == list(range(rows))
    assert len(parts) == n
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    equal = parts_of(sf.range(rows).split(n, equal=True))
    assert [len(part) for part in equal] == [rows // n] * n
    assert list(itertools.chain(*equal)) == list(range(rows // n * n))


def test_splits_at_indices_match_slices() -> None:
    dice = random.Random(4)
    for _ in range(12):
        rows = dice.choice([0, 1, 50, 30_000])
        indices = sorted(dice.randrange(rows + 10) for _ in range(dice.randint(1, 5)))
        bounds = [0, *indices, rows + 10]
        expected = [list(range(rows))[start:end] for start, end in itertools.pairwise(bounds)]
        assert parts_of(sf.range(rows).split_at_indices(indices)) == expected


def test_proportions_are_to_the_nearest_row() -> None:
    assert [len(part) for part in parts_of(sf.range(10).split_proportionately([0.1, 0.1, 0.1]))] == [1, 1, 1, 7]
    parts = parts_of(sf.range(ROWS).split_proportionately([0.70001, 0.2]))
    assert [len(part) for part in parts] == [70_001, 20_000, 9_999]
    assert list(itertools.chain(*parts)) == list(range(ROWS))
    assert parts_of(sf.range(0).split_proportionately([0.5])) == [[], []]


def test_parts_go_on_as_other_datasets_do() -> None:
    first, second = sf.range(ROWS).split(2)
    assert sorted(ids(second.filter(sf.col("id") % 10_000 == 0))) == [50_000, 60_000, 70_000, 80_000, 90_000]
    assert sorted(ids(first.filter(sf.col("id") >= 49_998).union(second.limit(2)))) == list(range(49_998, 50_002))


@pytest.mark.parametrize(("size", "test_rows"), [(0.2, 20_000), (0.1234567, 12_346), (17, 17), (0, 0), (ROWS, ROWS)])
def test_the_last_rows_are_the_test(size: float, test_rows: int) -> None:
    train, test = parts_of(sf.range(ROWS).train_test_split(size))
    assert len(test) == test_rows
    assert train + test == list(range(ROWS))


def test_a_shuffled_split_is_complete_and_the_seed_decides() -> None:
    split = parts_of(sf.range(20_000).train_test_split(0.25, shuffle=True, seed=1))
    assert split == parts_of(sf.range(20_000).train_test_split(0.25, shuffle=True, seed=1))
    train, test = split
    assert len(test) == 5000
    assert sorted(train + test) == list(range(20_000))
    # By chance a quarter of the last rows would be test.
    assert 1000 < sum(row >= 15_000 for row in test) < 1500
    assert test != ids(sf.range(20_000).train_test_split(0.25, shuffle=True, seed=2)[1])
    # Without a seed the two parts still fit together.
    train, test = parts_of(sf.range(20_000).train_test_split(0.25, shuffle=True))
    assert sorted(train + test) == list(range(20_000))


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_stratified_split_has_the_share_of_each_kind(shuffle: bool) -> None:
    sizes = {"a": 1000, "b": 100, None: 30, "c": 2}
    kinds = [kind for kind, size in sizes.items() for _ in range(size)]
    table = sf.from_pydict({"id": list(range(len(kinds))), "kind": kinds})
    train, test = table.train_test_split(0.3, stratify="kind", seed=3, shuffle=shuffle)
    assert sorted(ids(train) + ids(test)) == list(range(len(kinds)))
    counts = dict.fromkeys(sizes, 0)
    for kind in test.to_pydict()["kind"]:
        counts[kind] += 1
    assert counts == {"a": 300, "b": 30, None: 9, "c": 1}


def test_a_hash_keeps_the_rows_of_one_value_together_whatever_else_is_there() -> None:
    users = sf.range(ROWS).with_column("user", sf.functions.concat(sf.lit("u-"), sf.col("id") % 1000))
    train, test = users.train_test_split(0.2, hash_column="user")
    assert sorted(ids(train) + ids(test)) == list(range(ROWS))
    tested = set(test.to_pydict()["user"])
    assert not tested & set(train.to_pydict()["user"])
    expected = {f"u-{user}" for user in range(1000) if xxh64(f"u-{user}".encode()) < int(0.2 * 2**64)}
    assert tested == expected
    fewer = users.filter(sf.col("id") < 5000).train_test_split(0.2, hash_column="user")[1]
    assert set(fewer.to_pydict()["user"]) == expected
    seeded = users.train_test_split(0.2, hash_column="user", seed=9)[1]
    assert set(seeded.to_pydict()["user"]) == {
        f"u-{user}" for user in range(1000) if xxh64(f"u-{user}".encode(), 9) < int(0.2 * 2**64)
    }


def test_null_is_in_the_training() -> None:
    table = sf.from_pydict({"id": [1, 2], "k": [None, None]}).cast({"k": "string"})
    train, test = table.train_test_split(0.9999, hash_column="k")
    assert (ids(train), ids(test)) == ([1, 2], [])


def test_the_hash_is_that_of_xxh64() -> None:
    dice = random.Random(1)
    texts = ["", "a", "abc", *("x" * dice.randrange(100) + str(dice.random()) for _ in range(50)), None]
    numbers = [0, -1, 2**62, *(dice.randrange(-(2**60), 2**60) for _ in range(50)), None]
    numbers = numbers[: len(texts)]
    table = sf.from_pydict({"t": texts, "n": numbers})
    made = sf.sql("SELECT stable_hash(t) AS t, stable_hash(n) AS n, stable_hash(t, 7) AS s FROM tbl", tbl=table)
    encoded = [None if text is None else text.encode() for text in texts]
    assert made.to_pydict() == {
        "t": [None if text is None else xxh64(text) for text in encoded],
        "n": [None if n is None else xxh64(n.to_bytes(8, "little", signed=True)) for n in numbers],
        "s": [None if text is None else xxh64(text, 7) for text in encoded],
    }
    assert table.select(sf.functions.stable_hash(sf.col("t")).alias("t")).to_pydict()["t"] == made.to_pydict()["t"]


def test_the_hash_is_the_same_in_another_process() -> None:
    program = "import sheaf as sf; print(sf.range(100).train_test_split(0.3, hash_column='id')[1].to_pydict())"
    other = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert other.stdout.strip() == str(sf.range(100).train_test_split(0.3, hash_column="id")[1].to_pydict())


@pytest.mark.parametrize(
    ("split", "told"),
    [
        (lambda table: table.split(0), "at least one split"),
        (lambda table: table.split_at_indices([]), "no index to split at"),
        (lambda table: table.split_at_indices([3, 2]), "the indices do not ascend: 3 is before 2"),
        (lambda table: table.split_proportionately([]), "no share to split by"),
        (lambda table: table.split_proportionately([0.5, 0.0]), "a share lies between 0 and 1, not at 0"),
        (lambda table: table.split_proportionately([0.5, 0.5]), "leave no rest"),
        (lambda table: table.train_test_split(1.5), "lies between 0 and 1, not at 1.5"),
        (lambda table: table.train_test_split(0.0), "lies between 0 and 1, not at 0"),
        (lambda table: table.train_test_split(11), "a test of 11 rows, and there are 10"),
        (lambda table: table.train_test_split(3, stratify="id"), "with stratify the test is a share"),
        (lambda table: table.train_test_split(3, hash_column="id"), "with hash_column the test is a share"),
        (lambda table: table.train_test_split(0.3, stratify="id", hash_column="id"), "not both"),
    ],
)
def test_what_is_no_split_is_told(split: Any, told: str) -> None:
    with pytest.raises(sf.InvalidInputError, match=told):
        split(sf.range(10))


def test_columns_that_are_not_there_or_have_no_hash_are_told() -> None:
    for how in ({"stratify": "idd"}, {"hash_column": "idd"}):
        with pytest.raises(sf.UnknownColumnError, match="idd"):
            sf.range(10).train_test_split(0.5, **how)
    lists = sf.from_pydict({"l": [[1]]})
    with pytest.raises(sf.SheafError, match="stable_hash knows no bytes of List"):
        lists.train_test_split(0.5, hash_column="l")


MASK = 2**64 - 1
PRIMES = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


def xxh64(data: bytes, seed: int = 0) -> int:
    """XXH64 as its specification has it."""

    def rotated(value: int, by: int) -> int:
        return (value << by | value >> 64 - by) & MASK

    def mixed(lane: int, word: int) -> int:
        return rotated((lane + word * PRIMES[1]) & MASK, 31) * PRIMES[0] & MASK

    at, end = 0, len(data)
    if end >= 32:
        lanes = [seed + PRIMES[0] + PRIMES[1], seed + PRIMES[1], seed, seed - PRIMES[0]]
        while at <= end - 32:
            for lane in range(4):
                lanes[lane] = mixed(lanes[lane], int.from_bytes(data[at : at + 8], "little"))
                at += 8
        turned = zip(lanes, (1, 7, 12, 18), strict=True)
        value = sum(rotated(lane, by) for lane, by in turned) & MASK
        for lane in lanes:
            value = ((value ^ mixed(0, lane)) * PRIMES[0] + PRIMES[3]) & MASK
    else:
        value = seed + PRIMES[4]
    value = (value + end) & MASK
    while at + 8 <= end:
        value ^= mixed(0, int.from_bytes(data[at : at + 8], "little"))
        value = (rotated(value, 27) * PRIMES[0] + PRIMES[3]) & MASK
        at += 8
    if at + 4 <= end:
        value ^= int.from_bytes(data[at : at + 4], "little") * PRIMES[0] & MASK
        value = (rotated(value, 23) * PRIMES[1] + PRIMES[2]) & MASK
        at += 4
    for byte in data[at:]:
        value = rotated(value ^ byte * PRIMES[4] & MASK, 11) * PRIMES[0] & MASK
    value = (value ^ value >> 33) * PRIMES[1] & MASK
    value = (value ^ value >> 29) * PRIMES[2] & MASK
    return value ^ value >> 32
