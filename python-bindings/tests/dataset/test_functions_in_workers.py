"""Functions of `map_batches` in worker processes: where they run, in what order, and what is left of them: nothing."""

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
from runtime import processes

import sheaf as sf
from sheaf._runtime import process

Columns = dict[str, Any]

pytestmark = pytest.mark.timeout(180)

GONE_SECONDS = 20


@pytest.fixture(scope="module", autouse=True)
def runtime() -> Iterator[None]:
    """Two CPUs, whatever the machine has; no worker is left after it."""
    sf.shutdown()
    sf.init(num_cpus=2)
    yield
    workers = processes.descendants()
    sf.shutdown()
    assert processes.becomes_true(lambda: not processes.alive(workers), GONE_SECONDS)


@pytest.fixture(autouse=True)
def no_worker_is_left(runtime: None) -> Iterator[None]:
    """The pool of a run ends with it."""
    yield
    gc.collect()
    assert processes.becomes_true(lambda: not workers_of(os.getpid()), GONE_SECONDS), workers_of(os.getpid())


def workers_of(driver: int) -> set[psutil.Process]:
    """Its workers: what its zygote has forked."""
    zygotes = {child.pid for child in psutil.Process(driver).children()}
    return {each for each in processes.alive(processes.descendants(driver)) if each.ppid() in zygotes}


def whoami(columns: Columns) -> Columns:
    return {"id": columns["id"], "pid": np.full(len(columns["id"]), os.getpid())}


SCHEMA = {"id": int, "pid": int}


def test_functions_run_in_so_many_processes_and_rows_keep_their_order() -> None:
    mapped = sf.range(20_000).map_batches(whoami, 500, "numpy", schema=SCHEMA, compute=sf.TaskPool(2))
    table = mapped.to_arrow()
    assert table["id"].to_pylist() == list(range(20_000))
    pids = set(table["pid"].to_pylist())
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids
    assert "workers=" in str(mapped.stats())


@pytest.mark.parametrize("batch_format", ["pyarrow", "pandas", "polars", "numpy"])
def test_formats_and_types_go_both_ways(batch_format: Any) -> None:
    table = pa.table(
        {
            "n": pa.array([1, None, 3] * 50),
            "t": pa.array(["a", None, "ccc"] * 50),
            "l": pa.array([[1], [], None] * 50),
            "b": pa.array([True, None, False] * 50),
        }
    )
    same = sf.from_arrow(table).map_batches(
        lambda batch: batch, 40, batch_format, schema=table.schema, compute=sf.TaskPool(1)
    )
    if batch_format == "numpy":
        same = same.select("n", "t", "l")
        table = table.select(["n", "t", "l"])
    assert same.to_arrow().to_pylist() == table.to_pylist()


def test_a_class_is_made_once_in_each_worker() -> None:
    class Model:
        def __init__(self, weight: int, *, bias: int) -> None:
            self.weight, self.bias, self.calls = weight, bias, 0

        def __call__(self, columns: Columns, factor: int) -> Columns:
            self.calls += 1
            return {
                "y": (columns["id"] * self.weight + self.bias) * factor,
                "calls": np.full(len(columns["id"]), self.calls),
            }

    mapped = sf.range(4_000).map_batches(
        Model,
        100,
        "numpy",
        schema={"y": int, "calls": int},
        concurrency=1,
        fn_args=[10],
        fn_constructor_args=[2],
        fn_constructor_kwargs={"bias": 1},
    )
    table = mapped.to_arrow()
    assert table["y"].to_pylist() == [(2 * n + 1) * 10 for n in range(4_000)]
    assert max(table["calls"].to_pylist()) == 40, "one instance has seen all batches"


def test_the_schema_is_seen_by_one_call_in_one_worker() -> None:
    mapped = sf.range(100).map_batches(whoami, batch_format="numpy", compute=sf.TaskPool(2))
    assert mapped.columns == ["id", "pid"]


def test_generators_and_coroutines_in_workers() -> None:
    def repeat(columns: Columns) -> Iterator[Columns]:
        for number in columns["id"].tolist():
            yield {"n": [number, number]}

    repeated = sf.range(60).map_batches(repeat, 20, "numpy", schema={"n": int}, compute=sf.TaskPool(2))
    assert repeated.to_pydict()["n"] == [n for n in range(60) for _ in range(2)]

    class Slow:
        def __init__(self) -> None:
            self.running = self.most = 0

        async def __call__(self, columns: Columns) -> Columns:
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0.05)
            self.running -= 1
            return {"id": columns["id"], "most": [self.most]}

    slow = sf.range(40).map_batches(Slow, 1, "numpy", schema={"id": int, "most": int}, concurrency=1, max_concurrency=5)
    table = slow.to_arrow()
    assert table["id"].to_pylist() == list(range(40))
    assert 1 < max(table["most"].to_pylist()) <= 5


