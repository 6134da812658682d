"""What is asked of labels of nodes: by Ray's operators or texts such as ``"!in(a, b)"``, as the node reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Asked = tuple[str, list[str], bool]
"""A label, the values of which it has to have one (any where none is named), and whether the contrary is meant."""

_TEXT = re.compile(r"(?P<negation>!?)(?:in\((?P<listed>[^()]*)\)|(?P<value>[^()!]*))")


def of_selector(selector: Mapping[str, Any]) -> list[Asked]:
    """What the option ``label_selector`` asks for.

    >>> from sheaf._runtime import labels
    >>> labels.of_selector({"zone": "!in(a, b)", "disk": "ssd"})
    [('zone', ['a', 'b'], True), ('disk', ['ssd'], False)]
    """
    return [_asked(name, text) for name, text in selector.items()]


def of_operators(operators: Mapping[str, Any]) -> list[Asked]:
    """What operators of ``sheaf.util.scheduling_strategies`` ask for, by label."""
    return [(name, list(operator.values), operator.is_not) for name, operator in operators.items()]


def _asked(name: object, text: object) -> Asked:
    found = _TEXT.fullmatch(text.strip()) if isinstance(name, str) and isinstance(text, str) else None
    if found is None:
        raise ValueError(
            f"label_selector has {name!r}: {text!r}, which it cannot have\n"
            '  help: both are text; a value is "a", "!a", "in(a, b)" or "!in(a, b)"'
        )
    listed = found["listed"]
    values = [found["value"]] if listed is None else [each.strip() for each in listed.split(",")]
    return str(name), values, bool(found["negation"])
