"""``func`` and ``cls``: functions and classes of the user's whose calls on columns are expressions."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypedDict, Unpack, overload

import pyarrow as pa

from sheaf import _formats, _objects
from sheaf._functions.expression_workers import CallLost, Place, Workers
from sheaf._functions.failures import RAISED, Failures
from sheaf._sheaf import Expr, UserFunction
from sheaf.compute import Compute
from sheaf.errors import InvalidInputError, TypeMismatchError
from sheaf.types import DataType

# Calls of a coroutine function that are under way at once for a batch.
_AT_ONCE = 64


@dataclass(frozen=True)
class Function:
    """A function whose call on expressions is an expression, and on values its own result; ``func`` makes it."""

    function: Callable[..., Any]
    return_dtype: pa.DataType
    is_batch: bool
    deterministic: bool
    failures: Failures = RAISED
    instances: Instances | None = None
    """Where the function is a method, the instances that it is called on."""
    workers: Workers | None = field(default=None, compare=False)
    """Where its calls on columns run, unless on the engine's threads."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The expression of the call, where an argument is one; otherwise what the function returns."""
        columns: list[Expr] = []

        def place(value: Any) -> Any:
            if not isinstance(value, Expr):
                return value
            columns.append(value)
            return _Column(len(columns) - 1)

        placed = _Arguments([place(value) for value in args], {name: place(value) for name, value in kwargs.items()})
        if not columns:
            with self._callable() as function:
                return function(*args, **kwargs)
        return self.of_columns(placed)(columns)

    def placed(self, place: Place | None) -> Function:
        """The same, whose calls run there."""
        workers = None if place is None else Workers(place, replace(self, workers=None))
        return replace(self, workers=workers)

    def bound(self, instances: Instances) -> Function:
        """The method of these instances; workers make their own."""
        method = replace(self, instances=instances)
        return method if self.workers is None else method.placed(self.workers.place)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The method of an instance, which other methods of it may call."""
        return self if instance is None else functools.partial(self.function, instance)

    def of_columns(self, arguments: _Arguments | None = None) -> UserFunction:
        """The function as the engine calls it: all of its arguments are columns, or those that stand for one."""
        call = _Call(self, arguments)
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return UserFunction(name, call, pa.field(name, self.return_dtype), self.deterministic)

    def of_arrays(self, arguments: _Arguments, columns: list[pa.Array], rows: int) -> pa.Array:
        """What the function makes of columns, in this process."""
        failures, wanted = self.failures, self.return_dtype
        with self._callable() as function:
            if self.is_batch:

                def made(columns: list[pa.Array]) -> pa.Array:
                    listed, named = arguments.of(columns)
                    return self._array(function(*listed, **named))

                return failures.of_batch(made, columns, rows, wanted)
            values = [column.to_pylist() for column in columns]
            calls = (arguments.of(row) for row in (zip(*values, strict=True) if values else [()] * rows))
            if inspect.iscoroutinefunction(self.function):
                results = asyncio.run(_all_of(failures.of_coroutine(function), calls))
            else:
                called = failures.of_row(function)
                results = [called(*listed, **named) for listed, named in calls]
            return failures.of_values(self._array, results)

    def _array(self, made: Any) -> pa.Array:
        """What was returned as an array of the type that was declared."""
        wanted = self.return_dtype
        if _objects.is_object(wanted) and getattr(made, "type", None) != wanted:
            return _objects.column(list(made))
        if isinstance(made, list):
            return pa.array(made, type=wanted)
        if hasattr(made, "__arrow_c_stream__") or hasattr(made, "__arrow_c_array__"):
            column = pa.chunked_array(made) if hasattr(made, "__arrow_c_stream__") else pa.array(made)
        else:
            column = _formats.column_from(made)
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        return column if column.type == wanted else column.cast(wanted)

    @contextmanager
    def _callable(self) -> Iterator[Callable[..., Any]]:
        if self.instances is None:
            yield self.function
        else:
            with self.instances.one() as instance:
                yield functools.partial(self.function, instance)


@dataclass(frozen=True)
class _Column:
    """Stands for a column among the arguments."""

    index: int


@dataclass(frozen=True)
class _Arguments:
    """The arguments of a call, some of which stand for columns."""

    listed: Sequence[Any]
    named: Mapping[str, Any]

    def of(self, values: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments with these values of the columns."""

        def filled(value: Any) -> Any:
            return values[value.index] if isinstance(value, _Column) else value

        return [filled(value) for value in self.listed], {name: filled(each) for name, each in self.named.items()}


