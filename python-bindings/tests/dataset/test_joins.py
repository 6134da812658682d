"""Joins: expressions as keys, null-safe keys, predicates over both sides, several datasets, the side kept in memory."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

import sheaf as sf

Row = tuple[Any, ...]


def rows_of(dataset: sf.Dataset) -> list[Row]:
    """Return the rows, sorted, nulls first."""
    return in_order(list(row.values()) for row in dataset.to_arrow().to_pylist())


def in_order(rows: Any) -> list[Row]:
    return sorted((tuple(row) for row in rows), key=lambda row: [(value is not None, value) for value in row])


def oracle(left: list[Row], right: list[Row], how: str, matches: Callable[[Row, Row], bool]) -> list[Row]:
    """Return the join by comparing each row with each."""
    pairs = [(a, b) for a in left for b in right if matches(a, b)]
    if how in {"semi", "anti"}:
        return in_order(a for a in left if (how == "semi") == any(a is first for first, _ in pairs))
    joined = [a + b for a, b in pairs]
    if how in {"left", "outer"}:
        joined += [(*a, None, None) for a in left if not any(a is first for first, _ in pairs)]
    if how in {"right", "outer"}:
        joined += [(None, None, *b) for b in right if not any(b is second for _, second in pairs)]
    return in_order(joined)


def table(rows: list[Row], names: str, parts: int) -> sf.Dataset:
    """Return the rows as a dataset of several partitions."""
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Int64), orient="row")
    step = max(1, -(-len(rows) // parts))
    made = [sf.from_polars(frame[at : at + step]) for at in range(0, max(1, len(rows)), step)]
    return made[0] if len(made) == 1 else made[0].union(made[1]) if len(made) == 2 else sf.from_polars(frame)


def some_rows(dice: random.Random) -> list[Row]:
    def value() -> int | None:
        return None if dice.random() < 0.15 else dice.randrange(6)

    return [(value(), value()) for _ in range(dice.choice([0, 1, 7, 30]))]


CONDITIONS: dict[str, tuple[dict[str, Any], Callable[[Row, Row], bool]]] = {
    "computed keys": (
        {"left_on": sf.col("a") + 1, "right_on": sf.col("c") * 2},
        lambda a, b: None not in (a[0], b[0]) and a[0] + 1 == b[0] * 2,
    ),
    "a column and a computed key": (
        {"left_on": ["a", sf.col("b") % 2], "right_on": ["c", sf.col("d") % 2]},
        lambda a, b: None not in (*a, *b) and a[0] == b[0] and a[1] % 2 == b[1] % 2,
    ),
    "nulls that are equal": ({"left_on": "a", "right_on": "c", "null_equals": True}, lambda a, b: a[0] == b[0]),
    "two keys, nulls equal": (
        {"left_on": ["a", "b"], "right_on": ["c", "d"], "null_equals": True},
        lambda a, b: a == b,
    ),
    "inequality": (
        {"where": sf.left("a") < sf.right("d")},
        lambda a, b: None not in (a[0], b[1]) and a[0] < b[1],
    ),
    "names that one side has": (
        {"where": (sf.col("a") < sf.col("c")) & (sf.col("b") >= sf.col("d"))},
        lambda a, b: None not in (*a, *b) and a[0] < b[0] and a[1] >= b[1],
    ),
    "keys and an inequality": (
        {"left_on": "a", "right_on": "c", "where": sf.left("b") != sf.right("d")},
        lambda a, b: None not in (*a, *b) and a[0] == b[0] and a[1] != b[1],
    ),
    "equal nulls and an inequality": (
        {"left_on": "a", "right_on": "c", "null_equals": True, "where": sf.left("b") <= sf.right("d")},
        lambda a, b: a[0] == b[0] and None not in (a[1], b[1]) and a[1] <= b[1],
    ),
}


@pytest.mark.parametrize("how", ["inner", "left", "right", "outer", "semi", "anti"])
@pytest.mark.parametrize("name", CONDITIONS)
def test_against_every_pair_of_rows(name: str, how: Any) -> None:
    arguments, matches = CONDITIONS[name]
    dice = random.Random(f"{name} {how}")
    for _ in range(6):
        left, right = some_rows(dice), some_rows(dice)
        joined = table(left, "ab", dice.choice([1, 2])).join(
            table(right, "cd", dice.choice([1, 2])),
            how=how,
            broadcast=dice.choice([None, "left", "right"]),
            **arguments,
        )
        assert joined.columns == (["a", "b"] if how in {"semi", "anti"} else ["a", "b", "c", "d"])
        assert rows_of(joined) == oracle(left, right, how, matches), (left, right)


def test_a_computed_key_of_both_sides() -> None:
    left = sf.from_pydict({"k": ["A", "b"], "x": [1, 2]})
    right = sf.from_pydict({"k": ["a", "B"], "y": [3, 4]})
    joined = left.join(right, on=sf.col("k").str.lower())
    assert joined.columns == ["k", "x", "k_right", "y"]
    assert rows_of(joined) == [("A", 1, "a", 3), ("b", 2, "B", 4)]


def test_suffixes() -> None:
    left = sf.from_pydict({"k": [1], "x": [2], "y": [3]})
    right = sf.from_pydict({"k": [1], "x": [4]})
    assert left.join(right, on="k", left_suffix="_l", suffix="_r").to_pydict() == {
        "k": [1], "x_l": [2], "y": [3], "x_r": [4]
    }  # fmt: skip
    assert left.join(right, on="k", left_suffix="_l", suffix="").columns == ["k", "x_l", "y", "x"]
    assert left.join(right, how="cross", left_suffix="_l").columns == ["k_l", "x_l", "y", "k_right", "x_right"]
    with pytest.raises(sf.InvalidInputError, match='two columns "x"'):
        left.join(right, on="k", suffix="")


def test_several_datasets_at_once() -> None:
    frames = [pl.DataFrame({"k": [1, 2, None, part], f"x{part}": [part, part, part, 7]}) for part in range(3)]
    first, *others = map(sf.from_polars, frames)
    for how in ("inner", "left", "full"):
        expected = frames[0]
        for frame in frames[1:]:
            expected = expected.join(frame, on="k", how=how, coalesce=True)
        assert rows_of(first.join(others, on="k", how=how)) == in_order(expected.rows()), how
    same = sf.from_pydict({"k": [1], "x": [1]})
    assert same.join([same, same], on="k", suffix=["_2", "_3"]).columns == ["k", "x", "x_2", "x_3"]
    with pytest.raises(sf.InvalidInputError, match="2 other datasets has 1 suffixes"):
        same.join([same, same], on="k", suffix=["_2"])
    with pytest.raises(sf.InvalidInputError, match="at least one dataset"):
        same.join([], on="k")


@pytest.mark.parametrize("how", ["inner", "left", "right", "outer", "semi", "anti", "right_semi", "right_anti"])
def test_the_side_to_keep_in_memory_is_the_build_side(how: Any) -> None:
    big, small = sf.range(200_000).rename({"id": "big"}), sf.range(10).rename({"id": "small"})

    def plan(**arguments: Any) -> list[str]:
        joined = big.join(small, left_on="big", right_on="small", how=how, **arguments)
        assert joined.count() == {
            "inner": 10, "semi": 10, "left": 200_000, "outer": 200_000, "anti": 199_990, "right": 10,
            "right_semi": 10, "right_anti": 0,
        }[how]  # fmt: skip
        physical = joined.explain().split("== Physical ==")[1].splitlines()
        return [line.strip() for line in physical]

    for side, source in (("left", "range: 100000 numbers"), ("right", "range: 10 numbers")):
        lines = plan(broadcast=side)
        at = next(at for at, line in enumerate(lines) if line.startswith("HashJoinExec"))
        assert "mode=CollectLeft" in lines[at]
        # What is built comes first; the mark itself is gone.
        assert source in next(line for line in lines[at + 1 :] if "numbers" in line), lines
        assert not any("Broadcast" in line for line in lines)


def test_the_hint_goes_before_the_size_setting() -> None:
    session = sf.Session(threads=2)
    first, second = session.range(20_000_000), session.range(10_000_000).rename({"id": "k"})

    def plan(**arguments: Any) -> str:
        physical = first.join(second, left_on="id", right_on="k", **arguments).explain().split("== Physical ==")[1]
        return physical.replace("range: 10000000 numbers, range: 10000000 numbers", "20 million").replace(
            "range: 5000000 numbers, range: 5000000 numbers", "10 million"
        )

    assert (
        plan()
        == """
