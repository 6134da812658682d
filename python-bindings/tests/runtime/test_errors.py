"""What goes wrong in tasks: exceptions of user code, workers that die, values that cannot travel, time-outs."""

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sheaf as ray
from sheaf.exceptions import GetTimeoutError, RayTaskError, WorkerCrashedError

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("runtime")]


class Refused(Exception):
    """Its constructor takes other arguments than its base class keeps."""

    def __init__(self, who: str, code: int) -> None:
        super().__init__(f"{who} was refused")
        self.code = code

    def __reduce__(self) -> Any:
        return Refused, ("Ann", self.code)


class Unsendable(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class Unreadable:
    def __reduce__(self) -> Any:
        return int, ("not a number",)


@ray.remote
def fail(error: Exception) -> None:
    raise error


@ray.remote
def echo(value: Any) -> Any:
    return value


def tried(file: Path) -> int:
    """How often a task ran that adds a byte to this file each time, this one included."""
    with file.open("ab") as opened:
        opened.write(b".")
        return opened.tell()


@pytest.mark.parametrize(
    "error",
    [ValueError("text", 3), KeyError("k"), FileNotFoundError(2, "gone", "f"), Refused("Ann", 7), StopIteration(1)],
)
def test_an_exception_is_of_its_own_type_too(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        ray.get(fail.remote(error))
    assert isinstance(raised.value, RayTaskError)
    assert type(raised.value.cause) is type(error)
    assert str(raised.value.cause) == str(error)


def test_attributes_of_an_exception_are_there() -> None:
    with pytest.raises(Refused) as raised:
        ray.get(fail.remote(Refused("Ann", 7)))
    assert raised.value.code == 7
    with pytest.raises(FileNotFoundError) as lost:
        ray.get(fail.remote(FileNotFoundError(2, "gone", "f")))
    assert lost.value.cause.filename == "f"


def test_the_text_has_the_remote_traceback() -> None:
    def deepest() -> None:
        raise LookupError("deep down")

    @ray.remote
    def outermost() -> None:
        try:
            deepest()
        except LookupError as error:
            raise RuntimeError("further up") from error

    with pytest.raises(RuntimeError) as raised:
        ray.get(outermost.remote())
    text = str(raised.value)
    # The function is in both tracebacks.
    parts = ["in deepest", "LookupError: deep down", "direct cause", "in outermost", "RuntimeError: further up"]
    assert [text.rfind(part) for part in parts] == sorted({text.rfind(part) for part in parts} - {-1})
    assert f'"{__file__}"' in text


def test_an_error_passes_through_tasks() -> None:
    @ray.remote
    def middle(depth: int) -> None:
        ray.get(middle.remote(depth - 1) if depth else fail.remote(Refused("Ann", 7)))

    with pytest.raises(Refused) as raised:
        ray.get(middle.remote(3))
    assert raised.value.code == 7
    assert "in fail" in str(raised.value)


def test_a_task_does_not_run_when_its_argument_failed(tmp_path: Path) -> None:
    @ray.remote
    def touch(_: Any) -> None:
        (tmp_path / "ran").touch()

    with pytest.raises(KeyError):
        ray.get(touch.remote(touch.remote(fail.remote(KeyError("first")))))
    assert not (tmp_path / "ran").exists()


def test_one_failure_of_many_leaves_the_others() -> None:
    refs = [echo.remote(1), fail.remote(KeyError("one")), echo.remote(3)]
    with pytest.raises(KeyError):
        ray.get(refs)
    assert ray.get([refs[0], refs[2]]) == [1, 3]
    assert ray.wait(refs, num_returns=3, timeout=30)[1] == []


def test_each_get_raises() -> None:
    ref = fail.remote(KeyError("again"))
    for _ in range(2):
        with pytest.raises(KeyError, match="again"):
            ray.get(ref)
    with pytest.raises(KeyError, match="again"):
        ray.get(echo.remote(ref))


def test_the_error_travels_with_pickle() -> None:
    with pytest.raises(ValueError, match="text") as raised:
        ray.get(fail.remote(ValueError("text")))
    back = pickle.loads(ray.cloudpickle.dumps(raised.value))
    assert isinstance(back, ValueError)
    assert isinstance(back, RayTaskError)
    assert str(back) == str(raised.value)


@pytest.mark.parametrize(
    ("retried", "runs"), [(None, 1), (False, 1), (True, 3), ([OSError], 3), ([KeyError], 1), ([], 1)]
)
def test_retries_of_exceptions(tmp_path: Path, retried: Any, runs: int) -> None:
    @ray.remote
    def refuse() -> None:
        tried(tmp_path / "runs")
        raise ConnectionError("refused")

    options = {} if retried is None else {"retry_exceptions": retried}
    with pytest.raises(ConnectionError, match="refused"):
        ray.get(refuse.options(max_retries=2, **options).remote())
    assert tried(tmp_path / "runs") == runs + 1


def test_a_retry_that_succeeds(tmp_path: Path) -> None:
    @ray.remote(retry_exceptions=True)
    def third() -> int:
        if (number := tried(tmp_path / "runs")) < 3:
            raise ConnectionError("refused")
        return number

    assert ray.get(third.remote()) == 3


ENDS: dict[str, Callable[[], None]] = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "ended": lambda: os._exit(3),
    "segmentation fault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("retries", [0, 1])
def test_a_dead_worker_is_retried_and_then_an_error(tmp_path: Path, end: str, retries: int) -> None:
    die = ENDS[end]

    @ray.remote(max_retries=retries)
    def dies() -> None:
        tried(tmp_path / "runs")
        die()

    with pytest.raises(WorkerCrashedError) as raised:
        ray.get(dies.remote())
    assert not isinstance(raised.value, RayTaskError)
    assert tried(tmp_path / "runs") == retries + 2


@pytest.mark.parametrize("end", [*ENDS, "sys.exit"])
def test_a_task_whose_worker_died_once_comes_through(tmp_path: Path, end: str) -> None:
    die = ENDS.get(end, lambda: sys.exit(3))

    @ray.remote
    def dies_once() -> int:
        if (number := tried(tmp_path / "runs")) == 1:
            die()
        return number

    assert ray.get(dies_once.remote()) == 2


def test_tasks_beside_a_dead_worker_come_through(tmp_path: Path) -> None:
    @ray.remote
    def work(number: int) -> int:
        if number == 20 and tried(tmp_path / "runs") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    assert ray.get([work.remote(number) for number in range(40)]) == list(range(40))


def test_what_cannot_be_sent() -> None:
    with pytest.raises(TypeError, match="lock"):
        echo.remote(threading.Lock())
    with pytest.raises(TypeError, match="lock"):
        ray.put(threading.Lock())
    with pytest.raises(TypeError, match="lock"):
        ray.get(ray.remote(lambda: threading.Lock()).remote())
    lock = threading.Lock()
    with pytest.raises(TypeError, match="lock"):
        ray.remote(lambda: lock).remote()


def test_what_cannot_be_read() -> None:
    with pytest.raises(Exception, match="invalid literal"):
        ray.get(ray.put(Unreadable()))
    with pytest.raises(Exception, match="invalid literal"):
        ray.get(echo.remote(ray.put(Unreadable())))
    assert ray.get(echo.remote(1)) == 1


def test_an_exception_that_cannot_be_sent_still_tells() -> None:
    @ray.remote
    def refuse() -> None:
        raise Unsendable("the very text")

    with pytest.raises(RayTaskError, match="the very text"):
        ray.get(refuse.remote())


def test_a_timeout_leaves_the_task_alone() -> None:
    @ray.remote
    def late() -> str:
        time.sleep(1)
        return "done"

    ref = late.remote()
    start = time.monotonic()
    for seconds in (0, 0.1):
        with pytest.raises(GetTimeoutError) as raised:
            ray.get([echo.remote(1), ref], timeout=seconds)
        assert isinstance(raised.value, TimeoutError)
    assert time.monotonic() - start < 0.9
    assert ray.get(ref, timeout=30) == "done"
    assert ray.get(ref, timeout=0) == "done"


def test_all_errors_have_one_base() -> None:
    for name in ("RayTaskError", "WorkerCrashedError", "GetTimeoutError", "TaskCancelledError", "ObjectLostError"):
        assert issubclass(getattr(ray.exceptions, name), ray.exceptions.RayError)
    for name in ("ActorDiedError", "ActorUnavailableError"):
        assert issubclass(getattr(ray.exceptions, name), ray.exceptions.RayActorError)
