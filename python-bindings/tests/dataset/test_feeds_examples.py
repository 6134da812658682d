"""The programs of `examples/dataset` that train print what they are to print."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/dataset"
EXPECTED = EXAMPLES / "expected"
# Each program with what it is about.
PROGRAMS = {
    "train_sklearn": "sklearn",
    "train_xgboost": "xgboost",
    "train_lightgbm": "lightgbm",
    "train_torch": "torch",
    "train_torch_distributed": "torch",
}
LIMIT_SECONDS = 120
LONGEST_LINES = 150


def test_every_program_is_known_and_short() -> None:
    found = {path.stem: path for path in EXAMPLES.glob("train_*.py")}
    assert set(found) == set(PROGRAMS)
    readme = (EXAMPLES / "README.md").read_text()
    for name, path in found.items():
        assert (EXPECTED / f"{name}.txt").read_text().count("True") >= 1, name
        assert f"]({path.name})" in readme
        assert len(path.read_text().splitlines()) <= LONGEST_LINES, name


@pytest.mark.parametrize("program", PROGRAMS)
def test_example_prints_what_it_is_to_print(program: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(PROGRAMS[program]) is None:
        pytest.skip(f"{PROGRAMS[program]} is not installed")
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{program}.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (EXPECTED / f"{program}.txt").read_text(), done.stderr
    assert list(tmp_path.iterdir()) == []
