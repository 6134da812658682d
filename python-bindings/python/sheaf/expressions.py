"""Expressions: columns, constants, windows, and what is computed from them."""

from sheaf._sheaf import Expr, SortKey, Then, When, Window, col, left, lit, right, when
from sheaf.namespaces import DatetimeNamespace, ListNamespace, StringNamespace, StructNamespace

__all__ = [
    "DatetimeNamespace",
    "Expr",
    "ListNamespace",
    "SortKey",
    "StringNamespace",
    "StructNamespace",
    "Then",
    "When",
    "Window",
    "col",
    "left",
    "lit",
    "right",
    "when",
]
