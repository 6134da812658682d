"""Cells of a notebook that are run again: they start nothing twice, and what they define anew is what runs."""

import logging
import sys
from types import ModuleType
from typing import Any

import pytest

import sheaf as ray

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("nothing_left", "no_runtime")]

CELL = """
@ray.remote
def version():
    return VERSION

@ray.remote
class Counter:
    def __init__(self):
        self.count = 0
    def add(self):
        self.count += STEP
        return self.count
"""


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """As IPython tells it: the shell that runs this process, or ``None``."""
    running: list[Any] = [object()]
    module = ModuleType("IPython")
    module.get_ipython = lambda: running[-1]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    return running


def test_a_repeated_init_goes_on_in_a_notebook(shell: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    env = {"env_vars": {"COLOUR": "red"}}
    first = ray.init(num_cpus=2, runtime_env=env)
    kept = ray.put("kept")
    with caplog.at_level(logging.INFO, logger="sheaf"):
        again = ray.init(num_cpus=2, runtime_env={"env_vars": {"COLOUR": "red"}})
    assert "the runtime runs already" in caplog.text
    assert again.address_info == first.address_info
    assert ray.get(kept) == "kept"
    # After an end it starts anew, and that is what the next one is compared with.
    ray.shutdown()
    ray.init(num_cpus=1)
    ray.init(num_cpus=1)
    assert ray.cluster_resources()["CPU"] == 1


def test_another_init_in_a_notebook_names_what_differs(shell: list[Any]) -> None:
    env: dict[str, Any] = {"env_vars": {"COLOUR": "red"}}
    ray.init(num_cpus=2, runtime_env=env)
    env["env_vars"]["COLOUR"] = "green"
    with pytest.raises(RuntimeError, match=r"another num_cpus, runtime_env: .*\n.*ignore_reinit_error"):
        ray.init(num_cpus=3, runtime_env=env)
    with pytest.raises(RuntimeError, match="another num_cpus, runtime_env: "):
        ray.init()
    ray.init(num_cpus=3, ignore_reinit_error=True)
    assert ray.cluster_resources()["CPU"] == 2


def test_outside_of_notebooks_a_repeated_init_is_refused(shell: list[Any]) -> None:
    # IPython is loaded there, by some library, and runs nothing.
    shell.append(None)
    ray.init(num_cpus=2)
    with pytest.raises(RuntimeError, match="init was called twice: the runtime"):
        ray.init(num_cpus=2)


def test_a_cell_that_defines_anew_is_what_runs() -> None:
    ray.init(num_cpus=1)
    # Of the main module, as what is written in cells is.
    cells: dict[str, Any] = {"__name__": "__main__", "ray": ray, "VERSION": 1, "STEP": 1}
    exec(CELL, cells)
    function, counter = cells["version"], cells["Counter"].remote()
    assert (ray.get(function.remote()), ray.get(counter.add.remote())) == (1, 1)
    cells |= {"VERSION": 2, "STEP": 10}
    exec(CELL, cells)
    newer = cells["Counter"].remote()
    assert (ray.get(cells["version"].remote()), ray.get(newer.add.remote())) == (2, 10)
    # What there was before goes on as it was.
    assert (ray.get(counter.add.remote()), ray.get(function.remote())) == (2, 1)
    again = ray.get(ray.remote(lambda counter: ray.get(counter.add.remote())).remote(counter))
    assert (again, ray.get(newer.add.remote())) == (3, 20)
