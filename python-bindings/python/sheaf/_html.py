"""A dataset as notebooks show it: a table of its columns' types and, where they are at hand, its first rows."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

# Rows that are shown of a dataset in memory, and characters of each value.
ROWS = 10
CHARACTERS = 100


def table(schema: pa.Schema, rows: Sequence[Mapping[str, Any]] | None) -> str:
    """The columns with these first rows; None for a dataset that has not run."""
    fields = list(schema)
    head = "".join(
        f"<th>{html.escape(field.name)}<br><small>{html.escape(str(field.type))}</small></th>" for field in fields
    )
    cells = ("".join(f"<td>{_cell(row[field.name])}</td>" for field in fields) for row in rows or ())
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    note = "not run yet: use show(), collect() or materialize()" if rows is None else f"the first {ROWS} rows"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><small>{note}</small>"


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return html.escape(text if len(text) <= CHARACTERS else text[: CHARACTERS - 1] + "…")
