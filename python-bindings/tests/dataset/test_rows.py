"""Functions over rows, and what gives rows and values of Python's."""

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import sheaf as sf


def test_map_keeps_rows_in_order_over_partitions() -> None:
    doubled = sf.range(100_000).map(lambda row: {"id": row["id"], "twice": row["id"] * 2})
    assert doubled.to_pydict()["twice"] == list(range(0, 200_000, 2))


def test_functions_take_arguments_and_may_yield() -> None:
    def parts(row: dict[str, Any], times: int, *, plus: int) -> Iterator[dict[str, Any]]:
        for at in range(times):
            yield {"n": row["id"] + plus, "at": at}

    made = sf.range(2).flat_map(parts, fn_args=(2,), fn_kwargs={"plus": 10})
    assert made.to_pydict() == {"n": [10, 10, 11, 11], "at": [0, 1, 0, 1]}
    kept = sf.range(5).filter(lambda row, least: row["id"] >= least, fn_args=[3])
    assert kept.to_pydict() == {"id": [3, 4]}
    assert kept.schema == sf.range(5).schema
    with pytest.raises(sf.InvalidInputError, match="for a function"):
        sf.range(5).filter("id", fn_args=[3])


def test_rows_need_not_have_every_column() -> None:
    made = sf.range(3).map(lambda row: {"a": 1} if row["id"] == 1 else {"a": None, "b": "x"})
    assert made.to_pydict() == {"a": [None, 1, None], "b": ["x", None, "x"]}
    late = sf.range(6).map(lambda row: {"a": 1} if row["id"] < 3 else {}, batch_size=3)
    assert late.to_pydict() == {"a": [1, 1, 1, None, None, None]}


def test_no_rows() -> None:
    with pytest.raises(sf.SheafError, match="gave no row for the first batch"):
        sf.range(3).flat_map(lambda row: []).collect()
    typed = sf.range(3).flat_map(lambda row: [], schema={"a": int})
    assert typed.to_arrow().schema == pa.schema({"a": pa.int64()})
    some = sf.range(6).flat_map(lambda row: [row] if row["id"] < 2 else [], batch_size=3)
    assert some.to_pydict() == {"id": [0, 1]}
    assert sf.range(3).filter(lambda row: False).to_pydict() == {"id": []}
    assert sf.range(0).filter(lambda row: True).is_empty()


def test_numbers_are_not_cut_off_to_fit_a_schema() -> None:
    for declared, value in ((int, 1.5), (pa.list_(pa.int64()), [1, 1.5])):
        with pytest.raises(sf.errors.UserFunctionError, match="values of no one type in the column 'x'"):
            sf.range(2).map(lambda row, value=value: {"x": value}, schema={"x": declared}).collect()
    whole = sf.range(1).map(
        lambda row: {"x": 2.0, "y": 1, "z": [2.0]}, schema={"x": int, "y": float, "z": pa.list_(pa.int8())}
    )
    assert whole.to_pydict() == {"x": [2], "y": [1.0], "z": [[2]]}


def test_errors_say_which_row_and_keep_their_traceback() -> None:
    def fails_at_two(row: dict[str, Any]) -> dict[str, Any]:
        return {"x": 1 // (row["id"] - 2)}

    with pytest.raises(sf.SheafError, match=r"fails_at_two.*ZeroDivisionError") as caught:
        sf.range(5).map(fails_at_two, schema={"x": int}).collect()
    told = "".join(traceback.format_exception(caught.value))
    assert "in row 2 of its batch: {'id': 2}" in told
    assert '1 // (row["id"] - 2)' in told
    for function, message in [
        (lambda row: row["id"], "gave int for a row"),
        (lambda row: {"a": 1, "b": 2}, "the column 'b', which schema does not have"),
        (lambda row: {"a": "x"}, "no one type in the column 'a'"),
    ]:
        with pytest.raises(sf.SheafError, match=message):
            sf.range(1).map(function, schema={"a": int}).collect()  # type: ignore[arg-type, return-value]


PEOPLE = {"name": ["a", "b", None], "age": [1.0, 2.0, 6.0], "n": [3, None, 5]}


def test_rows_as_values_of_python() -> None:
    people = sf.from_pydict(PEOPLE)
    rows = [dict(zip(PEOPLE, values, strict=True)) for values in zip(*PEOPLE.values(), strict=True)]
    assert people.to_pylist() == people.take_all() == list(people.iter_rows()) == rows
    assert list(people.iter_rows(named=False)) == [tuple(row.values()) for row in rows]
    with pytest.raises(sf.InvalidInputError, match="more than 2 rows"):
        people.take_all(limit=2)
    assert people.take_all(limit=3) == rows
    assert people.num_columns == 3
    assert (people.is_empty(), people.filter(sf.col("age") > 9).is_empty()) == (False, True)
    batch = people.take_batch(2, "pandas")
    assert batch["age"].tolist() == [1.0, 2.0]
    assert people.limit(0).take_batch().num_rows == 0
    arrays = people.to_numpy()
    assert arrays["age"].tolist() == [1.0, 2.0, 6.0]
    assert np.isnan(arrays["n"][1])
    assert {name: len(array) for name, array in people.limit(0).to_numpy().items()} == dict.fromkeys(PEOPLE, 0)
    assert sf.range(100_000).size_bytes() == 800_000
    assert sum(row["id"] for row in sf.range(100_000).iter_rows()) == 4_999_950_000


def test_files_of_a_plan(tmp_path: Path) -> None:
    for name in ("b", "a"):
        sf.range(3).write_csv(f"{tmp_path}/{name}.csv")
    one, both = sf.read_csv(f"{tmp_path}/a.csv"), sf.read_csv(f"{tmp_path}/*.csv")
    names = [Path(file).name for file in one.union(both.limit(1)).join(one, on="id").input_files()]
    assert names == ["a.csv", "b.csv"]
    assert sf.range(3).input_files() == []


def test_statistics_of_columns() -> None:
    people = sf.from_pydict(PEOPLE)
    assert (people.sum("n"), people.min("name"), people.max("age"), people.mean("age")) == (8, "a", 6.0, 3.0)
    assert people.std("age") == pytest.approx(np.std(PEOPLE["age"], ddof=1))
    assert people.std("age", ddof=0) == pytest.approx(np.std(PEOPLE["age"]))
    assert people.sum("age", "n") == {"age": 9.0, "n": 8}
    assert people.limit(0).sum("n") is None
    assert set(people.unique("name")) == {"a", "b", None}
    with pytest.raises(sf.UnknownColumnError):
        people.sum("ages")
    with pytest.raises(sf.InvalidInputError, match="name the column"):
        people.sum()


def test_largest_and_smallest_rows() -> None:
    numbers = sf.range(100_000)
    assert numbers.top_k(3, by="id").to_pydict() == {"id": [99_999, 99_998, 99_997]}
    assert numbers.bottom_k(2, by=-sf.col("id")).to_pydict() == {"id": [99_999, 99_998]}
    assert "TopK" in numbers.top_k(3, by="id").explain()
