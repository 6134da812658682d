"""Verbs that call functions of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from sheaf import _formats, dataset
from sheaf._formats import Schema
from sheaf._sheaf import Expr
from sheaf.data import predicates
from sheaf.data.plan import Plan, format_of
from sheaf.data.row_calls import Kind, RowCalls
from sheaf.data.settings import compute_of
from sheaf.errors import InvalidInputError

if TYPE_CHECKING:
    from sheaf.data.dataset import Dataset

Concurrency = int | tuple[int, int] | tuple[int, int, int] | None

# What workers may ask for.
_WORKERS = ("num_cpus", "num_gpus", "memory", "resources", "runtime_env")
# What Sheaf's own map_batches takes besides.
_OURS = ("on_error", "dead_letter", "max_retries", "retry_on", "timeout", "deterministic", "max_concurrency")
# What says where and how tasks of Ray's run, and changes no result.
_WITHOUT_EFFECT = (
    *("accelerator_type", "fallback_strategy", "label_selector", "max_calls", "max_restarts", "max_task_retries"),
    *("num_returns", "ray_remote_args_fn", "retry_exceptions", "scheduling_strategy", "udf_modifying_row_count"),
    "zero_copy_batch",
)


class Functions(Plan):
    """The methods of a ``Dataset`` that call functions of the user's.

    All take Ray's arguments. A function runs on the engine's threads; in worker processes where ``compute``,
    ``concurrency`` or what a worker asks for (``num_cpus``, ``num_gpus``, ``memory``, ``resources``, ``runtime_env``)
    is given, and so does a class always. Arguments that say only where Ray runs tasks are taken and have no effect.
    Besides, they take ``schema``, the columns that a function returns, without which it is called once at the call of
    the verb, to see; and those of ``sheaf.Dataset.map_batches`` about failures: ``on_error``, ``dead_letter``,
    ``max_retries``, ``retry_on`` and ``timeout``.
    """

    def map_batches(
        self,
        fn: Callable[..., Any],
        *,
        batch_size: int | Literal["auto"] | None = None,
        compute: Any = None,
        batch_format: str | None = "default",
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: Mapping[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: Mapping[str, Any] | None = None,
        concurrency: Concurrency = None,
        schema: Schema | None = None,
        **options: Any,
    ) -> Dataset:
        """What a function makes of batches, which are dicts of NumPy arrays unless ``batch_format`` says otherwise.

        Results keep the order of the batches within each partition. Without ``batch_size`` batches are what suits the
        engine, where Ray gives whole blocks.

        >>> import sheaf as sf
        >>> sf.data.range(3).map_batches(lambda batch: {"twice": batch["id"] * 2}).take_all()
        [{'twice': 0}, {'twice': 2}, {'twice': 4}]
        """
        return self._next(
            self._ds.map_batches(
                fn,
                batch_size,
                format_of(batch_format),
                schema=schema,
                fn_args=list(fn_args or ()),
                fn_kwargs=fn_kwargs,
                fn_constructor_args=list(fn_constructor_args or ()),
                fn_constructor_kwargs=fn_constructor_kwargs,
                compute=compute_of(compute),
                concurrency=_least_and_most(concurrency),
                **_options("map_batches", options),
            )
        )

    def map(
        self,
        fn: Callable[..., Any],
        *,
        compute: Any = None,
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: Mapping[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: Mapping[str, Any] | None = None,
        concurrency: Concurrency = None,
        schema: Schema | None = None,
        **options: Any,
    ) -> Dataset:
        """What a function makes of each row: it is given a dict and returns one. Rows keep their order.

        >>> import sheaf as sf
        >>> sf.data.range(2).map(lambda row: {"twice": row["id"] * 2}).take_all()
        [{'twice': 0}, {'twice': 2}]
        """
        rows = (fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs)
        return self._over_rows("map", fn, rows, compute, concurrency, schema, options)

    def flat_map(
        self,
        fn: Callable[..., Any],
        *,
        compute: Any = None,
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: Mapping[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: Mapping[str, Any] | None = None,
        concurrency: Concurrency = None,
        schema: Schema | None = None,
        **options: Any,
    ) -> Dataset:
        """The rows that a function makes of each row: it is given a dict and returns or yields any number of them.

        >>> import sheaf as sf
        >>> sf.data.range(3).flat_map(lambda row: [row] * row["id"]).take_all()
        [{'id': 1}, {'id': 2}, {'id': 2}]
        """
        rows = (fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs)
        return self._over_rows("flat_map", fn, rows, compute, concurrency, schema, options)

    def filter(
        self,
        fn: Callable[..., Any] | None = None,
        expr: str | Expr | None = None,
        *,
        compute: Any = None,
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: Mapping[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: Mapping[str, Any] | None = None,
        concurrency: Concurrency = None,
        **options: Any,
    ) -> Dataset:
        """The rows for which a function of each, or a condition, is true. Rows keep their order.

        A condition is an expression or a text in Python's syntax, and faster by far than a function.

        >>> import sheaf as sf
        >>> numbers = sf.data.range(4)
        >>> numbers.filter(lambda row: row["id"] % 2).take_all(), numbers.filter(expr="id > 2").take_all()
        ([{'id': 1}, {'id': 3}], [{'id': 3}])
        """
        if (fn is None) == (expr is None):
            raise ValueError("filter takes either a function or expr=")
        if fn is None:
            if fn_args or fn_kwargs or fn_constructor_args or fn_constructor_kwargs:
                raise ValueError("fn_args and the like are for a function, and the condition is an expression")
            condition: Any = predicates.parse(expr) if isinstance(expr, str) else expr
            return self._next(self._ds.filter(condition))
        rows = (fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs)
        return self._over_rows("filter", fn, rows, compute, concurrency, self._ds.schema, options)

    def add_column(
        self,
        col: str,
        fn: Callable[[Any], Any],
        *,
        batch_format: str | None = "pandas",
        compute: Any = None,
        concurrency: int | None = None,
        **options: Any,
    ) -> Dataset:
        """All columns and one that a function makes of each batch; ``with_column`` takes an expression.

        >>> import sheaf as sf
        >>> sf.data.range(2).add_column("next", lambda frame: frame["id"] + 1).take_all()
        [{'id': 0, 'next': 1}, {'id': 1, 'next': 2}]
        """
        if batch_format not in ("pandas", "pyarrow", "numpy"):
            raise ValueError(f"the formats of add_column are 'pandas', 'pyarrow' and 'numpy', not {batch_format!r}")
        if not callable(fn):
            raise ValueError(f"fn is no function: {fn!r}")
        added = AddColumn(col, fn, batch_format)
        return self.map_batches(added, batch_format=batch_format, compute=compute, concurrency=concurrency, **options)

    def _over_rows(
        self,
        kind: Kind,
        fn: Callable[..., Any],
        given: tuple[Any, Any, Any, Any],
        compute: Any,
        concurrency: Concurrency,
        schema: Schema | None,
        options: Mapping[str, Any],
    ) -> Dataset:
        args, kwargs, constructor_args, constructor_kwargs = given
        checked = _options(kind, options)

        def called(columns: pa.Schema | None) -> dataset.Dataset:
            row_calls = (fn, kind, list(args or ()), kwargs, list(constructor_args or ()), constructor_kwargs, columns)
            # Instances of a user's class are made in the workers, functions of rows here.
            calls: dict[str, Any] = {"fn": RowCalls, "fn_constructor_args": row_calls}
            if not isinstance(fn, type):
                calls = {"fn": RowCalls(*row_calls)}
            return self._ds.map_batches(
                **calls,
                schema=columns,
                compute=compute_of(compute),
                concurrency=_least_and_most(concurrency),
                **checked,
            )

        # Each batch is made with the columns of the first, so that one without rows or without a value has them too.
        columns = _formats.to_schema(schema)
        return self._next(called(called(None).schema if columns is None else columns))


class AddColumn:
    """A function of batches that adds the column which another makes of them. It pickles as it is."""

    def __init__(self, name: str, fn: Callable[[Any], Any], batch_format: str) -> None:
        self.__qualname__ = str(getattr(fn, "__qualname__", type(fn).__name__))
        self._name = name
        self._fn = fn
        self._format = batch_format

    def __call__(self, batch: Any) -> Any:
        """The batch and the column."""
        made = self._fn(batch)
        if self._format == "pandas":
            # By place, not by whatever index the result has.
            return batch.assign(**{self._name: getattr(made, "array", made)})
        if self._format == "numpy":
            return {**batch, self._name: made}
        at = batch.schema.get_field_index(self._name)
        column: Any = made if isinstance(made, pa.Array | pa.ChunkedArray) else pa.array(made)
        return batch.append_column(self._name, column) if at < 0 else batch.set_column(at, self._name, column)


def _least_and_most(concurrency: Concurrency) -> int | tuple[int, int] | None:
    """How many workers: Ray also takes how many there are first."""
    return (concurrency[0], concurrency[1]) if isinstance(concurrency, tuple) else concurrency


def _options(verb: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that ``sheaf.Dataset.map_batches`` takes, of Ray's."""
    unknown = [name for name in given if name not in (*_WORKERS, *_OURS, *_WITHOUT_EFFECT)]
    if unknown:
        error = InvalidInputError(f"{verb} has no argument {unknown[0]!r}")
        error.hint = f"what it takes besides Ray's own: {', '.join(_OURS)}"
        raise error
    made = {name: value for name, value in given.items() if name not in _WITHOUT_EFFECT and value is not None}
    if "memory" in made:
        made["memory"] = int(made["memory"])
    return made
