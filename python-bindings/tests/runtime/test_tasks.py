"""Tasks: how they are made, what they are handed, where they run."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

import sheaf as ray

from . import processes

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]

FACTOR = 3
LONG_SECONDS = 600


@ray.remote
def echo(value: Any) -> Any:
    return value


@ray.remote
def arguments(a: int, b: int = 2, *rest: int, c: int = 3, **named: int) -> tuple[Any, ...]:
    return a, b, rest, c, named


@ray.remote
def pid() -> int:
    return os.getpid()


def test_arguments() -> None:
    assert ray.get(arguments.remote(1)) == (1, 2, (), 3, {})
    assert ray.get(arguments.remote(1, 5, 6, 7, c=8, d=9)) == (1, 5, (6, 7), 8, {"d": 9})
    assert ray.get(arguments.remote(b=1, a=ray.put(4))) == (4, 1, (), 3, {})


def test_arguments_that_do_not_fit_are_refused_by_the_caller() -> None:
    for call in (lambda: arguments.remote(), lambda: echo.remote(1, 2), lambda: echo.remote(other=1)):
        with pytest.raises(TypeError, match="argument"):
            call()


def test_a_direct_call_is_refused() -> None:
    with pytest.raises(TypeError, match="remote"):
        echo(1)


def test_references_are_waited_for_and_passed_as_values() -> None:
    ref = ray.put(1)
    for _ in range(20):
        ref = echo.remote(ref)
    assert ray.get(ref) == 1
    late = echo.remote(ref)
    assert ray.get(arguments.remote(late, c=late)) == (1, 2, (), 1, {})


def test_every_way_to_make_a_task() -> None:
    assert ray.get(ray.remote(lambda: 1).remote()) == 1
    assert ray.get(ray.remote(num_cpus=1)(lambda: 2).remote()) == 2

    @ray.remote(num_returns=2)
    def pair() -> tuple[int, int]:
        return 4, 5

    assert ray.get(pair.remote()) == [4, 5]
    assert ray.get(pair.options(num_returns=1).remote()) == (4, 5)
    assert ray.get(pair.options(name="a name").remote()) == [4, 5]


@pytest.mark.parametrize(
    "options", [{"num_cpu": 1}, {"num_cpus": -1}, {"num_returns": -1}, {"max_retries": -2}, {"max_restarts": 1}]
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ray.remote(**options)(lambda: None)
    with pytest.raises(ValueError, match=next(iter(options))):
        echo.options(**options)


def test_what_a_function_sees() -> None:
    local = [1, 2]

    @ray.remote
    def seen() -> tuple[Any, ...]:
        return local, FACTOR, Path("/a").name, ray.get(echo.remote(7))

    assert ray.get(seen.remote()) == ([1, 2], 3, "a", 7)


def test_a_function_is_kept_as_it_was_at_its_first_call() -> None:
    local = [1]

    @ray.remote
    def seen() -> list[int]:
        return local

    assert ray.get(seen.remote()) == [1]
    local.append(2)
    assert ray.get(seen.remote()) == [1]


def test_arguments_are_copies() -> None:
    @ray.remote
    def changed(values: list[int]) -> list[int]:
        values.append(2)
        return values

    values = [1]
    ref = ray.put(values)
    assert ray.get([changed.remote(values), changed.remote(ref), changed.remote(ref)]) == [[1, 2]] * 3
    assert values == ray.get(ref) == [1]


def test_large_arguments_and_results() -> None:
    data = os.urandom(3_000_000)
    assert ray.get(echo.remote(data)) == data
    assert ray.get(echo.remote([data, {"again": data}])) == [data, {"again": data}]


def test_many_tasks_give_their_own_results() -> None:
    refs = [echo.remote(number) for number in range(1_000)]
    assert ray.get(refs) == list(range(1_000))
    added = ray.remote(lambda *numbers: sum(numbers)).remote(*refs)
    assert ray.get(added) == sum(range(1_000))


def test_tasks_run_at_the_same_time_in_other_processes(tmp_path: Path) -> None:
    @ray.remote
    def meet(own: str, other: str) -> int:
        (tmp_path / own).touch()
        deadline = time.monotonic() + 30
        while not (tmp_path / other).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return os.getpid() if (tmp_path / other).exists() else 0

    pids = ray.get([meet.remote("a", "b"), meet.remote("b", "a")])
    assert len({*pids, os.getpid()}) == 3
    assert 0 not in pids


def test_no_more_run_than_there_are_cpus() -> None:
    @ray.remote
    def span() -> tuple[float, float]:
        start = time.monotonic()
        time.sleep(0.05)
        return start, time.monotonic()

    def at_once(spans: list[tuple[float, float]]) -> int:
        return max(sum(start <= moment < end for start, end in spans) for moment, _ in spans)

    assert at_once(ray.get([span.remote() for _ in range(8)])) <= 2
    assert at_once(ray.get([span.options(num_cpus=2).remote() for _ in range(4)])) == 1
    assert at_once(ray.get([span.options(num_cpus=0.5).remote() for _ in range(8)])) <= 4


def test_workers_are_used_again_and_end_after_max_calls() -> None:
    assert len(set(ray.get([pid.remote() for _ in range(30)]))) < 15

    @ray.remote(max_calls=1)
    def once() -> int:
        return os.getpid()

    pids = [ray.get(once.remote()) for _ in range(4)]
    assert len(set(pids)) == 4


def test_a_task_knows_what_it_is() -> None:
    @ray.remote
    def context() -> tuple[Any, ...]:
        found = ray.get_runtime_context()
        return found.get_task_id(), found.get_job_id(), found.get_node_id(), found.get_actor_id()

    (first, job, node, actor), (second, *same) = ray.get([context.remote(), context.remote()])
    assert first != second
    assert [job, node, actor] == same
    assert actor is None
    here = ray.get_runtime_context()
    assert (here.get_job_id(), here.get_node_id()) == (job, node)


def test_environment_variables_of_a_task_do_not_leak() -> None:
    @ray.remote
    def variable() -> str | None:
        return os.environ.get("SHEAF_TEST_COLOUR")

    red = variable.options(runtime_env={"env_vars": {"SHEAF_TEST_COLOUR": "red"}})
    assert ray.get([red.remote(), red.remote()]) == ["red", "red"]
    assert ray.get([variable.remote() for _ in range(4)]) == [None] * 4
    assert "SHEAF_TEST_COLOUR" not in os.environ


def test_a_blocked_worker_does_not_block_the_others() -> None:
    @ray.remote
    def forever() -> None:
        time.sleep(LONG_SECONDS)

    blocked = forever.remote()
    assert ray.get([echo.remote(number) for number in range(20)], timeout=30) == list(range(20))
    ray.cancel(blocked, force=True)
    assert processes.becomes_true(lambda: ray.available_resources().get("CPU") == 2, 10)
