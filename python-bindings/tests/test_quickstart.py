"""The demo runs to its end on the real flights, by Python and by the command line."""

import csv
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from statistics import mean

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


def steps(told: str) -> dict[str, list[str]]:
    """The lines that each step printed, by its title."""
    parts = (part.splitlines() for part in told.split("\n## ")[1:])
    return {title: lines for title, *lines in parts}


def table(lines: list[str]) -> list[dict[str, str]]:
    """The rows of a printed table."""
    head, *rows = ([cell.strip() for cell in line[1:-1].split("|")] for line in lines if line.startswith("|"))
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_quickstart_runs(demo: tuple[Path, str]) -> None:
    folder, told = demo
    assert "336,776 flights in 12 folders" in told
    assert "pandas (16, 4), polars (16, 4), pyarrow (16, 4)" in told
    assert (folder / "demo-data/in_air.parquet").stat().st_size > 0


def test_quickstart_prints_carriers_by_hour(demo: tuple[Path, str]) -> None:
    folder, told = demo
    delays = defaultdict(list)
    with (folder / "demo-data/csv/flights.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["dep_delay"] not in ("", "NA"):
                delays[row["carrier"], int(row["hour"])].append(int(row["dep_delay"]))
    expected = [(*key, len(delays[key]), mean(delays[key]), max(delays[key])) for key in sorted(delays)[:5]]
    printed = table(steps(told)["delays by carrier and hour: the verbs and SQL agree"])
    assert len(printed) == 5
    for row, (carrier, hour, flights, delay, worst) in zip(printed, expected, strict=True):
        mean_delay = float(row.pop("mean_delay"))
        assert row == {"carrier": carrier, "hour": str(hour), "flights": str(flights), "worst": str(worst)}
        assert mean_delay == pytest.approx(delay)


def test_quickstart_prints_airlines(demo: tuple[Path, str]) -> None:
    folder, told = demo
    with (folder / "demo-data/csv/airlines.csv").open(newline="") as file:
        airlines = {row["carrier"]: row["name"] for row in csv.DictReader(file)}
    latest = table(steps(told)["flights with their airline, plane and weather"])
    assert list(latest[0]) == ["name", "flights", "mean_seats", "delay_in_wind", "mean_delay"]
    assert len({row["name"] for row in latest} & set(airlines.values())) == 10
    in_air = table(steps(told)["a NumPy function and a pandas function inside the plan"])
    assert list(in_air[0]) == ["carrier", "minutes_gained", "median_speed", "name"]
    assert len(in_air) == 10
    assert all(airlines[row["carrier"]].startswith(row["name"]) for row in in_air)
    for rows, column in ((latest, "mean_delay"), (in_air, "minutes_gained")):
        numbers = [float(row[column]) for row in rows]
        assert numbers == sorted(numbers, reverse=True)


def test_quickstart_prints_times(demo: tuple[Path, str]) -> None:
    _, told = demo
    lasts = [lines[-1] for lines in steps(told).values()]
    assert len(lasts) == 7
    assert [line for line in lasts if not re.fullmatch(r"   \d+\.\d\d s", line)] == []
    assert 0 < sum(float(line.split()[0]) for line in lasts) < LIMIT_SECONDS


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
