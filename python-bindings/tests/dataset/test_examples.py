"""The programs of `examples/dataset` that books have print what they are to print."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/dataset"
PROGRAMS = ["median_fill", "rolling_average", "weighted_mean", "word_count"]
LIMIT_SECONDS = 60
LONGEST_LINES = 150


def test_every_program_is_known_and_short() -> None:
    found = {path.stem: path for path in EXAMPLES.glob("*.py") if not path.stem.startswith("train_")}
    assert sorted(found) == PROGRAMS
    readme = (EXAMPLES / "README.md").read_text()
    for path in found.values():
        assert f"]({path.name})" in readme
        assert len(path.read_text().splitlines()) <= LONGEST_LINES


@pytest.mark.parametrize("program", PROGRAMS)
def test_example_prints_what_it_is_to_print(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{program}.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (EXAMPLES / "expected" / f"{program}.txt").read_text()
    assert list(tmp_path.iterdir()) == []