def test_large_batches_are_views_of_shared_memory() -> None:
    def is_view(columns: Columns) -> Columns:
        return {"is_view": [not columns["id"].flags.owndata and not columns["id"].flags.writeable]}

    viewed = sf.range(1_000_000).map_batches(is_view, 250_000, "numpy", schema={"is_view": bool}, concurrency=1)
    assert viewed.to_pydict()["is_view"] == [True] * 4
    before = processes.shared_maps()
    mapped = sf.range(1_000_000).map_batches(whoami, 250_000, "numpy", schema=SCHEMA, concurrency=1).to_arrow()
    assert mapped["id"].to_pylist()[-1] == 999_999
    assert processes.shared_maps() > before, "the results are where the worker put them"
    del mapped
    gc.collect()


def test_a_pool_grows_while_there_is_work() -> None:
    def slow(columns: Columns) -> Columns:
        time.sleep(0.1)
        return whoami(columns)

    mapped = sf.range(60).map_batches(slow, 1, "numpy", schema=SCHEMA, compute=sf.ActorPool(min=1, max=2))
    assert len(set(mapped.to_arrow()["pid"].to_pylist())) == 2


def test_what_no_node_has_is_said_at_once() -> None:
    start = time.monotonic()
    for options in ({"num_gpus": 1}, {"resources": {"widget": 1}}, {"num_cpus": 64}):
        with pytest.raises(sf.UserFunctionError, match="no node has"):
            sf.range(9).map_batches(whoami, schema=SCHEMA, concurrency=2, **options).to_arrow()
    assert time.monotonic() - start < 15


def test_a_pool_that_gets_less_than_it_wants_says_so_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def slow(columns: Columns) -> Columns:
        time.sleep(0.25)
        return whoami(columns)

    with caplog.at_level(logging.WARNING, logger="sheaf"):
        mapped = sf.range(60).map_batches(slow, 1, "numpy", schema=SCHEMA, concurrency=3, num_cpus=1)
        assert len(set(mapped.to_arrow()["pid"].to_pylist())) == 2
    said = [record.getMessage() for record in caplog.records if "map_batches(" in record.getMessage()]
    assert said, "nothing was said"
    assert "2 workers are ready, and 1 more are not" in said[0]


def test_two_pools_in_one_plan_do_not_wait_for_each_other() -> None:
    once = sf.range(2_000).map_batches(whoami, 100, "numpy", schema=SCHEMA, concurrency=2)
    assert once.map_batches(whoami, 100, "numpy", schema=SCHEMA, concurrency=2).count() == 2_000


def test_a_reader_that_stops_early_ends_the_pool() -> None:
    mapped = sf.range(1_000_000).map_batches(whoami, 1_000, "numpy", schema=SCHEMA, concurrency=2)
    assert mapped.limit(5).to_arrow().num_rows == 5
    batches = mapped.iter_batches()
    next(batches)
    del batches
    gc.collect()


def test_an_error_elsewhere_ends_the_pool() -> None:
    def boom(columns: Columns) -> Columns:
        raise KeyError("elsewhere")

    mapped = sf.range(10_000).map_batches(whoami, 100, "numpy", schema=SCHEMA, concurrency=2)
    with pytest.raises(sf.UserFunctionError, match="elsewhere"):
        mapped.map_batches(boom, batch_format="numpy", schema=SCHEMA).to_arrow()


def test_the_error_of_a_worker_is_the_functions_own() -> None:
    def boom(columns: Columns) -> Columns:
        raise KeyError("no such thing")

    with pytest.raises(sf.UserFunctionError, match="raised KeyError") as raised:
        sf.range(10).map_batches(boom, schema=SCHEMA, concurrency=1).to_arrow()
    cause = raised.value.__cause__
    assert isinstance(cause, KeyError)
    assert "in boom" in "".join(cause.__notes__)