@dataclass(frozen=True)
class _Call:
    """What the engine calls: from arrays to an array."""

    of: Function
    arguments: _Arguments | None

    def __call__(self, columns: list[pa.Array], rows: int) -> pa.Array:
        arguments = self.arguments or _Arguments([_Column(index) for index in range(len(columns))], {})
        workers = self.of.workers
        if workers is None:
            return self.of.of_arrays(arguments, columns, rows)

        def made(columns: list[pa.Array]) -> pa.Array:
            return workers.call(arguments, columns, len(columns[0]) if columns else rows)

        # Only calls that are lost fail here: what the function raised was seen to in the worker.
        lost = replace(self.of.failures, retry_on=(CallLost,), nulls=(CallLost,))
        return lost.of_batch(made, columns, rows, self.of.return_dtype)


async def _all_of(function: Callable[..., Any], calls: Iterator[tuple[list[Any], dict[str, Any]]]) -> list[Any]:
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(listed: list[Any], named: dict[str, Any]) -> Any:
        async with free:
            return await function(*listed, **named)

    return list(await asyncio.gather(*(one(listed, named) for listed, named in calls)))


class CallOptions(TypedDict, total=False):
    """What ``func``, ``func.batch`` and ``cls`` take; ``func`` says what each means."""

    return_dtype: DataType | None
    deterministic: bool
    on_error: Literal["raise", "null"]
    max_retries: int
    retry_on: type[Exception] | Sequence[type[Exception]]
    compute: Compute | None
    timeout: float | None
    num_cpus: float | None
    num_gpus: float | None
    resources: Mapping[str, float] | None
    runtime_env: Mapping[str, Any] | None


@dataclass(frozen=True)
class _Calls:
    """How a user wants a function to be called."""

    return_dtype: DataType | None
    deterministic: bool
    failures: Failures
    place: Place | None

    @classmethod
    def of(cls, options: CallOptions) -> _Calls:
        """What the options say, checked."""
        rest: dict[str, Any] = dict(options)
        if unknown := [name for name in rest if name not in CallOptions.__annotations__]:
            raise TypeError(f"there is no argument {unknown[0]!r}")
        return_dtype, deterministic = rest.pop("return_dtype", None), rest.pop("deterministic", True)
        named = {name: rest.pop(name) for name in ("on_error", "max_retries", "retry_on") if name in rest}
        return cls(return_dtype, deterministic, Failures.of(**named), Place.of(**rest))

    def of_function(self, decorated: Callable[..., Any], *, is_batch: bool) -> Function:
        """The function of these calls."""
        returned = _type_of(decorated, self.return_dtype)
        return Function(decorated, returned, is_batch, self.deterministic, self.failures).placed(self.place)


class _Func:
    """The decorator of functions of values; ``batch`` is the one of functions of arrays.

    >>> import sheaf as sf
    >>> @sf.func
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> sf.range(2).select(double(sf.col("id")).alias("twice")).to_pydict()
    {'twice': [0, 2]}
    """

    def __call__(self, function: Callable[..., Any] | None = None, /, **options: Unpack[CallOptions]) -> Any:
        """Let the calls of a function of values be expressions: it is called for each row, with ``None`` for null.

        Args:
            function: The function, where the decorator has no arguments; it may be a coroutine function.
            return_dtype: The type that it returns; by default what its annotation says.
            deterministic: Whether it returns the same for the same values, so that it need not be called again.
            on_error: What becomes of rows at which it fails: ``"raise"`` ends the run, ``"null"`` makes a null of each.
            max_retries: How often a call is tried again that raised one of ``retry_on``, or whose worker was lost.
            retry_on: Types of exceptions that are worth another try.
            compute: ``TaskPool(size)`` or ``ActorPool(size)``, to run in worker processes, as many calls at once as the
                engine has threads. They start with the first call, and end ten seconds after the last.
            timeout: Seconds that a call of a worker for a batch may take: then the worker is stopped, and the batch
                tried again; with ``on_error="null"`` it is halved then, until the rows are found.
            num_cpus: CPUs that each worker reserves; with any of these the function runs in workers.
            num_gpus: GPUs, or parts of one, that each worker reserves.
            resources: Other resources that each worker reserves.
            runtime_env: The environment of the workers.

        >>> import sheaf as sf
        >>> @sf.func
        ... def shout(text: str, marks: int = 1) -> str:
        ...     return text.upper() + "!" * marks
        >>> sf.from_pydict({"t": ["a", "b"]}).select(shout(sf.col("t"), marks=2).alias("s")).to_pydict()
        {'s': ['A!!', 'B!!']}
        >>> shout("c")
        'C!'
        >>> @sf.func(on_error="null")
        ... def inverse(number: int) -> float:
        ...     return 1 / number
        >>> sf.range(3).select(inverse(sf.col("id")).alias("i")).to_pydict()
        {'i': [None, 1.0, 0.5]}
        """
        calls = _Calls.of(options)
        decorate = functools.partial(calls.of_function, is_batch=False)
        return decorate if function is None else decorate(function)

    def batch(self, function: Callable[..., Any] | None = None, /, **options: Unpack[CallOptions]) -> Any:
        """Let the calls of a function of ``pyarrow.Array``s be expressions: it returns an array, of PyArrow, NumPy or
        pandas, or a list, of as many values.

        Args:
            function: The function, where the decorator has no arguments.
            options: As of ``func``. With ``on_error="null"``, arrays at which it fails are halved until the rows are
                found, so that it has to do the same for a row in whatever array it is.

        >>> import pyarrow.compute as pc
        >>> import sheaf as sf
        >>> @sf.func.batch(return_dtype="int64")
        ... def doubled(numbers):
        ...     return pc.multiply(numbers, 2)
        >>> sf.range(4).filter(doubled(sf.col("id")) > 3).to_pydict()
        {'id': [2, 3]}
        """
        calls = _Calls.of(options)
        decorate = functools.partial(calls.of_function, is_batch=True)
        return decorate if function is None else decorate(function)


