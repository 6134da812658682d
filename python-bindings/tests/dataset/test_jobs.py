"""Writes that go on where they were: programs are killed at random moments and run again."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import sheaf as sf

SHEAF = [sys.executable, "-c", "import sys; from sheaf._cli import main; sys.exit(main())"]
LIMIT_SECONDS = 60
KILLS = 20
# About as many as an attempt has recorded before its end.
MOST_FILES = 14
# The function sleeps, so that a kill at a random moment meets each stage.
PROGRAM = """
import sys, time
import pyarrow as pa
import sheaf as sf

folder, target = sys.argv[1:]

def slow(batch):
    time.sleep(0.03)
    return batch

session = sf.Session(threads=2)
numbers = pa.schema({"k": pa.int64(), "v": pa.int64()})
sales = session.read_parquet(f"{folder}/sales").map_batches(slow, 250, schema=numbers)
names = session.read_parquet(f"{folder}/names")
sums = sales.groupby("k").agg(total=sf.col("v").sum(), rows=sf.col("v").count())
joined = sums.join(names, on="k", how="left").map_batches(slow, 10, schema=pa.schema(
    {"k": pa.int64(), "total": pa.int64(), "rows": pa.int64(), "name": pa.string_view()}))
print(joined.sort("total").write_parquet(target, job="sums").rows)
"""


def write_inputs(folder: Path) -> None:
    for part in range(4):
        ids = list(range(part * 500, part * 500 + 500))
        rows = sf.from_pydict({"k": [at * 7 % 90 for at in ids], "v": ids})
        rows.write_parquet(folder / "sales" / f"{part}.parquet")
    sf.from_pydict({"k": list(range(80)), "name": [f"name {at}" for at in range(80)]}).write_parquet(folder / "names")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, beside its inputs."""
    folder = tmp_path_factory.mktemp("job")
    write_inputs(folder)
    (folder / "program.py").write_text(PROGRAM)
    return folder / "program.py"


def started(program: Path, target: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(program), str(program.parent), str(target)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(program: Path, target: Path) -> str:
    with started(program, target) as child:
        output, errors = child.communicate(timeout=LIMIT_SECONDS)
    assert child.returncode == 0, errors
    return output.strip()


def rows_of(target: Path) -> list[dict[str, object]]:
    return sf.read_parquet(target).sort("total").to_arrow().to_pylist()


def killed(program: Path, target: Path, files: int) -> bool:
    """Runs the program until it has recorded this many files and kills it; whether it was killed before its end."""
    recorded = target / "_sheaf_jobs" / "sums"
    with started(program, target) as child:
        while child.poll() is None:
            if recorded.exists() and sum(1 for _ in recorded.iterdir()) >= files:
                child.kill()
                break
            time.sleep(0.001)
        child.communicate(timeout=LIMIT_SECONDS)
    return child.returncode == -signal.SIGKILL


def test_a_killed_program_goes_on_and_writes_every_row_once(program: Path, tmp_path: Path) -> None:
    assert finished(program, tmp_path / "unbroken") == "90"
    expected = rows_of(tmp_path / "unbroken")
    chance = random.Random(4)
    kills = 0
    for attempt in range(KILLS):
        target = tmp_path / f"killed-{attempt}"
        # Once or twice, at a random point of what is left.
        for _ in range(chance.randint(1, 2)):
            kills += killed(program, target, chance.randint(1, MOST_FILES))
        assert finished(program, target) == "90"
        assert rows_of(target) == expected, attempt
        assert not list(target.rglob("*#*")), "a killed attempt left an unfinished file"
        files = target.rglob("*.parquet")
        assert sum(pq.ParquetFile(path).metadata.num_rows for path in files) == 90, "a killed attempt left rows"
        assert {path.name for path in target.rglob("_sheaf_jobs/sums/*")} == {"job.json", "done.json"}
    assert kills >= KILLS / 2


def test_sheaf_job_resume_runs_the_program_again(program: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    with started(program, target) as child:
        while not (target / "_sheaf_jobs" / "sums" / "job.json").exists():
            assert child.poll() is None
        child.kill()
    told = subprocess.run(
        [*SHEAF, "job", "resume", str(target), "sums"], capture_output=True, text=True, timeout=LIMIT_SECONDS
    )
    assert (told.returncode, told.stdout.strip()) == (0, "90"), told.stderr
    assert sf.read_parquet(target).count() == 90
    shown = subprocess.run(
        [*SHEAF, "job", "resume", "--dry-run", str(target), "sums"], capture_output=True, text=True, timeout=30
    )
    assert str(program) in shown.stdout


def test_a_job_that_is_not_there_is_told(tmp_path: Path) -> None:
    told = subprocess.run(
        [*SHEAF, "job", "resume", str(tmp_path), "nightly"], capture_output=True, text=True, timeout=30
    )
    assert told.returncode == 3
    assert "there is no job" in told.stderr


def test_a_job_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    rows = sf.range(10)
    first = rows.write_parquet(tmp_path / "out", job="once")
    assert rows.write_parquet(tmp_path / "out", job="once") == first
    with pytest.raises(sf.errors.ConflictError, match="another plan or other data"):
        sf.range(11).write_parquet(tmp_path / "out", job="once")
    with pytest.raises(sf.errors.InvalidInputError, match="a job writes a folder"):
        rows.write_parquet(tmp_path / "out.parquet", job="once")
