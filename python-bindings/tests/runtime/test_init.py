"""The start and the end of the runtime, and what a cluster tells of itself."""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sheaf as ray
from sheaf.exceptions import GetTimeoutError

from . import processes

pytestmark = [pytest.mark.timeout(90), pytest.mark.usefixtures("nothing_left", "no_runtime")]


@ray.remote
def echo(value: Any) -> Any:
    return value


def test_init_and_shutdown_and_init_again() -> None:
    assert not ray.is_initialized()
    for number in range(2):
        ray.init(num_cpus=2)
        assert ray.is_initialized()
        # The same function, in another runtime each time.
        assert ray.get(echo.remote(number)) == number
        ray.shutdown()
        assert not ray.is_initialized()
    ray.shutdown()


def test_the_first_use_starts_it() -> None:
    assert ray.get(echo.remote(ray.put(3))) == 3
    assert ray.is_initialized()


def test_a_second_init_is_refused_unless_that_is_fine() -> None:
    ray.init(num_cpus=2)
    kept = ray.put("kept")
    with pytest.raises(RuntimeError, match="ignore_reinit_error"):
        ray.init(num_cpus=2)
    ray.init(num_cpus=5, ignore_reinit_error=True)
    assert ray.cluster_resources()["CPU"] == 2
    assert ray.get(kept) == "kept"


def test_init_refuses_unknown_arguments() -> None:
    with pytest.raises((TypeError, RuntimeError), match="num_cpu"):
        ray.init(num_cpu=2)
    assert not ray.is_initialized()


def test_init_as_a_context() -> None:
    with ray.init(num_cpus=2):
        assert ray.get(echo.remote(1)) == 1
    assert not ray.is_initialized()


def test_resources_are_counted() -> None:
    ray.init(num_cpus=3, num_gpus=0, resources={"widget": 2})
    total = ray.cluster_resources()
    assert (total["CPU"], total["widget"]) == (3, 2)
    assert total["memory"] > 0
    [node] = ray.nodes()
    assert node["Alive"]
    assert node["Resources"]["widget"] == 2
    assert node["NodeID"] == ray.get_runtime_context().get_node_id()

    def free() -> tuple[float, float]:
        found = ray.available_resources()
        return found.get("CPU", 0), found.get("widget", 0)

    @ray.remote(num_cpus=0.5, resources={"widget": 1.5})
    class Holder:
        def ping(self) -> None:
            pass

    holder = Holder.remote()
    ray.get(holder.ping.remote())
    assert processes.becomes_true(lambda: free() == (2.5, 0.5), 10)
    waiting = echo.options(resources={"widget": 1}).remote(1)
    assert ray.wait([waiting], timeout=0.3) == ([], [waiting])
    assert ray.get(echo.options(resources={"widget": 0.5}).remote(2), timeout=30) == 2
    del holder
    assert ray.get(waiting, timeout=30) == 1
    assert processes.becomes_true(lambda: free() == (3, 2), 10)


def test_a_runtime_environment_for_all() -> None:
    ray.init(num_cpus=2, runtime_env={"env_vars": {"SHEAF_TEST_COLOUR": "red"}})

    @ray.remote
    def variable() -> str | None:
        return os.environ.get("SHEAF_TEST_COLOUR")

    green = {"env_vars": {"SHEAF_TEST_COLOUR": "green"}}
    assert ray.get([variable.remote(), variable.options(runtime_env=green).remote()]) == ["red", "green"]


def test_a_namespace_of_the_program() -> None:
    ray.init(num_cpus=2, namespace="mine")

    @ray.remote
    class Named:
        def namespace(self) -> str:
            return ray.get_runtime_context().namespace

    named = Named.options(name="n").remote()
    assert ray.get(named.namespace.remote()) == ray.get_runtime_context().namespace == "mine"
    assert ray.get_actor("n", namespace="mine") == named
    with pytest.raises(ValueError, match="'n'"):
        ray.get_actor("n", namespace="elsewhere")


def test_workers_import_what_the_driver_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_the_driver.py").write_text("VALUE = 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    ray.init(num_cpus=2, runtime_env={"env_vars": {"PYTHONPATH": str(tmp_path)}})

    @ray.remote
    def value() -> int:
        import beside_the_driver

        return beside_the_driver.VALUE

    assert ray.get(value.remote()) == 7


def test_shutdown_ends_all_that_runs() -> None:
    ray.init(num_cpus=2)

    @ray.remote
    def forever() -> None:
        threading.Event().wait()

    @ray.remote
    class Holder:
        def pid(self) -> int:
            return os.getpid()

    holder = Holder.remote()
    ray.get(holder.pid.remote())
    refs = [forever.remote() for _ in range(10)]
    with pytest.raises(GetTimeoutError):
        ray.get(refs[0], timeout=0.3)
    workers = processes.descendants()
    assert len(workers) > 2
    ray.shutdown()
    assert processes.becomes_true(lambda: not processes.alive(workers), 5)


def test_the_end_of_a_program_ends_its_runtime() -> None:
    code = """
import os, sys
import sheaf as ray
ray.init(num_cpus=2)
print(*ray.get([ray.remote(lambda: os.getpid()).remote() for _ in range(4)]))
sys.exit(3)
"""
    done = processes.run_driver(code)
    assert done.returncode == 3, done.stderr
    pids = {int(pid) for pid in done.stdout.split()}
    assert pids
    assert processes.becomes_true(lambda: not processes.running(pids), 5)


def test_a_program_that_is_interrupted_ends() -> None:
    code = """
import threading
import sheaf as ray
ray.init(num_cpus=2)
ref = ray.remote(lambda: threading.Event().wait()).remote()
print("waits", flush=True)
ray.get(ref)
"""
    with processes.started_driver(code) as child:
        assert child.stdout is not None
        assert processes.read_until(child.stdout, "waits")
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=30) != 0


def test_the_python_of_workers_is_that_of_the_driver() -> None:
    ray.init(num_cpus=2)
    assert ray.get(ray.remote(lambda: sys.version_info[:3]).remote()) == sys.version_info[:3]


def test_system_config_is_mapped_or_told(tmp_path: Path) -> None:
    config = json.dumps({"type": "filesystem", "params": {"directory_path": [str(tmp_path)]}})
    with pytest.warns(UserWarning, match="_system_config of max_io_workers$"):
        ray.init(
            num_cpus=1,
            object_store_memory=20_000_000,
            _system_config={"object_spilling_config": config, "max_io_workers": 4},
        )
    # More than the store holds.
    refs = [ray.put(np.full(8_000_000, value, np.uint8)) for value in range(4)]
    assert [int(ray.get(ref)[-1]) for ref in refs] == [0, 1, 2, 3]
    spilled = [target for _, target in processes.open_files() if target.startswith(str(tmp_path))]
    assert spilled
    ray.shutdown()
    with pytest.raises(ValueError, match="object_spilling_config"):
        ray.init(num_cpus=1, _system_config={"object_spilling_config": '{"type": "ray_storage"}'})
    assert not ray.is_initialized()
