"""Functions and classes of the user's as expressions: `func`, `func.batch`, `cls`, and their names in SQL."""

import asyncio
import threading
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import sheaf as sf


@sf.func(return_dtype="int64")
def plus(number: int | None, other: int = 1) -> int | None:
    return None if number is None else number + other


@sf.func.batch(return_dtype="float64")
def halved(numbers: pa.Array) -> pa.Array:
    assert isinstance(numbers, pa.Array)
    return pc.divide(numbers.cast("float64"), 2.0)


def numbers() -> sf.Dataset:
    return sf.from_pydict({"n": [1, None, 3], "m": [10, 20, 30]})


def test_rows_go_in_as_values_and_come_out_as_a_column() -> None:
    data = numbers()
    assert data.select(plus(sf.col("n")).alias("p")).to_pydict() == {"p": [2, None, 4]}
    assert data.with_column("p", plus(sf.col("n"), sf.col("m"))).to_pydict()["p"] == [11, None, 33]
    assert data.select(plus(other=sf.col("m"), number=5).alias("p")).to_pydict() == {"p": [15, 25, 35]}
    assert data.filter(plus(sf.col("n")) == 4).to_pydict() == {"n": [3], "m": [30]}
    assert data.select(plus(plus(sf.col("m")) * 2, 3).alias("p")).to_pydict() == {"p": [25, 45, 65]}
    assert data.groupby().agg(s=plus(sf.col("n")).sum()).to_pydict() == {"s": [6]}
    assert data.limit(0).select(plus(sf.col("n")).alias("p")).to_pydict() == {"p": []}


def test_without_expressions_it_is_the_function() -> None:
    assert plus(1) == 2
    assert plus(1, other=5) == 6


@pytest.mark.parametrize(
    "give", [lambda a: a, lambda a: a.to_numpy(), lambda a: pd.Series(a.to_numpy()), lambda a: a.to_pylist()]
)
def test_batches_may_be_returned_in_any_form(give: Any) -> None:
    function = sf.func.batch(lambda array: give(pc.add(array, 1)), return_dtype="int32")
    table = sf.range(70_000).select(function(sf.col("id")).alias("x")).to_arrow()
    assert table.schema.field("x").type == pa.int32()
    assert sorted(table["x"].to_pylist()) == list(range(1, 70_001))


def test_they_match_a_loop_over_several_partitions() -> None:
    random = np.random.default_rng(7)
    values = [None if random.random() < 0.1 else int(random.integers(-100, 100)) for _ in range(20_000)]
    data = sf.from_pydict({"v": values, "i": list(range(20_000))})
    table = data.select("i", plus(sf.col("v"), 7).alias("p"), halved(sf.col("v")).alias("h")).sort("i").to_arrow()
    assert table["p"].to_pylist() == [None if v is None else v + 7 for v in values]
    assert table["h"].to_pylist() == [None if v is None else v / 2 for v in values]


def test_sql_calls_them_by_name() -> None:
    with sf.Session() as session:
        session.register_function("plus", plus)
        session.register_function("halved", halved)
        found = session.sql(
            "SELECT plus(n, m) AS p, halved(m) AS h FROM t WHERE plus(n, 0) IS NOT NULL ORDER BY p",
            t=session.from_pydict({"n": [1, None, 3], "m": [10, 20, 30]}),
        )
        assert found.to_pydict() == {"p": [11, 33], "h": [5.0, 15.0]}
        session.register_function("plus", sf.func(lambda n: n * 100, return_dtype=int))
        assert session.sql("SELECT plus(2) AS p").to_pydict() == {"p": [200]}, "one of the user's is replaced"
        with pytest.raises(sf.ExistsError, match="upper"):
            session.register_function("upper", plus)


def test_coroutines_of_a_batch_are_under_way_at_once() -> None:
    together = asyncio.Barrier(5)

    @sf.func(return_dtype=int)
    async def waits(number: int) -> int:
        await asyncio.wait_for(together.wait(), 30)
        return number * 2

    with sf.Session(threads=1) as session:
        assert session.range(5).select(waits(sf.col("id")).alias("x")).to_pydict() == {"x": [0, 2, 4, 6, 8]}


def test_annotations_say_the_type() -> None:
    @sf.func
    def shout(text: str) -> str:
        return text.upper()

    assert sf.from_pydict({"t": ["a"]}).select(shout(sf.col("t")).alias("s")).to_pydict() == {"s": ["A"]}
    with pytest.raises(sf.InvalidInputError, match="is not known"):
        sf.func(lambda x: x)
    with pytest.raises(TypeError, match="there is no argument 'retries'"):
        sf.func.batch(retries=3)  # type: ignore[call-arg]


def test_an_error_is_the_functions_own() -> None:
    @sf.func(return_dtype=int)
    def boom(_: int) -> int:
        raise KeyError("nothing")

    with pytest.raises(sf.UserFunctionError, match="boom") as raised:
        sf.range(3).select(boom(sf.col("id"))).to_arrow()
    assert isinstance(raised.value.__cause__, KeyError)
    short = sf.func.batch(lambda array: array.slice(1), return_dtype="int64")
    with pytest.raises(sf.TypeMismatchError, match="returned 2 values"):
        sf.range(3).filter(short(sf.col("id")) > 0).limit(9).to_arrow()
    wrong = sf.func(lambda _: "text", return_dtype=int)
    with pytest.raises(sf.UserFunctionError):
        sf.range(3).select(wrong(sf.col("id"))).to_arrow()


def test_what_is_not_deterministic_is_called_for_each_call() -> None:
    calls: list[int] = []

    @sf.func(return_dtype=int, deterministic=False)
    def ticket(_: int) -> int:
        calls.append(1)
        return len(calls)

    with sf.Session(threads=1) as session:
        table = session.range(3).select(ticket(sf.col("id")).alias("a"), ticket(sf.col("id")).alias("b")).to_pydict()
    assert sorted(table["a"] + table["b"]) == [1, 2, 3, 4, 5, 6]


def test_instances_are_made_once_and_used_by_one_thread_at_a_time() -> None:
    made: list[Any] = []

    @sf.cls
    class Model:
        def __init__(self, weight: int, *, bias: int) -> None:
            made.append(self)
            self.weight, self.bias, self.busy = weight, bias, threading.Lock()

        def scaled(self, number: int) -> int:
            return number * self.weight

        @sf.func(return_dtype=int)
        def predict(self, number: int) -> int:
            assert self.busy.acquire(blocking=False)
            result = self.scaled(number) + self.bias
            self.busy.release()
            return result

        @sf.func.batch(return_dtype="int64")
        def predict_all(self, numbers: pa.Array, extra: int = 0) -> pa.Array:
            return pc.add(pc.multiply(numbers, self.weight), self.bias + extra)

    model = Model(3, bias=1)
    assert made == [], "not before it is needed"
    rows = sf.range(20_000).select(
        model.predict(sf.col("id")).alias("a"), model.predict_all(sf.col("id"), extra=1).alias("b")
    )
    table = rows.sort("a").to_arrow()
    assert table["a"].to_pylist() == [3 * n + 1 for n in range(20_000)]
    assert table["b"].to_pylist() == [3 * n + 2 for n in range(20_000)]
    assert 1 <= len(made) <= 8
    assert model.predict(2) == 7
    with pytest.raises(AttributeError, match="has no method 'scaled'"):
        _ = model.scaled
    with pytest.raises(sf.TypeMismatchError, match="are not called"):
        model(sf.col("id"))
