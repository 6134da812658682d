"""An engine whose rows differ from DuckDB's has no time: not in its outcome, not in the table, not in the results."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_table import CASES

from cases import REFERENCE, Case
from engines import ENGINES
from outcomes import Outcome, best_peer, ratio
from processes import adopt_orphans
from report import as_json
from run import TOTALLY_ORDERED, Race
from table import markdown

BENCHES = Path(__file__).parent.parent
Q1, Q3 = CASES[0], CASES[2]
RIGHT = pa.table({"key": ["a", "b", "c"], "n": [1, 2, 3]})
TURNED = RIGHT.take([2, 0, 1])

# The child of the benchmark, but that one engine answers at once and wrongly.
LIAR = """
import sys
sys.path.insert(0, {benches!r})
import pyarrow as pa
import child
import engines.{liar} as liar
liar.map_numpy = lambda case: lambda: pa.table({{"rows": [case.rows], "total": [10]}})
child.main()
"""


def race(folder: Path, *modules: str) -> Race:
    """A race of these engines."""
    return Race([engine for engine in ENGINES if engine.module in modules], folder, runs=2, timeout=60.0)


def leave_rows(of: Race, module: str, rows: pa.Table) -> None:
    """Leave rows as a child does."""
    with pa.OSFile(str(of.rows_path(module)), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)


def outcome(folder: Path, case: Case, rows: pa.Table, reference: dict[str, Any] | None = None) -> Outcome:
    """What comes of an engine that was fast and left these rows."""
    fast = {"seconds": [0.5, 0.25], "peak_bytes": 7}
    one = race(folder, "daft", REFERENCE)
    leave_rows(one, REFERENCE, RIGHT)
    leave_rows(one, "daft", rows)
    return one.outcome("daft", case, {"daft": fast, REFERENCE: reference or fast})


WRONG = {
    "another value": (RIGHT.set_column(1, "n", pa.array([1, 2, 4])), "row 2, column n: 4 instead of 3"),
    "a null": (RIGHT.set_column(1, "n", pa.array([1, None, 3])), "row 1, column n: None instead of 2"),
    "a row too few": (RIGHT.slice(1), "2 rows instead of 3"),
    "a row twice": (RIGHT.take([0, 1, 1, 2]), "4 rows instead of 3"),
    "no rows": (RIGHT.slice(3), "0 rows instead of 3"),
    "a column too many": (RIGHT.append_column("more", pa.array([1, 1, 1])), "3 columns instead of 2"),
    "another order": (TURNED, "row 0, column key: 'c' instead of 'a'"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_rows_have_no_time(tmp_path: Path, wrong: str) -> None:
    """Q1 has its order in its answer. The reason is told instead of the time."""
    assert Q1.query in TOTALLY_ORDERED
    rows, problem = WRONG[wrong]
    assert outcome(tmp_path, Q1, rows) == Outcome(problem=f"rows differ from DuckDB's: {problem}")


def test_right_rows_have_their_best_time(tmp_path: Path) -> None:
    """In any order, where the order is no part of the answer."""
    assert outcome(tmp_path, Q1, RIGHT) == Outcome(seconds=0.25, peak_bytes=7)
    assert Q3.query not in TOTALLY_ORDERED
    assert outcome(tmp_path, Q3, TURNED) == Outcome(seconds=0.25, peak_bytes=7)


def test_without_duckdbs_rows_there_is_no_time(tmp_path: Path) -> None:
    """What cannot be compared does not count, whatever lies there from before."""
    assert outcome(tmp_path, Q1, RIGHT, {"error": "it broke"}) == Outcome(problem="no rows to compare with: it broke")


@pytest.mark.parametrize(("liar", "honest"), [("pyarrow", "sheaf"), ("sheaf", "pyarrow")])
def test_a_planted_liar_has_no_time_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, liar: str, honest: str
) -> None:
    """The whole way: each engine in a process of its own, DuckDB beside them, the table and the results."""
    adopt_orphans()
    script, scratch = tmp_path / "script", tmp_path / "scratch"
    script.mkdir()
    scratch.mkdir()
    (script / "child.py").write_text(LIAR.format(benches=str(BENCHES), liar=liar))
    monkeypatch.setattr("processes.HERE", script)
    numbers = tmp_path / "numbers.parquet"
    pq.write_table(pa.table({"x": [1, 2, 3]}), numbers)
    case = Case("numpy", "Numbers", "map_numpy", ("sheaf", "pyarrow"), str(numbers), threads=1, rows=3)

    row = race(scratch, "sheaf", "pyarrow").case(case, turn=0)

    assert row[honest].seconds is not None
    problem = "rows differ from DuckDB's: row 0, column total: 10 instead of 9.0"
    assert row[liar] == Outcome(problem=problem)
    assert ratio(row) is None
    assert best_peer(row) == (None if liar == "pyarrow" else ("pyarrow", row[honest].seconds))
    text = markdown([case], [row], ENGINES).splitlines()
    titles, cells = ([cell.strip() for cell in text[at].split("|")] for at in (0, 2))
    shown = dict(zip(titles, cells, strict=True))
    title = {engine.module: engine.title for engine in ENGINES}
    assert shown[title[liar]] == "✗ [1]"
    assert shown[title[honest]].endswith(" MB")
    assert shown["Sheaf / best peer"] == "–"
    assert text[-1] == f"1. {problem}"
    (result,) = as_json({}, {}, [case], [row])["cases"]
    assert result["outcomes"][liar] == {"seconds": None, "peak_bytes": None, "problem": problem}
    assert not list(scratch.glob("*.arrow")), "the next case sees no rows of this one"