def test_a_class_that_cannot_be_made_ends_the_run_at_once() -> None:
    class Broken:
        def __init__(self) -> None:
            raise RuntimeError("no weights")

        def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
            return batch

    for on_error in ("raise", "skip"):
        with pytest.raises(sf.UserFunctionError, match="no weights"):
            sf.range(10).map_batches(Broken, schema={"id": int}, concurrency=2, on_error=on_error).to_arrow()  # type: ignore[arg-type]


INTERRUPTED = """
import sheaf as sf, time

def sleep(batch):
    print("sleeping", flush=True)
    time.sleep(600)
    return batch

try:
    sf.range(10).map_batches(sleep, schema={"id": int}, concurrency=2).to_arrow()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    input()
"""


def test_ctrl_c_ends_the_wait_and_the_workers() -> None:
    with processes.started_driver(INTERRUPTED) as driver:
        assert driver.stdout is not None
        assert processes.read_until(driver.stdout, "sleeping")
        assert workers_of(driver.pid)
        driver.send_signal(signal.SIGINT)
        start = time.monotonic()
        assert processes.read_until(driver.stdout, "interrupted")
        assert time.monotonic() - start < 10
        assert processes.becomes_true(lambda: not workers_of(driver.pid), GONE_SECONDS)


def test_environments_reach_the_workers(tmp_path: Path) -> None:
    def read(columns: Columns) -> Columns:
        return {"v": [os.environ["SHEAF_TEST_UDF"]]}

    mapped = sf.range(1).map_batches(
        read, schema={"v": "string"}, concurrency=1, runtime_env={"env_vars": {"SHEAF_TEST_UDF": "there"}}
    )
    assert mapped.to_pydict() == {"v": ["there"]}


def test_nothing_of_a_run_stays_in_the_store() -> None:
    def double(columns: Columns) -> Columns:
        return {"id": columns["id"] * 2}

    mapped = sf.range(1_000_000).map_batches(double, 100_000, "numpy", schema={"id": int}, concurrency=2)
    assert mapped.to_arrow()["id"].to_pylist()[-1] == 1_999_998
    gc.collect()
    assert processes.becomes_true(lambda: not process.client().objects(), GONE_SECONDS), process.client().objects()


IN_A_TASK = """
import sheaf as sf

@sf.remote
def nested():
    return sf.range(1_000).map_batches(lambda batch: batch, 100, schema={"id": int}, concurrency=2).count()

print(sf.get(nested.remote()))
"""


def test_a_task_may_have_a_pool() -> None:
    assert processes.run_driver(IN_A_TASK).stdout.split() == ["1000"]


LEFT_RUNNING = """
import sheaf as sf, sys, time

def slow(batch):
    time.sleep(0.05)
    return batch

mapped = sf.range(100_000).map_batches(slow, 100, schema={"id": int}, concurrency=2)
batches = mapped.iter_batches()
next(batches)
if sys.argv[1] == "shutdown":
    sf.shutdown()
    try:
        list(batches)
    except sf.UserFunctionError as error:
        print("told:", error)
    assert not sf.is_initialized(), "another runtime was started"
print("ends")
"""


@pytest.mark.parametrize("end", ["exit", "shutdown"])
def test_a_program_that_ends_in_the_middle_ends_its_workers(end: str) -> None:
    ended = processes.run_driver(LEFT_RUNNING, end)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "ends"
    assert ("told:" in ended.stdout) == (end == "shutdown")


ENDS_BEFORE_A_CALL = """
import sheaf as sf, threading
from sheaf._functions import worker

packed = worker.packed

def end_and_pack(made):
    ending = threading.Thread(target=sf.shutdown)
    ending.start()
    ending.join()
    return packed(made)

mapped = sf.range(1_000).map_batches(lambda batch: batch, 100, schema={"id": int}, concurrency=2)
assert mapped.count() == 1_000
worker.packed = end_and_pack
try:
    mapped.count()
except sf.UserFunctionError as error:
    print("told:", error)
assert not sf.is_initialized(), "another runtime was started"
"""


def test_a_call_starts_no_runtime_after_the_end_of_its_own() -> None:
    ended = processes.run_driver(ENDS_BEFORE_A_CALL)
    assert ended.returncode == 0, ended.stderr
    assert "told:" in ended.stdout


IN_ONE_PROCESS = """
import sheaf as sf

sf.init(local_mode=True)
print(sf.range(1_000).map_batches(lambda batch: batch, 100, schema={"id": int}, concurrency=2).count())
"""


def test_in_one_process_to_find_a_mistake() -> None:
    assert processes.run_driver(IN_ONE_PROCESS).stdout.split() == ["1000"]
