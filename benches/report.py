"""Where the results go: a JSON file, and the speed table between two markers in README.md."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cases import Case
from outcomes import Row, best_peer, ratio

BEGIN = "<!-- speed table: begin, written by `make bench` -->"
END = "<!-- speed table: end -->"
RUNTIME_BEGIN = "<!-- runtime table: begin, written by `make bench-runtime` -->"
RUNTIME_END = "<!-- runtime table: end -->"
DATASET_BEGIN = "<!-- dataset table: begin, written by `make bench-dataset` -->"
DATASET_END = "<!-- dataset table: end -->"
CLUSTER_BEGIN = "<!-- cluster table: begin, written by `make bench-cluster` -->"
CLUSTER_END = "<!-- cluster table: end -->"


def as_json(
    host: dict[str, Any], settings: dict[str, Any], cases: Sequence[Case], rows: Sequence[Row]
) -> dict[str, Any]:
    """Everything that was measured."""
    return {
        "host": host,
        "settings": settings,
        "cases": [
            {
                "name": case.name,
                "title": case.title,
                "outcomes": {name: asdict(outcome) for name, outcome in row.items()},
                "best_peer": (best_peer(row) or (None, None))[0],
                "ratio": ratio(row),
            }
            for case, row in zip(cases, rows, strict=True)
        ],
    }


def write_json(path: Path, results: dict[str, Any]) -> None:
    """Write the results, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    unfinished.replace(path)


def summary(host: dict[str, Any], settings: dict[str, Any]) -> str:
    """One paragraph on how the numbers came about."""
    scale, runs = settings["scale"], settings["runs"]
    return versions(host, f"{settings['threads']} threads; TPC-H scale {scale:g}; warm, best of {runs}")


def versions(host: dict[str, Any], said: str) -> str:
    """The machine, what is said of the settings, and what was measured."""
    found = ", ".join(f"{name} {version}" for name, version in host["versions"].items() if version)
    return (
        f"Measured on {host['date']}: {host['processor']}, {host['memory_bytes'] / 1e9:.0f} GB, {said}, "
        "engines in turn, each in a process of its own; "
        f"every engine's rows compared with DuckDB's. {found}."
    )


def with_table(readme: str, text: str, begin: str = BEGIN, end: str = END) -> str:
    """README's text with what stands between the markers replaced."""
    before, found, rest = readme.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"README.md has no place for the table: it needs the lines {begin} and {end}")
    return f"{before}{begin}\n{text}\n{end}{after}"
