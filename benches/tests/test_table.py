"""The table shows every engine's every outcome, failures too."""

from pathlib import Path

import pytest

from cases import Case, Inputs, all_cases, selected
from engines import ENGINES
from outcomes import Outcome
from table import markdown

HERE = Path("/data")
CASES = all_cases(Inputs(HERE, HERE, HERE, HERE, 100_000_000, 10_000_000), 2, HERE)
Q1, Q2, CSV = CASES[0], CASES[1], CASES[22]


def lines(cases: list[Case], rows: list[dict[str, Outcome]]) -> list[str]:
    """The lines of a table over all engines."""
    return markdown(cases, rows, ENGINES).splitlines()


def test_a_table_has_times_ratio_totals_and_memory() -> None:
    """Two queries, two engines."""
    rows = [
        {"sheaf": Outcome(0.5, 2_000_000), "duckdb": Outcome(1.0, 1_000_000)},
        {"sheaf": Outcome(1.0, 9_000_000), "duckdb": Outcome(1.5, 3_000_000)},
    ]
    assert lines([Q1, Q2], rows) == [
        "| TPC-H, seconds | Sheaf | DuckDB | Sheaf / best peer |",
        "| --- | ---: | ---: | ---: |",
        "| Q1 | 0.500 | 1.00 | 0.50 |",
        "| Q2 | 1.00 | 1.50 | 0.67 |",
        "| **all 2** | 1.50 | 2.50 | 0.60 |",
        "| own total (queries) | 1.50 (2) | 2.50 (2) |  |",
        "| peak memory of a query | 9 MB | 3 MB |  |",
    ]


def test_a_failure_is_shown_and_explained() -> None:
    """A mark in the cell, the reason below, and a total over what all answered."""
    failed = Outcome(problem="no | such function")
    rows = [
        {"sheaf": Outcome(0.5, 1), "daft": failed},
        {"sheaf": Outcome(1.0, 1), "daft": Outcome(2.0, 1)},
    ]
    text = lines([Q1, Q2], rows)
    assert "| Q1 | 0.500 | ✗ [1] | – |" in text
    assert "| **all 2** | 1.50 | ✗ [2] | – |" in text
    assert "| the 1 that every engine answered | 1.00 | 2.00 | 0.50 |" in text
    assert text[-2:] == ["1. no \\| such function", "2. answered 1 of 2"]


def test_an_engine_that_takes_no_part_has_a_dash() -> None:
    """Not taking part is not failing."""
    rows = [{"sheaf": Outcome(1.0, 1_000_000), "pyarrow": Outcome(2.0, 1_000_000)}, {"sheaf": Outcome(1.0, 1)}]
    text = lines([CSV, CASES[24]], rows)
    assert text[2] == "| CSV → Parquet, lineitem | 1.00 · 1 MB | 2.00 · 1 MB | 0.50 |"
    assert text[3].split(" | ")[2:] == ["–", "– |"]


def test_cases_are_chosen_by_name() -> None:
    """`tpch` stands for the 22 queries, and a wrong name is refused."""
    assert len(CASES) == 26
    assert [case.name for case in selected(CASES, ["q17", "csv"])] == ["q17", "csv"]
    assert len(selected(CASES, ["tpch"])) == 22
    assert selected(CASES, []) == CASES
    with pytest.raises(ValueError, match="no case named q99"):
        selected(CASES, ["q99"])
