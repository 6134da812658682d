"""Write `functions.pyi` from the engine's own documentation: `python generate_functions.py`, with the wheel installed.

A test compares the file with what this gives, so that a new engine's functions are never left out.
"""

from __future__ import annotations

import keyword
import re
import textwrap
from pathlib import Path

from sheaf._sheaf import FunctionInfo, list_functions
from sheaf.functions import _documentation

STUB = Path(__file__).parent / "python" / "sheaf" / "functions.pyi"
HEADER = '''\
"""Every function of the engine by its name. Written by generate_functions.py: edit nothing here."""

# ruff: noqa: E501

from collections.abc import Callable

from sheaf._sheaf import Expr
from sheaf.types import SortKeys, Value

def lambda_expression(function: Callable[..., Expr]) -> Expr: ...'''
MODIFIERS = """\
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
"""


def stub() -> str:
    """Return the text of the stub."""
    return HEADER + "".join(definition(info) for info in list_functions() if callable_by_name(info.name))


def callable_by_name(name: str) -> bool:
    """Return whether Python's grammar lets the name stand after a dot."""
    return name.isidentifier() and not keyword.iskeyword(name)


def definition(info: FunctionInfo) -> str:
    """Return the signature and the documentation of one function."""
    argument = "Value | Callable[..., Expr]" if info.kind == "higher-order" else "Value"
    modifiers = f"\n{MODIFIERS}" if info.kind in ("aggregate", "window") else ""
    arguments = f"\n    *args: {argument},{modifiers}" if modifiers else f"*args: {argument}"
    text = _documentation(info).replace("\\", "\\\\").replace('"""', "'''")
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    body = textwrap.indent(f'"""{text}\n"""\n', "    ")
    return f"\ndef {info.name}({arguments}) -> Expr:\n{body}"


if __name__ == "__main__":
    STUB.write_text(stub())
