"""Verbs over columns."""

from __future__ import annotations

import datetime
import decimal
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import pyarrow as pa

from sheaf import _arguments
from sheaf.dataset.plan import Plan
from sheaf.errors import TypeMismatchError
from sheaf.types import Column, DataType

if TYPE_CHECKING:
    from sheaf.dataset import Dataset


P = ParamSpec("P")
T = TypeVar("T")
# Columns by name, by a pattern of names, or by type.
Selector: TypeAlias = "str | re.Pattern[str] | pa.DataType | type"


class Columns(Plan):
    """The methods of a ``Dataset`` that choose and compute columns."""

    def select(self, *columns: Column | Selector | Sequence[Column | Selector], **named: Column) -> Dataset:
        """These columns and expressions, and the named ones under their names. Rows keep their order.

        A compiled pattern selects the columns in whose names it is found; a type of PyArrow those of this type, and a
        class such as ``float`` those of any type that holds its values. What they select comes once.

        >>> import re
        >>> import sheaf as sf
        >>> table = sf.from_pydict({"a": [1], "b": [2], "x": [0.5]})
        >>> table.select("b", c="a").to_pydict(), table.select(re.compile("[ab]")).columns, table.select(float).columns
        ({'b': [2], 'c': [1]}, ['a', 'b'], ['x'])
        """
        flat = _arguments.flat(columns)
        chosen = selected(self.schema, flat) if any(map(_selects, flat)) else flat
        return self._next(self._inner.select([*chosen, *_arguments.named(named)]))

    def with_column(self, name: str, column: Any) -> Dataset:
        """All columns and this one: in place when there is one of that name, else last. See ``with_columns``.

        >>> import sheaf as sf
        >>> sf.range(2).with_column("copy", "id").to_pydict()
        {'id': [0, 1], 'copy': [0, 1]}
        """
        return self.with_columns({name: column})

    def with_columns(self, columns: Mapping[str, Any] | None = None, /, **named: Any) -> Dataset:
        """All columns and these. Each sees the input's columns, not the others' results.

        A string is the name of a column; numbers and other values are constants.

        >>> import sheaf as sf
        >>> sf.range(2).with_columns(copy="id", one=1).to_pydict()
        {'id': [0, 1], 'copy': [0, 1], 'one': [1, 1]}
        """
        return self._next(self._inner.with_columns(list({**(columns or {}), **named}.items())))

    def rename(self, columns: Mapping[str, str] | Callable[[str], str]) -> Dataset:
        """The columns under new names: a dict of old names and new ones, or a function of each name.

        Columns that the dict does not have keep their names, and rows keep their order.

        >>> import sheaf as sf
        >>> sf.range(1).rename({"id": "n"}).columns, sf.range(1).rename(str.upper).columns
        (['n'], ['ID'])
        """
        names = {name: columns(name) for name in self.columns} if callable(columns) else dict(columns)
        return self._next(self._inner.rename(names))

    def exclude(self, *columns: Selector | Sequence[Selector]) -> Dataset:
        """All columns but these: by name, or as for ``select`` by a pattern or a type. Rows keep their order.

        >>> import re
        >>> import sheaf as sf
        >>> table = sf.from_pydict({"a": [1], "b": [2.0], "tmp_c": ["x"]})
        >>> table.exclude("a").columns, table.exclude(re.compile("^tmp_"), float).columns
        (['b', 'tmp_c'], ['a'])
        """
        return self._next(self._inner.exclude(selected(self.schema, _arguments.flat(columns))))

    def drop(self, *columns: Selector | Sequence[Selector]) -> Dataset:
        """The same as ``exclude``.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": [1], "b": [2]}).drop("a").columns
        ['b']
        """
        return self.exclude(*columns)

    def cast(self, types: Mapping[str, DataType] | DataType, *, strict: bool = True) -> Dataset:
        """Columns as other types: a dict of columns and types, or one type for all. Rows keep their order.

        Args:
            types: Types as for ``Expr.cast``.
            strict: Whether a value that does not fit is an error when the plan runs; else it becomes null.

        >>> import sheaf as sf
        >>> sf.from_pydict({"a": ["1", "x"]}).cast({"a": int}, strict=False).to_pydict()
        {'a': [1, None]}
        """
        by_name = types if isinstance(types, Mapping) else dict.fromkeys(self.columns, types)
        return self._next(self._inner.cast(list(by_name.items()), strict))

    def pipe(self, fn: Callable[Concatenate[Dataset, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a function makes of this dataset: ``ds.pipe(f, 1).pipe(g)`` is ``g(f(ds, 1))``.

        >>> import sheaf as sf
        >>> def most(dataset, rows):
        ...     return dataset.limit(rows)
        >>> sf.range(5).pipe(most, 2).count()
        2
        """
        return fn(self, *args, **kwargs)  # type: ignore[arg-type]


def _selects(column: Any) -> bool:
    return isinstance(column, re.Pattern | type | pa.DataType)


def selected(schema: pa.Schema, selectors: Sequence[Any]) -> list[Any]:
    """Patterns and types as the names of the columns that they select; everything else as it is."""
    names: list[Any] = []
    for selector in selectors:
        if isinstance(selector, re.Pattern):
            names += [name for name in schema.names if selector.search(name)]
        elif isinstance(selector, type | pa.DataType):
            names += [field.name for field in schema if _is_of(field.type, selector)]
        else:
            names.append(selector)
    return [name for at, name in enumerate(names) if not isinstance(name, str) or name not in names[:at]]


def _is_of(held: pa.DataType, wanted: type | pa.DataType) -> bool:
    """Whether a column of this type is of the wanted one, or for a class of Python of any that holds its values."""
    if isinstance(wanted, pa.DataType):
        return bool(held == wanted)
    if wanted not in _CLASSES:
        raise TypeMismatchError(
            f"no columns are of the class {wanted.__name__}\n"
            f"  help: the classes are {', '.join(known.__name__ for known in _CLASSES)}; "
            "other types are those of PyArrow, as pyarrow.list_(pyarrow.int64())"
        )
    return any(is_it(held) for is_it in _CLASSES[wanted])


_CLASSES: dict[type, tuple[Callable[[pa.DataType], bool], ...]] = {
    bool: (pa.types.is_boolean,),
    int: (pa.types.is_integer,),
    float: (pa.types.is_floating,),
    decimal.Decimal: (pa.types.is_decimal,),
    str: (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    bytes: (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view),
    datetime.datetime: (pa.types.is_timestamp,),
    datetime.date: (pa.types.is_date,),
    datetime.time: (pa.types.is_time,),
    datetime.timedelta: (pa.types.is_duration,),
    list: (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view),
    dict: (pa.types.is_struct, pa.types.is_map),
}
