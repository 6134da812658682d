"""The runtime's programs run on an engine, and their table shows every outcome."""

import os
from pathlib import Path

import psutil
import pytest

from processes import adopt_orphans, answer, child_environment
from runtime_child import perform
from runtime_table import Found, markdown, ratio, reached
from workloads import PROGRAMS, chosen
from workloads.windows import SAMPLES, rates, times

SYNC, QUEUED = chosen(["tasks_sync", "queued"])


def test_every_program_is_there() -> None:
    """The name of each is a function of its module."""
    for program in PROGRAMS:
        path = Path(__file__).parent.parent / "workloads" / f"{program.module}.py"
        assert f"def {program.name}(ray: Any, settings: Settings)" in path.read_text()


def test_rows_are_chosen_by_name() -> None:
    """And a wrong name is refused, with those that there are."""
    assert [program.name for program in chosen(["idle", "tasks_sync"])] == ["tasks_sync", "idle"]
    assert chosen([]) == list(PROGRAMS)
    with pytest.raises(ValueError, match="no row named nothing; there are tasks_sync"):
        chosen(["nothing"])


def test_samples() -> None:
    """Five, after one that warms up; of one step where a step takes longer than its window."""
    assert len(rates(lambda: 1.0, 0.0)["rate"]) == SAMPLES
    assert len(times(lambda: None)["time"]) == SAMPLES


def test_an_engine_that_is_not_there_is_a_result() -> None:
    """Its error is told."""
    settings = {"seconds": 0.1, "cores": 1, "tasks": 10}
    outcome = perform({"engine": "no_engine", "program": "tasks_sync", "settings": settings})
    assert outcome == {"error": "ModuleNotFoundError: No module named 'no_engine'"}


@pytest.mark.parametrize(
    "name",
    "tasks_clients calls_many_small put_1mb get_1mb many_objects queued cold_start transfer_1gb idle".split(),  # noqa: SIM905
)
def test_a_program_runs_on_sheaf(name: str, tmp_path: Path) -> None:
    """All its figures have samples, and no process of it is left."""
    adopt_orphans()
    request = {"engine": "sheaf", "program": name, "settings": {"seconds": 0.1, "cores": 2, "tasks": 100}}
    environment = child_environment(2, os.environ)
    found = answer("runtime_child.py", request, tmp_path, threads=2, timeout=60, environment=environment)
    assert "error" not in found
    (program,) = chosen([name])
    assert set(found["samples"]) == {figure.key for figure in program.figures}
    assert all(sample > 0 for samples in found["samples"].values() for sample in samples)
    assert psutil.Process().children(recursive=True) == []


def test_the_table_has_figures_ratio_and_goal() -> None:
    """A median, bold where the goal is reached."""
    pair = {"sheaf": Found({"rate": [1.0, 4000.0, 9000.0]}), "ray": Found({"rate": [1000.0]})}
    assert markdown([SYNC], [pair], 10).splitlines()[2:] == [
        "| tasks, one client, one after the other | 1/s | 4,000 | 1,000 | **4.00** | ≥ 3 |"
    ]


def test_a_failure_is_shown_and_explained() -> None:
    """A mark in the cell, the reason below, no ratio."""
    pair = {"sheaf": Found({"rate": [2.0]}), "ray": Found({}, "stopped | after 1 s")}
    text = markdown([SYNC], [pair], 10).splitlines()
    assert text[2] == "| tasks, one client, one after the other | 1/s | 2.00 | ✗ [1] | – | ≥ 3 |"
    assert text[-1] == "1. stopped \\| after 1 s"


def test_a_shorter_queue_is_told_and_scaled() -> None:
    """Ten times fewer tasks in the same time are ten times slower."""
    pair = {
        "sheaf": Found({"time": [10.0], "memory": [5.0]}),
        "ray": Found({"time": [10.0], "memory": [5.0]}, "stopped after 1 s", 100_000),
    }
    assert ratio(pair, QUEUED.figures[0], 1_000_000) == pytest.approx(0.1)
    text = markdown([QUEUED], [pair], 1_000_000).splitlines()
    assert text[2] == "| 1,000,000 queued tasks: until the last has ended | s | 10.0 | 10.0 [1] | 0.1 | – |"
    assert text[-1] == "1. with 100,000 tasks; with more: stopped after 1 s"


def test_a_goal_is_reached_from_its_side() -> None:
    """Rates from below, times and sizes from above."""
    idle = chosen(["idle"])[0].figures[0]
    assert reached(SYNC.figures[0], 3.0)
    assert not reached(SYNC.figures[0], 2.9)
    assert reached(idle, 0.05)
    assert not reached(idle, 0.06)
