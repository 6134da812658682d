"""The namespaces of an expression: `.str`, `.dt`, `.list` and `.struct`, each over the engine's functions."""

from sheaf.namespaces.datetimes import DatetimeNamespace
from sheaf.namespaces.lists import ListNamespace
from sheaf.namespaces.strings import StringNamespace
from sheaf.namespaces.structs import StructNamespace

__all__ = ["DatetimeNamespace", "ListNamespace", "StringNamespace", "StructNamespace"]
