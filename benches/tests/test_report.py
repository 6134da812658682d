"""The results as a file, and the table's place in README."""

import json
from pathlib import Path

import pytest
from test_table import Q1

from engines import ENGINES
from host import description
from outcomes import Outcome
from report import BEGIN, END, as_json, summary, with_table, write_json

SETTINGS = {"scale": 1.0, "runs": 3, "threads": 2, "quick": False}


def test_readme_keeps_all_but_the_table() -> None:
    """What stands around the markers stays, and a second writing changes nothing."""
    readme = f"# Sheaf\n\n{BEGIN}\nold\n{END}\n\nmore\n"
    once = with_table(readme, "new")
    assert once == f"# Sheaf\n\n{BEGIN}\nnew\n{END}\n\nmore\n"
    assert with_table(once, "new") == once


@pytest.mark.parametrize("readme", ["# Sheaf\n", f"{BEGIN}\n", f"{END}\n{BEGIN}\n"])
def test_a_readme_without_markers_is_refused(readme: str) -> None:
    """Nothing is appended somewhere."""
    with pytest.raises(ValueError, match="no place for the table"):
        with_table(readme, "new")


def test_results_say_what_they_depend_on(tmp_path: Path) -> None:
    """Versions, machine, day, and for each case the best peer and the ratio."""
    row = {"sheaf": Outcome(1.0, 10), "duckdb": Outcome(2.0, 10), "daft": Outcome(problem="cannot")}
    path = tmp_path / "new" / "results.json"
    write_json(path, as_json(description(ENGINES), SETTINGS, [Q1], [row]))
    read = json.loads(path.read_text())
    assert set(read["host"]) >= {"date", "cores", "processor", "memory_bytes", "versions"}
    assert "duckdb" in read["host"]["versions"]
    (case,) = read["cases"]
    assert (case["best_peer"], case["ratio"]) == ("duckdb", 0.5)
    assert case["outcomes"]["daft"] == {"seconds": None, "peak_bytes": None, "problem": "cannot"}
    assert list(path.parent.iterdir()) == [path]


def test_the_summary_names_scale_threads_and_versions() -> None:
    """A reader of README can repeat the run."""
    text = summary({**description(ENGINES), "versions": {"duckdb": "2.0.0", "ray": None}}, SETTINGS)
    assert "TPC-H scale 1;" in text
    assert "2 threads" in text
    assert text.endswith(" duckdb 2.0.0.")
