"""Objects: values and their references, and large values that are shared and not copied."""

import datetime
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import sheaf as ray

from . import processes

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]

LARGE_BYTES = 256_000_000
# What the documents promise of.
GIGABYTE = 1_000_000_000
# What reading a shared value may take of a process' own memory.
OWN_BYTES = 5_000_000


@dataclass
class Pair:
    first: Any
    second: Any


@ray.remote
def echo(value: Any) -> Any:
    return value


@ray.remote
def read(refs: list[Any]) -> Any:
    return ray.get(refs[0])


@pytest.mark.parametrize(
    "value",
    [
        None,
        2**100,
        -0.5,
        "ä\0",
        b"",
        (1, [2, {"three": {4}}]),
        Pair(1, Pair(2, 3)),
        datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        "text" * 100_000,
        bytes(1_000_000),
        ValueError("a value, and not raised"),
        Pair,
        range(7),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_come_back(value: Any) -> None:
    ref = ray.put(value)
    for back in (ray.get(ref), ray.get(echo.remote(ref)), ray.get(echo.remote(value))):
        assert type(back) is type(value)
        assert repr(back) == repr(value)


def test_arrays_tables_and_frames_come_back() -> None:
    for dtype in ("int8", "float32", "complex128", "bool", "datetime64[s]", "U5", "S3", "O"):
        array = np.arange(6).astype(dtype).reshape(2, 3)
        for view in (array, array.T, array[:, ::2], np.asfortranarray(array), array[:0], array[0, 0]):
            back = ray.get(echo.remote(ray.put(view)))
            np.testing.assert_array_equal(back, view, strict=True)
    table = pa.table({"n": pa.array([1, None, 3]), "s": ["a", None, "c"], "l": [[1], [], None]})
    for data in (table, table.slice(1), table.to_batches()[0], table["s"], table.schema):
        assert ray.get(echo.remote(ray.put(data))).equals(data)
    frame = pd.DataFrame({"n": [1.5, 2.5], "s": ["a", "b"]}, index=[7, 9])
    pd.testing.assert_frame_equal(ray.get(echo.remote(ray.put(frame))), frame)


def test_functions_and_classes_of_the_driver_come_back() -> None:
    offset = 3

    class Local:
        def add(self, value: int) -> int:
            return value + offset

    assert ray.get(echo.remote(ray.put(lambda value: value + offset)))(4) == 7
    assert ray.get(echo.remote(Local())).add(4) == 7
    assert isinstance(ray.get(echo.remote(Local())), Local)


def test_an_object_does_not_change_with_the_value() -> None:
    values = [1]
    array = np.zeros(1_000_000)
    refs = ray.put(values), ray.put(array)
    values.append(2)
    array[:] = 7
    assert ray.get(refs[0]) == [1]
    assert ray.get(refs[1]).sum() == 0


def test_get_of_lists() -> None:
    refs = [ray.put(number) for number in range(10)]
    assert ray.get(refs[::-1]) == list(range(10))[::-1]
    assert ray.get([refs[3], refs[3]]) == [3, 3]
    assert ray.get([]) == []


@pytest.mark.parametrize("value", [3, "text", {"a": 1}, [1, 2], None])
def test_get_of_what_is_no_reference(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        ray.get(value)


def test_put_of_a_reference_is_refused() -> None:
    with pytest.raises(TypeError, match="put"):
        ray.put(ray.put(1))


def test_references_are_names_of_objects() -> None:
    first, second = ray.put(1), ray.put(1)
    assert first != second
    assert len({first, second, first}) == 2
    assert bytes.fromhex(first.hex()) == first.binary()
    assert first.hex() in repr(first)
    back = ray.get(ray.put([first]))[0]
    assert back == first
    assert hash(back) == hash(first)
    assert ray.get(back) == 1


def test_references_in_structures_stay_references() -> None:
    ref = ray.put(5)

    @ray.remote
    def kinds(listed: list[Any], pair: Pair, given: int, **named: Any) -> list[Any]:
        inner = [listed[0], pair.second["ref"], named["other"][0]]
        return [given, *(type(value).__name__ for value in inner), *ray.get(inner), ref in listed, ray.get(ref)]

    found = ray.get(kinds.remote([ref], Pair(1, {"ref": ref}), ref, other=(ref,)))
    assert found == [5, *["ObjectRef"] * 3, 5, 5, 5, True, 5]


def test_an_object_keeps_those_in_it() -> None:
    outer = ray.put({"inner": ray.put([ray.put("innermost")])})
    # Other objects come and go meanwhile.
    ray.get([echo.remote(bytes(200_000)) for _ in range(20)])
    inner = ray.get(ray.get(outer)["inner"])
    del outer
    assert ray.get(inner[0]) == "innermost"
    assert ray.get(read.remote(inner)) == "innermost"


def test_references_that_a_task_makes_outlive_it() -> None:
    @ray.remote(max_calls=1)
    def make() -> list[Any]:
        return [ray.put(np.arange(200_000)), ray.put("small"), echo.remote("of a task")]

    array, small, of_task = ray.get(make.remote())
    assert ray.get(array)[-1] == 199_999
    assert ray.get([small, of_task], timeout=30) == ["small", "of a task"]


def test_an_actor_keeps_what_it_borrows() -> None:
    @ray.remote
    class Keeper:
        def keep(self, refs: list[Any]) -> None:
            self.refs = refs

        def read(self) -> Any:
            return ray.get(self.refs[0])

    keeper = Keeper.remote()
    ref = echo.remote(np.full(100_000, 3))
    ray.get(keeper.keep.remote([ref]))
    del ref
    ray.get([echo.remote(bytes(200_000)) for _ in range(20)])
    assert ray.get(keeper.read.remote()).sum() == 300_000


def test_references_travel_with_pickle() -> None:
    ref = ray.put("here")
    assert ray.get(pickle.loads(ray.cloudpickle.dumps(ref))) == "here"


def numbers(size: int = LARGE_BYTES) -> np.ndarray:
    return np.arange(size // 8)


def table() -> pa.Table:
    return pa.table({"n": numbers()})


def total(value: np.ndarray | pa.Table) -> int:
    """Reads every page."""
    values = value if isinstance(value, np.ndarray) else value["n"].chunk(0).to_numpy()
    return int(values[::500].sum())


def measured(refs: list[Any]) -> tuple[int, int]:
    """The sum, and by how much reading it raised the memory that is only this process'."""
    total(np.zeros(1_000))
    total(ray.get(refs[1]))
    before = processes.memory("Private")
    value = ray.get(refs[0])
    return total(value), processes.memory("Private") - before


@pytest.mark.parametrize("make", [partial(numbers, GIGABYTE), table], ids=["numbers", "table"])
def test_large_values_are_read_without_a_copy(make: Callable[[], Any]) -> None:
    value = make()
    few = value[:1_000].copy() if isinstance(value, np.ndarray) else value.take(list(range(1_000)))
    refs = [ray.put(value), ray.put(few)]
    expected = total(value)
    del value

    # What two processes have mapped belongs to neither.
    here = ray.get(refs[0])
    assert total(here) == expected
    for found, own in ray.get([ray.remote(measured).remote(refs) for _ in range(2)]):
        assert found == expected
        assert own < OWN_BYTES


def test_large_results_are_read_without_a_copy() -> None:
    ref = ray.remote(numbers).remote()
    ray.wait([ref], timeout=30)
    before = processes.memory("Anonymous")
    value = ray.get(ref)
    assert total(value) == total(numbers())
    assert processes.memory("Anonymous") - before < OWN_BYTES


def test_shared_values_are_read_only() -> None:
    ref = ray.put({"array": np.zeros(100_000)})
    for found in (ray.get(ref), ray.get(echo.remote(ref))):
        assert not found["array"].flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            found["array"][0] = 1

    @ray.remote
    def write(value: dict[str, np.ndarray]) -> None:
        value["array"][0] = 1

    with pytest.raises(ValueError, match="read-only"):
        ray.get(write.remote(ref))


def test_a_value_outlives_its_reference() -> None:
    value = ray.get(ray.put(np.arange(1_000_000)))
    ray.get([echo.remote(np.ones(1_000_000)) for _ in range(4)])
    assert value.sum() == sum(range(1_000_000))


def test_threads_share_a_driver() -> None:
    found: list[int] = []

    def work(number: int) -> None:
        for step in range(20):
            found.append(ray.get(echo.remote(ray.put(number * 100 + step))))

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=40)
    assert sorted(found) == sorted(number * 100 + step for number in range(4) for step in range(20))


def test_a_value_that_is_held_is_had_again_without_another_copy() -> None:
    ref = ray.put(np.zeros(1_000_000))
    first = ray.get(ref)
    assert np.shares_memory(first, ray.get(ref))