SpillingHashJoinExec: over the memory limit=sort-merge join
  HashJoinExec: mode=Partitioned, join_type=Inner, on=[(id@0, k@0)]
    RepartitionExec: partitioning=Hash([id@0], 2), input_partitions=2
      LazyMemoryExec: partitions=2, batch_generators=[20 million]
    RepartitionExec: partitioning=Hash([k@0], 2), input_partitions=2
      ProjectionExec: expr=[id@0 as k]
        DynamicFilterExec: columns=[id@0]
          LazyMemoryExec: partitions=2, batch_generators=[10 million]"""
    )
    assert (
        plan(broadcast="left")
        == """
SpillingHashJoinExec: over the memory limit=sort-merge join
  HashJoinExec: mode=CollectLeft, join_type=Inner, on=[(id@0, k@0)]
    CoalescePartitionsExec
      LazyMemoryExec: partitions=2, batch_generators=[20 million]
    ProjectionExec: expr=[id@0 as k]
      DynamicFilterExec: columns=[id@0]
        LazyMemoryExec: partitions=2, batch_generators=[10 million]"""
    )
    assert (
        plan(broadcast="right")
        == """
SpillingHashJoinExec: over the memory limit=sort-merge join
  HashJoinExec: mode=CollectLeft, join_type=Inner, on=[(k@0, id@0)], projection=[id@1, k@0]
    CoalescePartitionsExec
      ProjectionExec: expr=[id@0 as k]
        LazyMemoryExec: partitions=2, batch_generators=[10 million]
    DynamicFilterExec: columns=[id@0]
      LazyMemoryExec: partitions=2, batch_generators=[20 million]"""
    )


def test_a_side_kept_in_memory_that_does_not_fit_goes_to_disk() -> None:
    session = sf.Session(threads=2, memory_limit="64MB")
    wide = session.range(400_000).select(k=sf.col("id"), text=sf.functions.repeat("x", 200) + sf.col("id").cast("str"))
    few = session.range(100).rename({"id": "k"})
    joined = few.join(wide, on="k", broadcast="right").aggregate(n=sf.functions.count(), k=sf.col("k").sum())
    assert joined.to_pydict() == {"n": [100], "k": [4950]}
    assert "fell_back=" in (joined.stats() or "")


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"where": sf.col("x") > 1}, sf.InvalidInputError, "both sides of the join have a column"),
    ({"where": sf.left("z") > 1}, sf.UnknownColumnError, "z"),
    ({"where": sf.right("z") > 1}, sf.UnknownColumnError, "z"),
    ({"where": sf.left("x") + 1}, sf.TypeMismatchError, "true"),
    ({"where": sf.left("x").sum() > sf.right("x")}, sf.InvalidInputError, "one value for many rows"),
    ({"left_on": sf.right("x"), "right_on": "x"}, sf.InvalidInputError, "that side's columns"),
    ({"on": sf.col("z") + 1}, sf.UnknownColumnError, "z"),
    ({}, sf.InvalidInputError, "at least one or a predicate"),
    ({"left_on": ["x", "k"], "right_on": "x"}, sf.InvalidInputError, "as many keys"),
    ({"where": sf.left("x") > 1, "null_equals": True}, sf.InvalidInputError, "only a predicate"),
    ({"on": "k", "broadcast": "both"}, sf.InvalidInputError, 'not "both"'),
    ({"how": "cross", "where": sf.left("x") > 1}, sf.InvalidInputError, "cross join"),
    ({"left_on": "x", "right_on": "t"}, sf.TypeMismatchError, "cannot join"),
]


@pytest.mark.parametrize(("arguments", "error", "says"), BAD)
def test_what_cannot_be_joined(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    left = sf.from_pydict({"k": [1], "x": [2]})
    right = sf.from_pydict({"k": [1], "x": [2], "t": [[1]]})
    with pytest.raises(error, match=says):
        left.join(right, **arguments)


def test_a_side_outside_a_join_is_unknown() -> None:
    with pytest.raises(sf.UnknownColumnError):
        sf.range(3).filter(sf.left("id") > 1).count()


def test_a_dataset_joined_with_itself() -> None:
    numbers = sf.range(4)
    pairs = numbers.join(numbers, where=sf.left("id") < sf.right("id"))
    assert rows_of(pairs) == list(itertools.combinations(range(4), 2))
