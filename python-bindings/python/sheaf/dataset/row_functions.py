"""Verbs that call functions of the user's on single rows: dicts in, dicts out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from sheaf import _formats, _objects
from sheaf._formats import Schema
from sheaf._functions.options import OnError, Options
from sheaf._functions.rows import RowSpec
from sheaf.compute import Compute
from sheaf.dataset.functions import Functions
from sheaf.errors import InvalidInputError

if TYPE_CHECKING:
    from sheaf.dataset import Dataset

Row = dict[str, Any]


class RowOptions(TypedDict, total=False):
    """What ``map``, ``flat_map`` and ``filter`` take as ``map_batches`` does, with the same meaning."""

    batch_size: int | None
    fn_args: Sequence[Any]
    fn_kwargs: Mapping[str, Any] | None
    fn_constructor_args: Sequence[Any]
    fn_constructor_kwargs: Mapping[str, Any] | None
    compute: Compute | Literal["threads"] | None
    concurrency: int | tuple[int, int] | None
    num_cpus: float | None
    num_gpus: float | None
    memory: int | None
    resources: Mapping[str, float] | None
    runtime_env: Mapping[str, Any] | None
    on_error: OnError | None
    dead_letter: str | os.PathLike[str] | None
    max_retries: int
    retry_on: type[Exception] | Sequence[type[Exception]]
    timeout: float | None
    deterministic: bool


class RowFunctions(Functions):
    """The methods of a ``Dataset`` that call functions of the user's on rows."""

    def map(
        self,
        fn: Callable[..., Mapping[str, Any]],
        *,
        schema: Schema | None = None,
        **options: Unpack[RowOptions],
    ) -> Dataset:
        """What a function makes of each row: it is given a dict and returns one. Rows keep their order.

        Expressions and ``map_batches`` are faster by far: here each value becomes an object of Python's.

        Args:
            fn: The function, or a class whose instances are functions; its first argument is the row.
            schema: The columns that it returns. Without it the function is called now, on the first batch, to see.
            options: As of ``map_batches``. How many rows go through Python at a time: ``batch_size``. More arguments:
                ``fn_args``, ``fn_kwargs``, and of a class ``fn_constructor_args``, ``fn_constructor_kwargs``. Where it
                runs: ``compute``, ``concurrency``, ``num_cpus``, ``num_gpus``, ``memory``, ``resources``,
                ``runtime_env``. What becomes of rows at which it fails: ``on_error``, ``dead_letter``, ``max_retries``,
                ``retry_on``, ``timeout`` (of a batch). Whether it does the same each time: ``deterministic``.

        >>> import sheaf as sf
        >>> sf.range(3).map(lambda row: {"twice": row["id"] * 2}).to_pydict()
        {'twice': [0, 2, 4]}
        >>> sf.range(3).map(lambda row: {"inverse": 1 / row["id"]}, on_error="skip").to_pydict()
        {'inverse': [1.0, 0.5]}
        """
        return self._over_rows(fn, "row", schema, options)

    def flat_map(
        self,
        fn: Callable[..., Iterable[Mapping[str, Any]]],
        *,
        schema: Schema | None = None,
        **options: Unpack[RowOptions],
    ) -> Dataset:
        """The rows that a function makes of each row: it is given a dict and returns or yields any number of them.

        Rows keep their order. The arguments are those of ``map``.

        >>> import sheaf as sf
        >>> sf.range(3).flat_map(lambda row: [row] * row["id"]).to_pydict()
        {'id': [1, 2, 2]}
        """
        return self._over_rows(fn, "rows", schema, options)

    def _filter_by(self, fn: Callable[..., Any], options: RowOptions) -> Dataset:
        if options.get("on_error") == "null":
            raise InvalidInputError('a filter makes no rows of nulls: on_error is "raise" or "skip"')
        spec, how = _given(fn, "whether", options)
        return self._call(spec, how, self.schema)

    def _over_rows(
        self, fn: Callable[..., Any], makes: Literal["row", "rows"], schema: Schema | None, options: RowOptions
    ) -> Dataset:
        spec, how = _given(fn, makes, options)
        declared = _formats.to_schema(schema)
        if declared is None:
            # Its calls, here or in a worker, are to know the columns that the first batch has.
            declared = self._call(spec, how, None).schema
            known = replace(spec, columns=tuple(declared.names), objects=tuple(_objects.names(declared)))
            return self._call(known, how, declared)
        return self._call(replace(spec, schema=declared), how, declared)


def _given(
    fn: Callable[..., Any], makes: Literal["row", "rows", "whether"], options: RowOptions
) -> tuple[RowSpec, Options]:
    """The function and the options apart, which are checked."""
    rest: dict[str, Any] = dict(options)
    retry_on = rest.pop("retry_on", ())
    spec = RowSpec(
        fn,
        args=rest.pop("fn_args", ()),
        kwargs=rest.pop("fn_kwargs", None) or {},
        constructor_args=rest.pop("fn_constructor_args", ()),
        constructor_kwargs=rest.pop("fn_constructor_kwargs", None) or {},
        retry_on=(retry_on,) if isinstance(retry_on, type) else tuple(retry_on),
        makes=makes,
    )
    if unknown := [name for name in rest if name not in RowOptions.__annotations__]:
        raise TypeError(f"there is no argument {unknown[0]!r}")
    if rest.get("dead_letter") is not None:
        rest["dead_letter"] = os.fspath(rest["dead_letter"])
    return spec, Options(**rest)
