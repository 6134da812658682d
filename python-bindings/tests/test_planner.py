"""Plans whose rows the engine's own rules would get wrong; see `dataset/src/rules` and `sql/src/mend.rs`."""

import datetime as dt
import random
from pathlib import Path

import duckdb
import pytest

import sheaf as sf


@pytest.mark.parametrize("how", ["left", "right", "full", "inner"])
def test_a_filter_on_one_side_of_a_join_stays_on_it(tmp_path: Path, how: str) -> None:
    """Both sides have a `k` and a `v`: filters must not go to the other one."""
    sf.from_pydict({"k": [1, 2, 3, 4], "v": [10, 20, 30, None]}).write_parquet(tmp_path / "l.parquet")
    sf.from_pydict({"k": [3, 4, 5], "v": [35, 30, None]}).write_parquet(tmp_path / "r.parquet")
    tables = {name: sf.read_parquet(tmp_path / f"{name}.parquet") for name in "lr"}
    conditions = ["l.k IS NULL", "r.k IS NULL", "l.v IS NULL", "r.v IS NULL", "l.v > 25", "r.v > 32", "l.v = r.v"]
    with duckdb.connect() as reference:
        for name in "lr":
            reference.execute(f"CREATE VIEW {name} AS SELECT * FROM '{tmp_path / name}.parquet'")
        for condition in [*conditions, *(f"{a} AND {b}" for a in conditions for b in conditions)]:
            query = f"SELECT l.k, r.k, l.v, r.v FROM l {how} JOIN r ON l.k = r.k WHERE {condition} ORDER BY 1, 2"
            aliased = query.replace("l.k, r.k, l.v, r.v", "l.k AS a, r.k AS b, l.v AS c, r.v AS d", 1)
            found = [tuple(row.values()) for row in sf.sql(aliased, **tables).to_arrow().to_pylist()]
            assert found == reference.execute(query).fetchall(), query


def test_the_verbs_find_rows_without_a_partner(tmp_path: Path) -> None:
    sf.from_pydict({"k": [1, 2], "v": [10, 20]}).write_parquet(tmp_path / "l.parquet")
    sf.from_pydict({"k": [2, 5], "v": [35, 50]}).write_parquet(tmp_path / "r.parquet")
    left, right = sf.read_parquet(tmp_path / "l.parquet"), sf.read_parquet(tmp_path / "r.parquet")
    for how in ("right", "full"):
        lonely = left.join(right, on="k", how=how).filter(sf.col("v").is_null())
        assert lonely.to_pydict() == {"k": [5], "v": [None], "v_right": [50]}


@pytest.mark.parametrize("added", [[1, 1, 1], [2, 1, 1], [1, 2, 3], [3, 2, 1], [1] * 40])
def test_the_same_step_taken_again_is_taken_again(added: list[int]) -> None:
    numbers = sf.from_pydict({"x": [0], "y": [0]})
    for number in added:
        numbers = numbers.with_column("x", sf.col("x") + number).filter(sf.col("x") >= 0)
    assert numbers.to_pydict() == {"x": [sum(added)], "y": [0]}


def test_random_chains_of_steps() -> None:
    rng = random.Random(7)
    for _ in range(60):
        dataset, row = sf.from_pydict({"a": [1], "b": [2]}), {"a": 1, "b": 2}
        for _ in range(rng.randrange(2, 9)):
            name, step = rng.choice("ab"), rng.randrange(4)
            a, b = sf.col("a"), sf.col("b")
            if step == 0:
                dataset = dataset.with_column(name, sf.col(name) + 1)
                row[name] += 1
            elif step == 1:
                dataset = dataset.select(a=b, b=a)
                row = {"a": row["b"], "b": row["a"]}
            elif step == 2:
                dataset = dataset.select(a=b, b=a + b)
                row = {"a": row["b"], "b": row["a"] + row["b"]}
            else:
                dataset = dataset.with_columns(a=a + b, b=b)
                row["a"] += row["b"]
        assert dataset.to_pydict() == {key: [value] for key, value in row.items()}


def test_nested_steps_in_sql() -> None:
    query = "SELECT id + 1 AS id FROM ids"
    for _ in range(5):
        query = f"SELECT id + 1 AS id FROM ({query})"
    assert sf.sql(query, ids=sf.range(1)).to_pydict() == {"id": [6]}


def test_distinct_from_takes_one_operand() -> None:
    flags = sf.from_pydict({"b": [True, False, None], "n": [1, 2, 3]})
    with duckdb.connect() as reference:
        reference.execute("CREATE TABLE f AS SELECT * FROM (VALUES (true, 1), (false, 2), (NULL, 3)) AS t(b, n)")
        for condition in [
            "b IS DISTINCT FROM true AND n = 99",
            "b IS NOT DISTINCT FROM NULL OR n = 1 AND b",
            "n IS DISTINCT FROM 1 AND b IS DISTINCT FROM false OR n = 2",
            "NOT b IS DISTINCT FROM true AND n = 1",
        ]:
            query = f"SELECT n FROM f WHERE {condition} ORDER BY n"
            expected = [row[0] for row in reference.execute(query).fetchall()]
            assert sf.sql(query, f=flags).to_pydict()["n"] == expected, condition


def test_a_time_span_bounds_the_window_over_dates() -> None:
    days = sf.from_pydict({"t": [dt.date(2020, 1, 1), dt.date(2020, 1, 2), dt.date(2020, 1, 5)], "v": [1, 2, 3]})
    moments = days.with_column("t", sf.col("t").cast("timestamp[us]"))
    for table in (days, moments):
        frame = ("range", dt.timedelta(days=-1), dt.timedelta(0))
        sums = table.select("t", s=sf.col("v").sum().over(order_by="t", frame=frame))
        assert sums.sort("t").to_pydict()["s"] == [1, 3, 3]


def test_names_with_dots_are_names() -> None:
    lists = sf.from_pydict({"a.b": [[1, 2], [], None], "c": [1, 2, 3]})
    assert lists.explode("a.b").sort("c", "a.b").to_pydict() == {"a.b": [1, 2, None, None], "c": [1, 1, 2, 3]}
