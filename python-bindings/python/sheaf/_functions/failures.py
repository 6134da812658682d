"""What becomes of calls of expression functions that fail: they end the run, are tried again, or are null."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pyarrow as pa

from sheaf import _objects
from sheaf.errors import InvalidInputError, TypeMismatchError


@dataclass(frozen=True)
class Failures:
    """What a user said of them."""

    on_error: Literal["raise", "null"] = "raise"
    max_retries: int = 3
    retry_on: tuple[type[Exception], ...] = ()
    nulls: tuple[type[Exception], ...] = (Exception,)
    """What makes nulls of rows, where errors do."""

    @classmethod
    def of(
        cls,
        on_error: str = "raise",
        max_retries: int = 3,
        retry_on: type[Exception] | Sequence[type[Exception]] = (),
    ) -> Failures:
        """Checked."""
        if on_error == "skip":
            error = InvalidInputError("an expression has a value for each row, so that no row can be skipped")
            error.hint = 'on_error="null", and drop_null() after it; or map_batches(…, on_error="skip")'
            raise error
        if on_error not in ("raise", "null"):
            raise InvalidInputError(
                f'there is no on_error={on_error!r}\n  help: "raise" ends the run, "null" makes a null of the row'
            )
        if not isinstance(max_retries, int) or max_retries < 0:
            raise InvalidInputError(f"max_retries={max_retries!r} has to be a whole number from 0 on")
        types = (retry_on,) if isinstance(retry_on, type) else tuple(retry_on)
        return cls("null" if on_error == "null" else "raise", max_retries, types)

    def of_row(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function of the values of a row."""
        if self == RAISED:
            return function

        def call(*listed: Any, **named: Any) -> Any:
            left = self.max_retries
            while True:
                try:
                    return function(*listed, **named)
                except Exception as error:
                    if not self._may_try(error, left):
                        if self.on_error == "raise":
                            raise
                        return None
                    left -= 1

        return call

    def of_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same of a coroutine function."""
        if self == RAISED:
            return function

        async def call(*listed: Any, **named: Any) -> Any:
            left = self.max_retries
            while True:
                try:
                    return await function(*listed, **named)
                except Exception as error:
                    if not self._may_try(error, left):
                        if self.on_error == "raise":
                            raise
                        return None
                    left -= 1

        return call

    def of_batch(
        self, made: Callable[[list[pa.Array]], pa.Array], columns: list[pa.Array], rows: int, kind: pa.DataType
    ) -> pa.Array:
        """What a function makes of arrays: where it fails they are halved, until the rows are found that are null."""
        try:
            array = Failures("raise", self.max_retries, self.retry_on).of_row(made)(columns)
        except Exception as error:
            if self.on_error == "raise" or not isinstance(error, self.nulls):
                raise
            if rows <= 1 or not columns:
                return _nulls(rows, kind)
        else:
            if self.on_error == "null" and len(array) != rows:
                raise TypeMismatchError(f"the function returned {len(array)} values for {rows} rows")
            return array
        halves = [(0, rows // 2), (rows // 2, rows - rows // 2)]
        # They are tried once: the doubt is about their rows.
        once = replace(self, max_retries=0)
        parts = [
            once.of_batch(made, [column.slice(start, count) for column in columns], count, kind)
            for start, count in halves
        ]
        return pa.concat_arrays(parts)

    def of_values(self, array: Callable[[list[Any]], pa.Array], values: list[Any]) -> pa.Array:
        """The values as an array; one that is not of its type is a failure of its row."""
        try:
            return array(values)
        except _objects.NOT_HELD:
            if self.on_error == "raise":
                raise
        return array([value if _fits(array, value) else None for value in values])

    def _may_try(self, error: Exception, left: int) -> bool:
        return left > 0 and isinstance(error, self.retry_on)


RAISED = Failures()
"""They end the run."""


def _fits(array: Callable[[list[Any]], pa.Array], value: Any) -> bool:
    try:
        array([value])
    except _objects.NOT_HELD:
        return False
    return True


def _nulls(rows: int, kind: pa.DataType) -> pa.Array:
    return _objects.column([None] * rows) if _objects.is_object(kind) else pa.nulls(rows, kind)
