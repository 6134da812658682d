"""Expression functions that fail: the run ends, the call is tried again, or the row is null."""

import random
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import sheaf as sf

ROWS = 5_000


def fails(number: int) -> bool:
    return number % 97 == 3


def expected(rows: int = ROWS) -> list[int | None]:
    return [None if fails(number) else number * 2 for number in range(rows)]


@sf.func(on_error="null")
def twice(number: int) -> int:
    if fails(number):
        raise ValueError(number)
    return number * 2


@sf.func(on_error="null")
async def twice_later(number: int) -> int:
    if fails(number):
        raise ValueError(number)
    return number * 2


@sf.func.batch(return_dtype="int64", on_error="null")
def twice_all(numbers: Any) -> Any:
    if any(map(fails, numbers.to_pylist())):
        raise ValueError("one of them")
    return pc.multiply(numbers, 2)


@sf.cls(return_dtype="int64", on_error="null")
class Twice:
    def __call__(self, number: int) -> int:
        return int(twice.function(number))


@pytest.mark.parametrize("function", [twice, twice_later, twice_all, Twice()], ids=["row", "async", "batch", "class"])
def test_exactly_the_rows_that_fail_are_null(function: Any) -> None:
    made = sf.range(ROWS).with_column("t", function(sf.col("id"))).sort("id").to_pydict()["t"]
    assert made == expected()
    kept = sf.range(ROWS).filter(function(sf.col("id")).is_null())
    assert sorted(kept.to_pydict()["id"]) == [number for number in range(ROWS) if fails(number)]


def test_sql_makes_nulls_of_them_too() -> None:
    sf.register_function("twice_or_null", twice)
    made = sf.sql("SELECT sum(twice_or_null(id)) AS s FROM ids", ids=sf.range(ROWS)).to_pydict()
    assert made == {"s": [sum(value for value in expected() if value is not None)]}


def test_values_that_are_not_of_the_type_are_failures_of_their_rows() -> None:
    @sf.func(return_dtype="int8", on_error="null")
    def wide(number: int) -> Any:
        return {0: 5, 1: 1_000, 2: "text", 3: None}[number]

    assert sf.range(4).select(wide(sf.col("id")).alias("v")).to_pydict() == {"v": [5, None, None, None]}


@pytest.mark.parametrize("seed", range(5))
def test_calls_are_tried_again_as_often_as_said(seed: int) -> None:
    chance = random.Random(seed)
    left = {number: chance.randrange(5) for number in range(200)}
    wanted = [number if tries <= 2 else None for number, tries in left.items()]

    def flaky(number: int) -> int:
        left[number] -= 1
        if left[number] >= 0:
            raise ConnectionError(number)
        return number

    told = sf.func(flaky, return_dtype=int, on_error="null", max_retries=2, retry_on=ConnectionError)
    made = sf.range(200).with_column("v", told(sf.col("id"))).sort("id").to_pydict()["v"]
    assert made == wanted


def test_errors_that_are_not_worth_it_are_raised_at_once() -> None:
    calls = []

    @sf.func(max_retries=5, retry_on=(ConnectionError,))
    def broken(number: int) -> int:
        calls.append(number)
        raise ValueError("no use")

    with pytest.raises(sf.errors.UserFunctionError, match="no use"):
        sf.range(1).select(broken(sf.col("id"))).collect()
    assert calls == [0]


def test_a_wrong_number_of_values_is_a_defect_and_no_failure() -> None:
    @sf.func.batch(return_dtype="int64", on_error="null")
    def one(numbers: Any) -> Any:
        return pa.array([1])

    with pytest.raises(sf.SheafError, match="1 values for 3 rows"):
        sf.range(3).select(one(sf.col("id"))).collect()


def test_arguments_are_checked() -> None:
    with pytest.raises(sf.InvalidInputError, match="no row can be skipped"):
        sf.func(on_error="skip")
    with pytest.raises(sf.InvalidInputError, match="no on_error='ignore'"):
        sf.func(on_error="ignore")  # type: ignore[call-arg]
    with pytest.raises(sf.InvalidInputError, match="max_retries=-1"):
        sf.func.batch(max_retries=-1)


def test_no_rows_and_nulls() -> None:
    assert sf.range(0).select(twice_all(sf.col("id")).alias("v")).to_pydict() == {"v": []}
    made = sf.from_pydict({"id": [None, 1]}).select(twice(sf.col("id")).alias("v"))
    assert made.to_pydict() == {"v": [None, 2]}
