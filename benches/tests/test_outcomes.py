"""Ratios and totals compare only what was answered."""

import pytest

from outcomes import Outcome, best_peer, common_rows, own_total, ratio, total_row, without_folders

FAILED = Outcome(problem="cannot")


def took(seconds: float, peak: int = 1) -> Outcome:
    """An answer."""
    return Outcome(seconds=seconds, peak_bytes=peak)


def test_the_ratio_is_to_the_best_peer() -> None:
    """The fastest of the others, never Sheaf itself."""
    row = {"sheaf": took(1.0), "duckdb": took(2.0), "polars": took(4.0)}
    assert best_peer(row) == ("duckdb", 2.0)
    assert ratio(row) == pytest.approx(0.5)


def test_a_failed_engine_is_no_peer() -> None:
    """A wrong or missing answer is not fast."""
    row = {"sheaf": took(1.0), "duckdb": FAILED, "polars": took(4.0)}
    assert best_peer(row) == ("polars", 4.0)


@pytest.mark.parametrize(
    "row",
    [{"duckdb": took(1.0)}, {"sheaf": FAILED, "duckdb": took(1.0)}, {"sheaf": took(1.0)}, {}],
)
def test_there_is_no_ratio_without_both(row: dict[str, Outcome]) -> None:
    """Half a ratio is none."""
    assert ratio(row) is None


def test_a_total_needs_every_row() -> None:
    """A sum over fewer queries would look fast."""
    rows = [
        {"sheaf": took(1.0, 5), "daft": took(9.0)},
        {"sheaf": took(2.0, 3), "daft": FAILED},
    ]
    totals = total_row(rows, ["sheaf", "daft", "ray"])
    assert totals["sheaf"] == Outcome(seconds=3.0, peak_bytes=5)
    assert totals["daft"] == Outcome(problem="answered 1 of 2")
    assert "ray" not in totals
    assert own_total(rows, "daft") == (9.0, 1)
    assert own_total(rows, "ray") is None


def test_common_rows_are_those_that_all_answered() -> None:
    """One failure takes the row out for everybody."""
    rows = [{"sheaf": took(1.0), "daft": took(9.0)}, {"sheaf": took(2.0), "daft": FAILED}]
    assert common_rows(rows, ["sheaf", "daft"]) == rows[:1]


def test_a_problem_names_no_folder() -> None:
    """Files keep their names."""
    assert (
        without_folders("cannot read '/home/me/bench-data/a.parquet' or s3://b/c")
        == "cannot read 'a.parquet' or s3://b/c"
    )
