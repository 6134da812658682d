"""``concat`` of datasets whose ranges follow one another: no exchange and no sort above it, and pandas' results."""

import datetime
import random
from typing import Any

import pandas as pd
import pytest

import sheaf as sf


def moves(dataset: sf.Dataset) -> list[str]:
    """The operators of the plan that move rows to other partitions, or sort them."""
    plan = dataset.explain().split("== Physical ==")[1]
    names = [line.split(":")[0].strip() for line in plan.splitlines()]
    return [name for name in names if name in ("RepartitionExec", "PartitionExec", "SortExec")]


def frame(dice: random.Random, keys: list[Any], value: str = "v") -> pd.DataFrame:
    shuffled = dice.sample(keys, k=len(keys))
    return pd.DataFrame({"k": shuffled, value: [dice.randrange(100) for _ in shuffled]})


def months(session: sf.Session, kept: str) -> tuple[sf.Dataset, pd.DataFrame]:
    """Three months of rows, an index of days in each, and all of them in pandas."""
    dice, parts, frames = random.Random(kept), [], []
    for month in (1, 2, 3):
        days = [datetime.date(2025, month, 1 + n % 28) for n in range(600)]
        frames.append(frame(dice, days))
        indexed = session.from_pandas(frames[-1]).set_index("k", divisions=[datetime.date(2025, month, 15)])
        parts.append(getattr(indexed, kept)())
    return sf.concat(parts), pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("kept", ["persist", "materialize"])
def test_ordered_ranges_stay_ranges(kept: str) -> None:
    session = sf.Session(threads=4)
    all_days, expected = months(session, kept)
    divisions = [datetime.date(2025, month, day) for month, day in ((1, 15), (2, 1), (2, 15), (3, 1), (3, 15))]
    assert all_days.divisions() == divisions
    assert all_days.to_pydict()["k"] == sorted(expected["k"])

    sums = all_days.groupby("k").agg(s=sf.col("v").sum(), n=sf.functions.count())
    assert moves(sums) == []
    wanted = expected.groupby("k").agg(s=("v", "sum"), n=("v", "count")).reset_index()
    assert sums.sort("k").to_pydict() == wanted.to_dict("list")

    assert moves(all_days.sort("k")) == []
    totals = all_days.with_columns(t=sf.col("v").sum().over("k"))
    assert moves(totals) == []
    assert totals.sort("k", "v").to_pydict()["t"] == (
        expected.assign(t=expected.groupby("k")["v"].transform("sum")).sort_values(["k", "v"])["t"].tolist()
    )

    days = [datetime.date(2025, 1, 14) + datetime.timedelta(days=n) for n in range(60)]
    holidays = frame(random.Random(1), days, "w")
    other = session.from_pandas(holidays).set_index("k", divisions=all_days.divisions()).persist()
    joined = all_days.join(other, on="k")
    assert moves(joined) == []
    merged = expected.merge(holidays, on="k").sort_values(["k", "v"])
    assert joined.select("k", "v", "w").sort("k", "v").to_pydict() == merged.to_dict("list")

    assert moves(all_days.set_index("k")) == moves(all_days.set_index("k", divisions=divisions)) == []
    assert moves(all_days.set_index("k", divisions=divisions[:2])) == ["PartitionExec"]


@pytest.mark.parametrize(("kept", "name"), [("persist", "PersistedExec"), ("materialize", "KeptExec")])
def test_a_filter_on_the_key_prunes_partitions_of_each(kept: str, name: str) -> None:
    all_days, expected = months(sf.Session(threads=2), kept)
    first, last = datetime.date(2025, 2, 20), datetime.date(2025, 3, 4)
    few = all_days.filter((sf.col("k") >= first) & (sf.col("k") <= last))
    plan = few.explain()
    assert [plan.count(f"{name}: partitions=2, read={n}") for n in (0, 1, 2)] == [1, 2, 0], plan
    assert few.count() == ((expected["k"] >= first) & (expected["k"] <= last)).sum()
    assert moves(few.groupby("k").count()) == []


def test_ranges_that_do_not_follow_are_a_union() -> None:
    session = sf.Session(threads=4)

    def indexed(*keys: int | None) -> sf.Dataset:
        return session.from_pydict({"k": list(keys)}).with_columns(k=sf.col("k").cast("int64")).set_index("k").persist()

    for parts in (
        [indexed(5, 6), indexed(1, 2)],
        [indexed(1, 5), indexed(3, 9)],
        [indexed(1, None), indexed(2, 3)],
        [indexed(1, None), indexed(2, None)],
        [session.from_pydict({"k": [1, 2]}), indexed(5, 6)],
    ):
        both = sf.concat(parts)
        assert both.divisions() is None
        grouped = both.groupby("k").count()
        assert "RepartitionExec" in moves(grouped)
        keys = [key for part in parts for key in part.to_pydict()["k"]]
        assert both.to_pydict()["k"] == keys
        assert grouped.count() == len(set(keys))


def test_a_value_on_both_sides_of_a_border_is_one_group() -> None:
    session = sf.Session(threads=4)
    low = session.from_pydict({"k": ["a", "b", "c"]}).set_index("k", divisions=["b"]).persist()
    high = session.from_pydict({"k": ["c", "c", "d"]}).set_index("k", divisions=["d"]).persist()
    both = sf.concat([low, high])
    assert both.divisions() == ["b", "d"]
    counts = both.groupby("k").agg(n=sf.functions.count())
    assert moves(counts) == []
    assert counts.sort("k").to_pydict() == {"k": ["a", "b", "c", "d"], "n": [1, 1, 3, 1]}


@pytest.mark.parametrize("seed", range(25))
def test_any_datasets_give_what_pandas_gives(seed: int) -> None:
    dice = random.Random(seed)
    session = sf.Session(threads=dice.choice([1, 2, 4]))
    parts, frames, start = [], [], 0
    for _ in range(dice.randrange(2, 5)):
        end = start + dice.randrange(1, 10)
        made = frame(dice, [dice.randrange(start, end) for _ in range(dice.choice([1, 3, 40]))])
        divisions = sorted({dice.randrange(start - 2, end + 2) for _ in range(dice.randrange(3))})
        indexed = session.from_pandas(made).set_index("k", divisions=divisions)
        parts.append(indexed.persist() if dice.random() < 0.5 else indexed.materialize())
        frames.append(made)
        start = end - dice.choice([0, 0, 0, 1, 2])
    both, expected = sf.concat(parts), pd.concat(frames, ignore_index=True)
    sums = both.groupby("k").agg(s=sf.col("v").sum()).sort("k")
    wanted = expected.groupby("k")["v"].sum().reset_index(name="s")
    assert sums.to_pydict() == wanted.to_dict("list"), both.explain()
    ordered = both.sort("k", "v").to_pydict()
    assert ordered == expected.sort_values(["k", "v"]).to_dict("list")
    ranks = both.with_columns(r=sf.col("v").sum().over("k")).sort("k", "v").to_pydict()["r"]
    totals = expected.assign(r=expected.groupby("k")["v"].transform("sum"))
    assert ranks == totals.sort_values(["k", "v"])["r"].tolist()
    other = session.from_pandas(wanted).set_index("k", divisions=both.divisions())
    assert both.join(other, on="k").count() == len(expected)
