"""README's examples run, on small files with the names they use."""

import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FLIGHTS = "carrier,dep_delay\nUA,10\nUA,20\nAA,-5\nAA,\n"
AIRLINES = "carrier,name\nUA,United\nAA,American\n"


def block(language: str) -> str:
    """The first code block of a language in README.md."""
    found = re.search(rf"```{language}\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert found, f"README.md has no {language} block"
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flights.csv").write_text(FLIGHTS)
    (tmp_path / "airlines.csv").write_text(AIRLINES)
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_block_runs(folder: Path) -> None:
    shown = run([sys.executable, "-c", block("python")], folder)
    assert "United" in shown
    assert pq.read_table(folder / "delays.parquet").to_pylist() == [
        {"name": "United", "delay": 15.0},
        {"name": "American", "delay": -5.0},
    ]


def test_runtime_block_runs(folder: Path) -> None:
    text = (REPOSITORY / "README.md").read_text()
    [program] = re.findall(r"```python\n(import sheaf as ray\n.*?)```", text, re.DOTALL)
    assert run([sys.executable, "-c", program], folder) == "[0, 1, 5, 14]\n"


def test_sql_block_runs(folder: Path) -> None:
    (folder / "query.sql").write_text(block("sql"))
    command = str(Path(sys.executable).with_name("sheaf"))
    shown = run([command, "sql", "-f", "query.sql", "--format", "csv"], folder)
    assert shown.splitlines() == ["name,delay", "United,15.0", "American,-5.0"]
