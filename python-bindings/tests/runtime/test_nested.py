"""Tasks that start tasks: recursion, references as results, several results."""

import time
from typing import Any

import numpy as np
import pytest

import sheaf as ray

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]

DEPTH = 30


@ray.remote
def echo(value: Any) -> Any:
    return value


@ray.remote
def depth(left: int) -> int:
    return 1 + ray.get(depth.remote(left - 1)) if left else 0


def test_recursion_deeper_than_there_are_cpus() -> None:
    assert ray.get(depth.remote(DEPTH), timeout=50) == DEPTH


def test_recursion_that_branches() -> None:
    @ray.remote
    def leaves(left: int) -> int:
        return sum(ray.get([leaves.remote(left - 1) for _ in range(2)])) if left else 1

    assert ray.get(leaves.remote(4), timeout=50) == 16


def test_a_task_with_many_children() -> None:
    @ray.remote
    def parent(number: int) -> list[int]:
        return ray.get([echo.remote(number + child) for child in range(50)])

    found = ray.get([parent.remote(number) for number in (0, 100, 200)], timeout=50)
    assert found == [list(range(number, number + 50)) for number in (0, 100, 200)]


def test_a_task_that_waits_lends_its_cpus() -> None:
    @ray.remote(num_cpus=2)
    def whole(left: int) -> int:
        if not left:
            return 0
        [ready], _ = ray.wait([whole.remote(left - 1)])
        return 1 + ray.get(ready)

    assert ray.get(whole.remote(3), timeout=50) == 3


def test_results_are_references() -> None:
    @ray.remote
    def start(value: Any) -> Any:
        return echo.remote(value)

    @ray.remote
    def start_many() -> list[Any]:
        return [echo.remote(number) for number in range(3)]

    inner = ray.get(start.remote(5))
    assert isinstance(inner, ray.ObjectRef)
    assert ray.get(inner) == 5
    assert ray.get(ray.get(start_many.remote())) == [0, 1, 2]
    # A reference to a reference is one level less at each task.
    assert ray.get(ray.get(echo.remote(start.remote(6)))) == 6
    [innermost] = ray.get(ray.get(start.remote([start.remote(7)])))
    assert ray.get(ray.get(innermost)) == 7


def test_a_result_that_is_not_there_yet_can_be_passed_on() -> None:
    @ray.remote
    def late() -> str:
        time.sleep(0.5)
        return "late"

    @ray.remote
    def start() -> list[Any]:
        return [late.remote()]

    [ref] = ray.get(start.remote())
    assert ray.get(echo.remote(ref), timeout=30) == "late"


def test_several_results() -> None:
    @ray.remote(num_returns=3)
    def three(count: int = 3) -> Any:
        return tuple(np.full(50_000, number) for number in range(count))

    first, second, third = three.remote()
    assert len({first, second, third}) == 3
    assert [int(array[-1]) for array in ray.get([third, first, second])] == [2, 0, 1]
    assert ray.get(echo.remote(second)).sum() == 50_000
    for count in (2, 4):
        for ref in three.remote(count):
            with pytest.raises(ValueError, match="num_returns"):
                ray.get(ref)


def test_several_results_of_a_failure() -> None:
    @ray.remote(num_returns=2)
    def fail() -> Any:
        raise KeyError("none of them")

    for ref in fail.remote():
        with pytest.raises(KeyError, match="none of them"):
            ray.get(ref)


def test_no_result() -> None:
    assert echo.options(num_returns=0).remote(1) is None


def test_some_results_are_used_and_others_dropped() -> None:
    @ray.remote(num_returns=2)
    def two(number: int) -> tuple[int, Any]:
        return number, np.zeros(100_000)

    used = [two.remote(number)[0] for number in range(20)]
    assert ray.get(used) == list(range(20))


def test_tasks_and_actors_start_each_other() -> None:
    @ray.remote
    class Counter:
        def __init__(self) -> None:
            self.count = 0

        def add(self, value: int) -> int:
            self.count += value
            return self.count

        def add_by_task(self, value: int) -> int:
            self.count += ray.get(echo.remote(value))
            return self.count

    @ray.remote
    def count_up() -> int:
        counter = Counter.remote()
        ray.get([counter.add.remote(1), counter.add_by_task.remote(2)])
        return ray.get(counter.add.remote(3))

    assert ray.get([count_up.remote(), count_up.remote()], timeout=50) == [6, 6]


def test_functions_go_as_arguments() -> None:
    @ray.remote
    def twice(function: Any, value: int) -> Any:
        return ray.get(function.remote(ray.get(function.remote(value))))

    @ray.remote
    def double(value: int) -> int:
        return 2 * value

    assert ray.get(twice.remote(double, 3), timeout=30) == 12


def test_diamonds() -> None:
    @ray.remote
    def add(first: int, second: int) -> int:
        return first + second

    ref = ray.put(1)
    for _ in range(30):
        ref = add.remote(ref, ref)
    assert ray.get(ref) == 2**30
