"""Calls of Ray Data whose results `sheaf.data` has to give too, by kind of verb.

`expected.json` holds what Ray 2.60.0 gave. In `python-bindings`, `python -m tests.dataset.ray_cases ray` writes it
anew, and `python -m tests.dataset.ray_cases sheaf` says which results differ.
"""

import pathlib

from . import expressions, files, functions, groups, iteration, joins, other_types  # noqa: F401
from .calls import CASES, ordered, outcome, table

__all__ = ["CASES", "EXPECTED", "ordered", "outcome", "table"]

EXPECTED = pathlib.Path(__file__).with_name("expected.json")
