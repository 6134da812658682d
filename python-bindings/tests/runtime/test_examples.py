"""The programs of `examples/runtime` print what they print under Ray, where that can run them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples/runtime"
EXPECTED = EXAMPLES / "expected"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
LIMIT_SECONDS = 60


def test_every_program_has_its_output() -> None:
    assert len(PROGRAMS) >= 12
    assert [path.stem for path in PROGRAMS] == sorted(path.stem for path in EXPECTED.glob("*.txt"))
    readme = (EXAMPLES / "README.md").read_text()
    assert [path.name for path in PROGRAMS if f"]({path.name})" not in readme] == []


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_example_prints_what_it_prints_under_ray(program: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (EXPECTED / f"{program.stem}.txt").read_text()
    assert list(tmp_path.iterdir()) == []
