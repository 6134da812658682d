"""`make bench-dataset`: each engine has the work of its cases, and Sheaf's gives the right rows."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest
from test_engines import answer

from cases import Case
from compare import difference
from dataset import arguments
from dataset_cases import GROUPS, JOINS, DatasetInputs, Sizes, dataset_cases
from dataset_engines import ENGINES
from dataset_engines.duckdb import converted
from dataset_inputs import prepare
from run import chosen

MODULES = Path(__file__).parent.parent / "dataset_engines"
NOWHERE = DatasetInputs(*[Path("nowhere")] * 7)
CASES = dataset_cases(NOWHERE, Sizes(), 2, Path("scratch"))
# Every group of the questions has rows enough for a deviation.
SIZES = Sizes(
    table_rows=200_000,
    text_bytes=100_000,
    mapped_rows=1_000,
    sorted_bytes=1_000_000,
    sort_limit=100_000_000,
    shuffled_bytes=1_000_000,
    single_rows=100,
    images=100,
)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """Every case by name, over small inputs."""
    folder = tmp_path_factory.mktemp("data")
    inputs = prepare(folder, SIZES)
    return {case.name: case for case in dataset_cases(inputs, SIZES, 2, folder / "scratch")}


def test_the_ten_questions_and_the_five_joins_are_there() -> None:
    """The db-benchmark's, and what the issue of datasets lists beside them."""
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert set(GROUPS) | set(JOINS) | {"words", "sort", "shuffle", "single", "loader"} < set(names)
    assert len(GROUPS) == 10
    assert len(JOINS) == 5
    assert all("sheaf" in case.engines for case in CASES)


@pytest.mark.parametrize("engine", [engine.module for engine in ENGINES])
def test_an_engine_has_the_work_of_its_cases(engine: str) -> None:
    """Read from its source, because not every engine is installed where tests run."""
    tree = ast.parse((MODULES / f"{engine}.py").read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assigned = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    names = {node.id for target in assigned for node in ast.walk(target) if isinstance(node, ast.Name)}
    work = {case.work for case in CASES if engine in case.engines or engine == "duckdb"}
    assert work
    assert work <= functions | names


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_sheafs_adapter_gives_the_right_rows(cases: dict[str, Case], tmp_path: Path, name: str) -> None:
    """Those of DuckDB, over inputs in which every case finds some."""
    case = cases[name]
    expected = answer("duckdb", case, tmp_path)
    found = answer("sheaf", case, tmp_path)
    assert expected.num_rows > 0
    assert all(column.null_count < expected.num_rows for column in expected.columns), "it finds nothing"
    assert difference(expected, found, ordered=False) is None


@pytest.mark.parametrize("name", [case.name for case in CASES if "polars" in case.engines])
def test_polars_adapter_gives_the_right_rows(cases: dict[str, Case], tmp_path: Path, name: str) -> None:
    """The peer whose language is its own, and which is installed where tests run."""
    case = cases[name]
    assert difference(answer("duckdb", case, tmp_path), answer("polars", case, tmp_path), ordered=False) is None


def test_the_order_of_a_sort_is_part_of_its_digest(cases: dict[str, Case], tmp_path: Path) -> None:
    """All rows in another order are no sort, and in the same order no shuffle."""
    case = cases["sort"]
    assert answer("duckdb", case, tmp_path)["as asked"].to_pylist() == [True]
    shuffled = replace(case, work="shuffled")
    assert answer("duckdb", shuffled, tmp_path)["as asked"].to_pylist() == [True]
    assert converted(case)["as asked"].to_pylist() == [False]
    assert converted(replace(shuffled, input=f"{case.output}/rows.parquet"))["as asked"].to_pylist() == [False]


def test_engines_are_chosen_by_name() -> None:
    """A name that is not there is told."""
    assert [engine.module for engine in chosen("polars,sheaf", ENGINES)] == ["sheaf", "polars"]
    with pytest.raises(ValueError, match="no engine named spark"):
        chosen("spark", ENGINES)
    assert arguments(["--divide", "10"]).divide == 10