func = _Func()


def _type_of(function: Callable[..., Any], given: DataType | None) -> pa.DataType:
    if given is not None:
        return _formats.to_type(given)
    name = getattr(function, "__name__", repr(function))
    missing = InvalidInputError(f"the type that {name}() returns is not known")
    missing.hint = "give return_dtype=, or an annotation such as -> int"
    try:
        annotation = inspect.signature(function, eval_str=True).return_annotation
    except (NameError, TypeError, ValueError):
        raise missing from None
    if annotation is inspect.Signature.empty:
        raise missing
    try:
        return _formats.to_type(annotation)
    except Exception:
        raise missing from None


class Instances:
    """Instances of a class, made when they are needed: each is used by one thread at a time."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._idle: list[Any] = []
        self._lock = threading.Lock()

    def __reduce__(self) -> Any:
        # Instances stay, and are made anew where the class goes.
        return Instances, (self._make,)

    @contextmanager
    def one(self) -> Iterator[Any]:
        """An instance that nobody else uses meanwhile."""
        with self._lock:
            instance = self._idle.pop() if self._idle else None
        if instance is None:
            instance = self._make()
        try:
            yield instance
        finally:
            with self._lock:
                self._idle.append(instance)


class Instance:
    """What a class of ``cls`` makes: its methods that ``func`` decorates make expressions."""

    def __init__(self, made: type, instances: Instances, call: Function | None) -> None:
        self._class = made
        self._instances = instances
        self._call = call
        self._methods: dict[str, Function] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The expression of the instance's own call."""
        if self._call is None:
            raise TypeMismatchError(
                f"instances of {self._class.__name__} are not called\n"
                "  help: decorate __call__ with func, or give cls the return_dtype of it"
            )
        return self._bound("__call__", self._call)(*args, **kwargs)

    def __getattr__(self, name: str) -> Function:
        method = inspect.getattr_static(self._class, name, None)
        if not isinstance(method, Function):
            raise AttributeError(f"{self._class.__name__} has no method {name!r} that func decorates")
        return self._bound(name, method)

    def _bound(self, name: str, method: Function) -> Function:
        # One for all of its calls, which share its workers.
        return self._methods.setdefault(name, method.bound(self._instances))


@overload
def cls(made: type, /) -> Callable[..., Instance]: ...
@overload
def cls(**options: Unpack[CallOptions]) -> Callable[[type], Callable[..., Instance]]: ...
def cls(made: type | None = None, /, **options: Unpack[CallOptions]) -> Any:
    """Let the methods of a class that ``func`` decorates make expressions. An instance is made when it is first needed,
    and one for each thread that needs one at the same time.

    Args:
        made: The class, where the decorator has no arguments.
        options: As of ``func``, for ``__call__`` where it is not decorated itself: then they have its ``return_dtype``.
            With ``compute``, an instance is made in each worker.

    >>> import sheaf as sf
    >>> @sf.cls(return_dtype="int64")
    ... class Adds:
    ...     def __init__(self, by):
    ...         self.by = by
    ...     def __call__(self, number):
    ...         return number + self.by
    ...     @sf.func(return_dtype=str)
    ...     def text(self, number):
    ...         return f"{number} and {self.by}"
    >>> adds = Adds(10)
    >>> sf.range(2).select(adds(sf.col("id")).alias("n"), adds.text(sf.col("id")).alias("t")).to_pydict()
    {'n': [10, 11], 't': ['0 and 10', '1 and 10']}
    """
    calls = _Calls.of(options)

    def decorate(decorated: type) -> Callable[..., Instance]:
        called = inspect.getattr_static(decorated, "__call__", None)
        call = called if isinstance(called, Function) else None
        if call is None and calls.return_dtype is not None and callable(called):
            call = calls.of_function(called, is_batch=False)

        @functools.wraps(decorated, updated=())
        def make(*args: Any, **kwargs: Any) -> Instance:
            return Instance(decorated, Instances(functools.partial(decorated, *args, **kwargs)), call)

        return make

    return decorate if made is None else decorate(made)
