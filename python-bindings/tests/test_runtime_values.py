"""Values and errors of tasks as bytes and back, without a runtime."""

import pickle
import threading

import pyarrow as pa
import pytest

from sheaf._runtime import context, serialization
from sheaf._runtime.failures import RAISED
from sheaf.exceptions import ActorDiedError, ObjectLostError, TaskError, UnserializableException, WorkerCrashedError


class WithArguments(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")
        self.b = b


class WithSlots(Exception):
    __slots__ = ("slot",)


def sent(error: BaseException, **options: object) -> tuple[int, bytes, list[object]]:
    try:
        raise error
    except BaseException as raised:
        return RAISED, serialization.dump_error(raised, "f", **options), []


def test_errors_are_of_their_cause_and_of_ours() -> None:
    errors = [ValueError("x"), KeyError("k"), FileNotFoundError(2, "gone", "file"), WithArguments(1, 2), WithSlots()]
    errors += [UnicodeDecodeError("utf8", b"a", 0, 1, "why"), ExceptionGroup("two", [ValueError(1)]), StopIteration(3)]
    for error in errors:
        with pytest.raises(type(error)) as caught:
            serialization.load(sent(error))
        assert isinstance(caught.value, TaskError)
        assert type(caught.value.cause) is type(error)
        assert str(caught.value).startswith("f() (pid=")
        again = pickle.loads(pickle.dumps(caught.value))
        assert isinstance(again, TaskError)
        assert isinstance(again, type(error))


def test_attributes_of_the_cause_are_kept() -> None:
    with pytest.raises(WithArguments) as caught:
        serialization.load(sent(WithArguments(1, 2)))
    assert caught.value.b == 2
    with pytest.raises(OSError, match="gone") as failed:
        serialization.load(sent(FileNotFoundError(2, "gone", "file")))
    assert failed.value.errno == 2
    assert failed.value.filename == "file"


def test_what_ends_a_process_is_a_task_error_alone() -> None:
    with pytest.raises(TaskError) as caught:
        serialization.load(sent(SystemExit(3)))
    assert not isinstance(caught.value, SystemExit)


def test_an_error_that_cannot_be_pickled_keeps_its_traceback() -> None:
    error = ValueError("with a lock")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(TaskError, match="with a lock") as caught:
        serialization.load(sent(error))
    assert isinstance(caught.value.cause, UnserializableException)


def test_an_error_of_an_argument_has_the_first_cause() -> None:
    with pytest.raises(ZeroDivisionError) as first:
        serialization.load(sent(ZeroDivisionError("zero")))
    with pytest.raises(ZeroDivisionError) as second:
        serialization.load(sent(first.value))
    assert type(second.value.cause) is ZeroDivisionError


def test_reports_of_the_runtime() -> None:
    for status, kind in ((2, WorkerCrashedError), (3, ActorDiedError), (5, ObjectLostError)):
        with pytest.raises(kind, match="why"):
            serialization.load((status, "why", []))
    with pytest.raises(ActorDiedError, match="odd") as caught:
        serialization.load(sent(ValueError("odd"), in_constructor=True))
    assert caught.value.actor_init_failed


def test_buffers_stay_out_of_band() -> None:
    for value in (b"x" * 100_000, pa.table({"a": range(100_000)})):
        packed = serialization.dumps(value)
        assert len(packed.data) < 5000
        assert serialization.load((0, packed.data, packed.buffers)) == value


def test_slices_take_their_rows_alone() -> None:
    table = pa.table({"a": range(100_000), "s": ["x"] * 100_000})
    column = table["a"]
    for value in (table[10:12], table.to_batches()[0][3:5], column[3:9], column.chunk(0)[5:8], table[0:0]):
        packed = serialization.dumps([value])
        assert len(packed.data) + sum(buffer.nbytes for buffer in packed.buffers) < 5000
        [back] = serialization.load((0, packed.data, packed.buffers))
        assert type(back) is type(value)
        assert back.equals(value)


def test_terms_say_what_is_tried_again() -> None:
    some = context.terms_of(context.Terms(job_id="1", namespace="n", retry_exceptions=(OSError,)).dumps())
    assert some.wants_retry(FileNotFoundError())
    assert not some.wants_retry(ValueError())
    assert not context.Terms(job_id="1", namespace="n").wants_retry(OSError())
