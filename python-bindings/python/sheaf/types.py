"""The types of arguments that methods and functions share."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy
    import pyarrow

    from sheaf._sheaf import Expr, SortKey

# Values that become constants. Scalars of NumPy, pandas and PyArrow are among them and have no common type.
Constant: TypeAlias = (
    "bool | int | float | str | bytes | decimal.Decimal | datetime.date | datetime.time | datetime.timedelta | None"
)
Value: TypeAlias = "Expr | Constant | Sequence[Any] | Mapping[str, Any] | numpy.generic | pyarrow.Scalar[Any]"
# Columns by name or by expression.
Column: TypeAlias = "str | Expr"
Columns: TypeAlias = "Column | Iterable[Column]"
SortKeys: TypeAlias = "str | Expr | SortKey | Iterable[str | Expr | SortKey]"
DataType: TypeAlias = "pyarrow.DataType | numpy.dtype[Any] | str | type"
# How far a frame reaches: None is all the way.
Distance: TypeAlias = "int | float | datetime.timedelta | None"
Frame: TypeAlias = "tuple[Literal['rows', 'range', 'groups'], Distance, Distance]"
ElementFunction: TypeAlias = "Callable[..., Expr]"
