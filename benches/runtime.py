"""Measures Sheaf's runtime beside Ray's in one run, and writes the table: `make bench-runtime`.

The programs in `workloads` run once with `import sheaf as ray` and once with `import ray`. Each run of a program has
processes of its own, driver and workers; the engines take turns in being first. A figure is the median of five samples.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from engines import ENGINES
from host import cores, description
from outcomes import without_folders
from processes import adopt_orphans, answer, child_environment
from report import RUNTIME_BEGIN, RUNTIME_END, with_table, write_json
from runtime_table import Found, Pair, markdown, ratio, value
from workloads import Program, Settings, chosen
from workloads.windows import SAMPLES

REPOSITORY = Path(__file__).parent.parent
RACING = tuple(engine for engine in ENGINES if engine.module in ("sheaf", "ray"))
# Tried where an engine does not get through the queue that was asked for.
FEWER_TASKS = 100_000


def arguments(given: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="steady state of a row (default 10)")
    parser.add_argument("--rows", default="", help="comma-separated names such as tasks_sync, idle; default: all")
    parser.add_argument("--cores", type=int, default=cores(), help="for both engines alike")
    parser.add_argument("--tasks", type=int, default=1_000_000, help="how many to queue (default 1,000,000)")
    parser.add_argument("--starts", type=int, default=SAMPLES, help="runs of what starts the runtime (default 5)")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds that one run may take (default 900)")
    parser.add_argument(
        "--out", type=Path, default=REPOSITORY / "bench-data" / "runtime.json", help="the JSON file of all samples"
    )
    parser.add_argument("--readme", action="store_true", help="write the table into README.md too")
    return parser.parse_args(given)


class Race:
    """One run: what all programs share."""

    def __init__(self, scratch: Path, settings: Settings, starts: int, timeout: float) -> None:
        self.scratch = scratch
        self.settings = settings
        self.starts = starts
        self.timeout = timeout

    def pair(self, program: Program, turn: int) -> Pair:
        """A program on both engines."""
        order = [engine.module for engine in RACING]
        if turn % 2:
            order.reverse()
        if program.starts:
            return self.restarted(program, order)
        return {engine: self.found(program, engine) for engine in order}

    def restarted(self, program: Program, order: list[str]) -> Pair:
        """The samples of many short runs, one engine after the other."""
        runs = [(engine, self.run(program, engine, self.settings)) for _ in range(self.starts) for engine in order]
        return {engine: together([run for name, run in runs if name == engine]) for engine in order}

    def found(self, program: Program, engine: str) -> Found:
        """The samples of one run, with a shorter queue where that is what helps."""
        found = self.run(program, engine, self.settings)
        if found.problem is None or not program.queues or self.settings.tasks <= FEWER_TASKS:
            return found
        fewer = self.run(program, engine, Settings(self.settings.seconds, self.settings.cores, FEWER_TASKS))
        return found if fewer.problem else Found(fewer.samples, found.problem, FEWER_TASKS)

    def run(self, program: Program, engine: str, settings: Settings) -> Found:
        """One run, in a process of its own and with a folder that goes with it."""
        # A short name: Ray's sockets are folders deeper, and their paths have a limit.
        folder = self.scratch / "run"
        folder.mkdir()
        try:
            result = answer(
                "runtime_child.py",
                {"engine": engine, "program": program.name, "settings": asdict(settings)},
                folder,
                threads=settings.cores,
                timeout=self.timeout,
                environment=environment(settings.cores, folder),
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        found = Found(result.get("samples", {}), without_folders(result["error"]) if "error" in result else None)
        tell(program, engine, found)
        return found


def environment(threads: int, folder: Path) -> dict[str, str]:
    """No cluster but the run's own, and files only in its folder."""
    inherited = {name: text for name, text in os.environ.items() if name != "RAY_ADDRESS"}
    return child_environment(threads, inherited) | {"RAY_TMPDIR": str(folder), "TMPDIR": str(folder)}


def together(runs: list[Found]) -> Found:
    """The samples of all runs, or the problem of the first that had one."""
    problem = next((run.problem for run in runs if run.problem), None)
    if problem:
        return Found({}, problem)
    return Found({key: [sample for run in runs for sample in run.samples[key]] for key in runs[0].samples})


def tell(program: Program, engine: str, found: Found) -> None:
    """One line about a run."""
    figures = (
        f"{value(found, figure):,.4g} {figure.unit}" for figure in program.figures if figure.key in found.samples
    )
    print(f"{program.name:>16} {engine:<6} {found.problem or ', '.join(figures)}", file=sys.stderr, flush=True)


def as_json(host: dict[str, Any], settings: Settings, programs: list[Program], pairs: list[Pair]) -> dict[str, Any]:
    """Everything that was measured."""
    rows = [
        {
            "name": program.name,
            "found": {engine: asdict(found) for engine, found in pair.items()},
            "ratios": {figure.key: ratio(pair, figure, settings.tasks) for figure in program.figures},
        }
        for program, pair in zip(programs, pairs, strict=True)
    ]
    return {"host": host, "settings": asdict(settings), "rows": rows}


def summary(host: dict[str, Any], settings: Settings) -> str:
    """One paragraph on how the numbers came about."""
    versions = ", ".join(f"{name} {found}" for name, found in host["versions"].items() if found)
    machine = f"{host['processor']}, {settings.cores} cores, {host['memory_bytes'] / 1e9:.0f} GB"
    return (
        f"Measured on {host['date']}: {machine}; median of {SAMPLES} samples, {settings.seconds:g} s of steady state, "
        f"the queue once; bold: the goal is reached. {versions}."
    )


def run(options: argparse.Namespace) -> str:
    """The whole run; returns the text for README."""
    programs = chosen([name for name in options.rows.split(",") if name])
    settings = Settings(options.seconds, options.cores, options.tasks)
    with tempfile.TemporaryDirectory(prefix="sheaf-bench-") as folder:
        race = Race(Path(folder), settings, options.starts, options.timeout)
        pairs = [race.pair(program, turn) for turn, program in enumerate(programs)]
    host = description(RACING)
    write_json(options.out, as_json(host, settings, programs, pairs))
    return f"{markdown(programs, pairs, settings.tasks)}\n\n{summary(host, settings)}"


def stopped(*_: object) -> NoReturn:
    """End as after Ctrl-C, so that children and folders are cleared."""
    raise SystemExit("stopped")


def main() -> None:
    """The command."""
    signal.signal(signal.SIGTERM, stopped)
    adopt_orphans()
    options = arguments(sys.argv[1:])
    try:
        text = run(options)
    except ValueError as error:
        raise SystemExit(f"runtime.py: {error}") from error
    print(text)
    if options.readme:
        readme = REPOSITORY / "README.md"
        readme.write_text(with_table(readme.read_text(), text, RUNTIME_BEGIN, RUNTIME_END))


if __name__ == "__main__":
    main()
