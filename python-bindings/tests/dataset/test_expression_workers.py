"""Expression functions in worker processes: in select, filter and SQL, and what becomes of workers that are lost."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pyarrow.compute as pc
import pytest

import sheaf as sf
from sheaf._functions import expression_workers

ROWS = 5_000


@pytest.fixture(scope="module", autouse=True)
def runtime() -> Iterator[None]:
    sf.init(num_cpus=2, log_to_driver=False)
    yield
    sf.shutdown()


def places(function: Any, rows: int = ROWS) -> set[int]:
    made: dict[str, list[int]] = sf.range(rows).select(function(sf.col("id")).alias("pid")).to_pydict()
    return set(made["pid"])


def test_functions_run_in_workers() -> None:
    @sf.func(return_dtype=int, compute=sf.TaskPool(1))
    def place(number: int) -> int:
        return os.getpid()

    assert len(places(place)) == 1
    assert os.getpid() not in places(place)
    assert places(place) == places(place)
    assert place(1) == os.getpid()


def test_arrays_classes_coroutines_and_objects_go_there_and_back() -> None:
    @sf.func.batch(return_dtype="int64", compute=sf.TaskPool(2))
    def doubled(numbers: Any, by: int) -> Any:
        return pc.multiply(numbers, by)

    @sf.func(return_dtype="int64", num_cpus=0.5)
    async def added(number: int, *, to: int) -> int:
        return number + to

    @sf.cls(return_dtype="int64", compute=sf.ActorPool(1))
    class Counts:
        def __init__(self, start: int) -> None:
            self.next = start

        def __call__(self, number: int) -> int:
            self.next += 1
            return self.next

    @sf.func(return_dtype=sf.object_(), compute=sf.TaskPool(1))
    def of_two(number: int) -> Any:
        return {number, "x"}

    ids = sf.col("id")
    made = sf.range(ROWS).select("id", doubled(ids, 3).alias("d"), added(ids, to=5).alias("a")).sort("id").to_pydict()
    assert made["d"] == [number * 3 for number in range(ROWS)]
    assert made["a"] == [number + 5 for number in range(ROWS)]
    # One instance counts all rows.
    assert sorted(sf.range(ROWS).select(Counts(10)(ids).alias("n")).to_pydict()["n"]) == list(range(11, 11 + ROWS))
    assert sf.range(2).select(of_two(ids).alias("s")).to_pydict() == {"s": [{0, "x"}, {1, "x"}]}
    kept = sf.range(ROWS).filter(doubled(ids, 2) > 9_990).sort("id")
    assert kept.to_pydict() == {"id": [4_996, 4_997, 4_998, 4_999]}
    sf.register_function("doubled_there", doubled)
    assert sf.sql("SELECT sum(doubled_there(id, 2)) AS s FROM ids", ids=sf.range(4)).to_pydict() == {"s": [12]}


def test_errors_are_the_functions_own() -> None:
    @sf.func(return_dtype=int, compute=sf.TaskPool(1))
    def broken(number: int) -> int:
        raise KeyError("no such number")

    with pytest.raises(sf.errors.UserFunctionError, match="raised KeyError") as told:
        sf.range(1).select(broken(sf.col("id"))).collect()
    assert isinstance(told.value.__cause__, KeyError)
    assert "in broken" in "".join(told.value.__cause__.__notes__)


def test_a_constructor_that_fails_is_told() -> None:
    @sf.cls(return_dtype="int64", compute=sf.ActorPool(1))
    class Broken:
        def __init__(self) -> None:
            raise OSError("no model")

        def __call__(self, number: int) -> int:
            return number

    with pytest.raises(sf.errors.UserFunctionError, match="raised OSError: no model"):
        sf.range(1).select(Broken()(sf.col("id"))).collect()


def test_rows_that_end_their_worker_or_hang_are_null() -> None:
    @sf.func(return_dtype=int, compute=sf.TaskPool(2), timeout=1, max_retries=0, on_error="null")
    def fragile(number: int) -> int:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 40:
            time.sleep(60)
        if number == 50:
            raise ValueError("no")
        return number

    made = sf.range(64).with_column("n", fragile(sf.col("id"))).sort("id").to_pydict()["n"]
    assert made == [None if number in (3, 40, 50) else number for number in range(64)]


def test_a_worker_that_is_lost_costs_a_try(tmp_path: Any) -> None:
    mark = tmp_path / "died"

    @sf.func(return_dtype=int, compute=sf.TaskPool(1))
    def once(number: int) -> int:
        if not mark.exists():
            mark.touch()
            os._exit(1)
        return number

    assert sorted(sf.range(100).select(once(sf.col("id")).alias("n")).to_pydict()["n"]) == list(range(100))

    @sf.func(return_dtype=int, compute=sf.TaskPool(1), max_retries=1)
    def never(number: int) -> int:
        os._exit(1)

    with pytest.raises(sf.errors.UserFunctionError, match="CallLost"):
        sf.range(1).select(never(sf.col("id"))).collect()


def test_what_no_node_has_is_said() -> None:
    @sf.func(return_dtype=int, resources={"moon": 1})
    def there(number: int) -> int:
        return number

    with pytest.raises(sf.SheafError, match="moon"):
        sf.range(1).select(there(sf.col("id"))).collect()


def test_workers_end_when_nobody_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expression_workers, "IDLE_SECONDS", 0.2)

    @sf.func(return_dtype=int, compute=sf.TaskPool(1))
    def place(number: int) -> int:
        return os.getpid()

    (first,) = places(place, 1)
    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{first}") and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert not os.path.exists(f"/proc/{first}")
    assert places(place, 1) != {first}


def test_places_are_checked() -> None:
    with pytest.raises(sf.InvalidInputError, match="compute='threads'"):
        sf.func(compute="threads")
    with pytest.raises(sf.InvalidInputError, match="timeout=0"):
        sf.func.batch(timeout=0)
