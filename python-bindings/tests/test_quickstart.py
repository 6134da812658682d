"""The demo runs to its end on the real flights, by Python and by the command line."""

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.dataset as ds
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 300


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that the demo ran in, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, run([sys.executable, str(REPOSITORY / "examples/quickstart.py")], folder)


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_quickstart_runs(demo: tuple[Path, str]) -> None:
    folder, told = demo
    assert "336,776 flights in 12 folders" in told
    assert "pandas (16, 4), polars (16, 4), pyarrow (16, 4)" in told
    assert (folder / "demo-data/in_air.parquet").stat().st_size > 0


def test_months_hold_every_flight(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    with (folder / "demo-data/csv/flights.csv").open(newline="") as file:
        expected = Counter(int(row["month"]) for row in csv.DictReader(file))
    found = Counter()
    for month in range(1, 13):
        files = sorted((folder / f"demo-data/flights/month={month}").glob("*.parquet"))
        found[month] = sum(ds.dataset([str(file)]).count_rows() for file in files)
    assert found == expected


def test_quickstart_sql_runs(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    command = str(Path(sys.executable).with_name("sheaf"))
    told = run([command, "sql", "-f", str(REPOSITORY / "examples/quickstart.sql"), "--format", "csv"], folder)
    lines = told.splitlines()
    assert "1,27004" in lines
    assert "12,28135" in lines
    assert "1,SkyWest Airlines Inc.,67.0" in lines
    assert "12,ExpressJet Airlines Inc.,27.8871834" in told
