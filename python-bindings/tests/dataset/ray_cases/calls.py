"""The calls by name, and what they share."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

CASES: dict[str, Callable[[Any], Any]] = {}

ROWS = [
    {"k": "a", "x": 1, "y": 0.5},
    {"k": "b", "x": 4, "y": 1.5},
    {"k": "a", "x": 3, "y": None},
    {"k": "c", "x": 2, "y": 2.5},
    {"k": "b", "x": 0, "y": 3.5},
]


def case(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    CASES[function.__name__] = function
    return function


def table(data: Any) -> Any:
    return data.from_items(ROWS)


def ordered(dataset: Any, *keys: str) -> list[dict[str, Any]]:
    """All rows in an order that does not depend on the engine."""
    return sorted(dataset.take_all(), key=lambda row: [(row[key] is None, row[key]) for key in keys])


def plain(value: Any) -> Any:
    """As JSON holds it, so that arrays and lists, NaN and null stay different."""
    if isinstance(value, np.ndarray):
        return {"array": plain(value.tolist())}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else round(value, 9)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def outcome(of: Callable[[Any], Any], data: Any) -> Any:
    try:
        return {"value": plain(of(data))}
    except Exception as error:
        return {"error": type(error).__name__}
