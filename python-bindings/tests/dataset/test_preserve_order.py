"""`preserve_order`: what loses the order of rows keeps it where it is asked to."""

import random
from typing import Any

import pytest

import sheaf as sf
from sheaf import col

Rows = list[dict[str, Any]]


def several(session: sf.Session, rows: Rows) -> sf.Dataset:
    """The rows in partitions of seven."""
    return session.from_items(rows).repartition(rows=7)


def drawn(chance: random.Random, value: str) -> Rows:
    keys = [*range(6), None]
    return [{"k": chance.choice(keys), value: at} for at in range(chance.randrange(60))]


def joined(left: Rows, right: Rows, how: str) -> Rows:
    """What a loop over every pair gives, in the order of the left side and then of the right one."""

    def like(one: dict[str, Any], other: dict[str, Any]) -> bool:
        return one["k"] is not None and one["k"] == other["k"]

    if how in ("semi", "anti"):
        return [row for row in left if any(like(row, other) for other in right) == (how == "semi")]
    rows = []
    for row in left:
        matches = [other for other in right if like(row, other)]
        rows += [{**row, "w": other["w"]} for other in matches]
        if not matches and how in ("left", "full"):
            rows.append({**row, "w": None})
    if how in ("right", "full"):
        lonely = [other for other in right if not any(like(row, other) for row in left)]
        rows += [{"k": other["k"], "v": None, "w": other["w"]} for other in lonely]
    return rows


@pytest.mark.parametrize("how", ["inner", "left", "right", "full", "semi", "anti"])
def test_joins_are_in_the_order_of_the_left_side(how: Any) -> None:
    session = sf.Session(threads=3)
    for seed in range(8):
        chance = random.Random(seed)
        left, right = drawn(chance, "v"), drawn(chance, "w")
        if not left or not right:
            continue
        made = several(session, left).join(several(session, right), on="k", how=how).preserve_order()
        assert made.to_arrow().to_pylist() == joined(left, right, how), (seed, how)


def test_groups_and_distinct_rows_are_in_the_order_of_their_first_rows() -> None:
    session = sf.Session(threads=3)
    for seed in range(8):
        chance = random.Random(seed)
        rows = [{"k": chance.randrange(20), "v": at} for at in range(200)]
        firsts = {row["k"]: row["v"] for row in reversed(rows)}
        keys = sorted(firsts, key=lambda key: firsts[key])
        ds = several(session, rows)
        assert ds.groupby("k").agg(n=col("k").count()).preserve_order().to_pydict()["k"] == keys
        assert ds.select("k").distinct().preserve_order().to_pydict()["k"] == keys
        assert ds.distinct("k").preserve_order().to_pydict() == {"k": keys, "v": [firsts[key] for key in keys]}
        kept = ds.drop_duplicates("k", keep="first").preserve_order()
        assert kept.to_pydict()["v"] == [firsts[key] for key in keys]
        windowed = ds.with_column("n", col("v").count().over("k")).preserve_order()
        assert windowed.to_pydict()["v"] == [row["v"] for row in rows]


def test_columns_and_filters_may_stand_between() -> None:
    session = sf.Session(threads=3)
    ds = several(session, [{"k": at * 7 % 31, "v": at} for at in range(100)])
    counts = ds.groupby("k").agg(n=col("k").count())
    made = counts.filter(col("k") > 3).with_column("m", col("n") * 2).rename({"k": "key"}).preserve_order()
    assert made.columns == ["key", "n", "m"]
    order = list(dict.fromkeys(at * 7 % 31 for at in range(100)))
    assert made.to_pydict()["key"] == [key for key in order if key > 3]
    # A column of the name that the numbers would have is no matter.
    named = counts.rename({"n": "row"}).preserve_order()
    assert named.columns == ["k", "row"]
    assert named.to_pydict()["k"] == order


def test_what_keeps_its_order_is_left_alone_and_what_has_its_own_is_refused() -> None:
    ds = sf.range(10)
    filtered = ds.filter(col("id") > 3)
    assert filtered.preserve_order().explain() == filtered.explain()
    with pytest.raises(sf.UnsupportedError, match="no order to preserve after Partition") as raised:
        ds.random_shuffle(seed=1).preserve_order()
    assert "monotonically_increasing_id" in str(raised.value)
