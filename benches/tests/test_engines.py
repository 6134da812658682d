"""Each case has the engines that it should, each engine has the work of its cases, and Sheaf's gives the right rows."""

import ast
import re
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from test_table import CASES
from tiny_tpch import write_tables

from cases import Case, all_cases
from child import Request, fresh, perform
from compare import difference
from engines import ENGINES
from engines import polars as polars_engine
from inputs import prepare
from run import TOTALLY_ORDERED

BENCHES = Path(__file__).parent.parent
NAMES = [case.name for case in CASES]
SCALE = 0.001
ROWS = 1_000

PACKAGES = {
    "sheaf": "sheaf",
    "datafusion": "datafusion",
    "duckdb": "duckdb",
    "polars": "polars",
    "daft": "daft",
    "ray": "ray",
    "pyarrow": "pyarrow",
}
QUERYING = {"sheaf", "datafusion", "duckdb", "polars", "daft"}
MAPPING = {"sheaf", "daft", "ray", "pyarrow", "polars"}
# The rows of these cases are known without DuckDB.
KNOWN = {
    "numpy": [{"rows": ROWS, "total": ROWS * (ROWS + 1) // 2}],
    "pandas": [{"rows": ROWS, "least": "ROW 00000000 OF A DATASET", "greatest": "ROW 00000999 OF A DATASET"}],
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """Every case by name, over inputs that are made as the benchmark makes them, but for the tables."""
    folder = tmp_path_factory.mktemp("data")
    write_tables(folder / f"tpch-sf{SCALE:g}")
    inputs = prepare(folder, SCALE, ROWS, ROWS)
    return {case.name: case for case in all_cases(inputs, 2, folder / "scratch")}


def test_the_engines_of_each_case() -> None:
    """TPC-H, conversion, scan and user functions: whom Sheaf is measured against."""
    assert {case.name: set(case.engines) for case in CASES} == {
        **{f"q{number:02}": QUERYING for number in range(1, 23)},
        "csv": QUERYING | {"pyarrow"},
        "scan": QUERYING | {"pyarrow"},
        "numpy": MAPPING,
        "pandas": MAPPING,
    }
    assert all(len(case.engines) == len(set(case.engines)) for case in CASES)


def test_engines_are_packages_of_one_version() -> None:
    """Each engine is the published wheel, pinned, but for Sheaf's own."""
    assert {engine.module: engine.package for engine in ENGINES} == PACKAGES
    pinned = re.findall(r"^([\w-]+)(?:\[\w+\])?==[\d.]+$", (BENCHES / "requirements.txt").read_text(), re.MULTILINE)
    assert set(PACKAGES.values()) - set(pinned) == {"sheaf"}


@pytest.mark.parametrize("engine", PACKAGES)
def test_an_engine_has_the_work_of_its_cases(engine: str) -> None:
    """Read from its source, because not every engine is installed where tests run."""
    tree = ast.parse((BENCHES / "engines" / f"{engine}.py").read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    names = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    work = {case.work for case in CASES if engine in case.engines}
    assert work
    assert work <= functions | names


def test_polars_streams(cases: dict[str, Case], monkeypatch: pytest.MonkeyPatch) -> None:
    """All its work is on the streaming engine."""
    asked = []

    def noting(name: str) -> None:
        original = getattr(pl.LazyFrame, name)

        def noted(frame: pl.LazyFrame, *args: Any, **given: Any) -> Any:
            asked.append(given.get("engine"))
            return original(frame, *args, **given)

        monkeypatch.setattr(pl.LazyFrame, name, noted)

    noting("collect")
    noting("sink_parquet")
    for name in ("q01", "csv", "scan", "numpy", "pandas"):
        fresh(cases[name].output)
        getattr(polars_engine, cases[name].work)(cases[name])()
    assert len(asked) >= 5
    assert set(asked) == {"streaming"}


def answer(engine: str, case: Case, folder: Path) -> pa.Table:
    """The rows of one run, as a child gives them."""
    rows = folder / f"{engine}.arrow"
    result = perform(Request(engine, case, warm_up=False, runs=1, rows=rows))
    assert "error" not in result, result["error"]
    assert len(result["seconds"]) == 1
    with pa.OSFile(str(rows)) as source:
        return pa.ipc.open_file(source).read_all()


@pytest.mark.parametrize("name", NAMES)
def test_sheafs_adapter_gives_the_right_rows(cases: dict[str, Case], tmp_path: Path, name: str) -> None:
    """Those of DuckDB, over inputs in which every case finds some."""
    case = cases[name]
    expected = answer("duckdb", case, tmp_path)
    assert expected.num_rows > 0
    assert all(column.null_count < expected.num_rows for column in expected.columns), "it finds nothing"
    found = answer("sheaf", case, tmp_path)
    assert difference(expected, found, ordered=case.query in TOTALLY_ORDERED) is None
    if name in KNOWN:
        assert found.to_pylist() == KNOWN[name]
