"""Measures Sheaf and its peers side by side, checks their rows, and writes the table: `make bench`.

Each case runs on one engine after the other, each in a process of its own, so that none profits from another's caches
or suffers from its memory. The order of engines turns from case to case.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa

from cases import REFERENCE, Case, all_cases, selected
from compare import difference
from engines import ENGINES, Engine
from host import cores, description, installed
from inputs import prepare
from outcomes import Outcome, Row, without_folders
from processes import adopt_orphans, run_child
from report import BEGIN, END, as_json, summary, with_table, write_json
from table import markdown

REPOSITORY = Path(__file__).parent.parent
NUMBER_ROWS = 100_000_000
STRING_ROWS = 10_000_000
# What --quick divides the rows of the map_batches cases by.
QUICK = 100

# The queries whose ORDER BY names a key of the result, so that the order of rows is part of the answer.
TOTALLY_ORDERED = {1, 2, 4, 7, 8, 9, 12, 13, 15, 16, 20, 21, 22}


def arguments(given: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="TPC-H scale factor (default 1)")
    parser.add_argument(
        "--runs", type=int, default=3, help="timed runs after the warm one; the best counts (default 3)"
    )
    parser.add_argument("--quick", action="store_true", help="one timed run, map_batches over 100 times fewer rows")
    parser.add_argument("--engines", default="", help="comma-separated; default: all that are installed")
    parser.add_argument("--cases", default="", help="comma-separated names such as q17, tpch, csv, numpy; default: all")
    parser.add_argument("--threads", type=int, default=cores(), help="for every engine alike")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds that one engine may take on one case")
    parser.add_argument("--data", type=Path, default=REPOSITORY / "bench-data", help="folder of the inputs")
    parser.add_argument("--out", type=Path, help="the JSON file (default: results.json in the data folder)")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md too")
    return parser.parse_args(given)


def chosen(names: str, engines: Sequence[Engine]) -> list[Engine]:
    """Those of the engines that were asked for, or all."""
    wanted = [name for name in names.split(",") if name]
    if unknown := set(wanted) - {engine.module for engine in engines}:
        raise ValueError(f"no engine named {', '.join(sorted(unknown))}")
    return [engine for engine in engines if not wanted or engine.module in wanted]


class Race:
    """One run: what all cases share."""

    def __init__(self, engines: list[Engine], scratch: Path, runs: int, timeout: float) -> None:
        self.engines = engines
        self.scratch = scratch
        self.runs = runs
        self.timeout = timeout

    def case(self, case: Case, turn: int) -> Row:
        """A case on each of its engines, then their rows against the reference's."""
        racing = [engine for engine in self.engines if engine.module in case.engines]
        turned = racing[turn % len(racing) :] + racing[: turn % len(racing)] if racing else []
        results = {engine.module: self.measured(engine, case) for engine in turned}
        if REFERENCE not in results:
            results[REFERENCE] = self.child(REFERENCE, case, runs=1, warm_up=False)
        outcomes = {engine.module: self.outcome(engine.module, case, results) for engine in racing}
        self.remove_rows()
        return outcomes

    def measured(self, engine: Engine, case: Case) -> dict[str, Any]:
        """One engine's result; that it is not installed is a result too."""
        if installed(engine) is None:
            return {"error": f"{engine.title} is not installed"}
        return self.child(engine.module, case, runs=self.runs, warm_up=True)

    def child(self, module: str, case: Case, *, runs: int, warm_up: bool) -> dict[str, Any]:
        """One engine's result, told."""
        result = self.asked(module, case, runs=runs, warm_up=warm_up)
        said = result.get("error") or f"{min(result['seconds']):.3f} s, {result['peak_bytes'] / 1e6:,.0f} MB"
        print(f"{case.name:>7} {module:<10} {said}", file=sys.stderr, flush=True)
        return result

    def asked(self, module: str, case: Case, *, runs: int, warm_up: bool) -> dict[str, Any]:
        """One engine's result from a process of its own."""
        return run_child(
            module,
            case,
            self.scratch,
            runs=runs,
            warm_up=warm_up,
            timeout=self.timeout,
            rows=self.rows_path(module),
        )

    def outcome(self, module: str, case: Case, results: dict[str, dict[str, Any]]) -> Outcome:
        """A result, if its rows are right."""
        result = results[module]
        if "error" in result:
            return Outcome(problem=without_folders(result["error"]))
        problem = None
        if "error" in results[REFERENCE]:
            problem = f"no rows to compare with: {results[REFERENCE]['error']}"
        elif module != REFERENCE:
            problem = difference(self.rows(REFERENCE), self.rows(module), ordered=case.query in TOTALLY_ORDERED)
            problem = problem and f"rows differ from DuckDB's: {problem}"
        if problem:
            print(f"{case.name:>7} {module:<10} {problem}", file=sys.stderr, flush=True)
            return Outcome(problem=problem)
        return Outcome(seconds=min(result["seconds"]), peak_bytes=result["peak_bytes"])

    def rows_path(self, module: str) -> Path:
        """Where a child leaves its rows."""
        return self.scratch / f"{module}.arrow"

    def rows(self, module: str) -> pa.Table:
        """The rows that a child left."""
        with pa.OSFile(str(self.rows_path(module))) as source:
            return pa.ipc.open_file(source).read_all()

    def remove_rows(self) -> None:
        """Forget the rows of this case."""
        for path in self.scratch.glob("*.arrow"):
            path.unlink()


def run(options: argparse.Namespace) -> str:
    """The whole run; returns the text for README."""
    runs = 1 if options.quick else options.runs
    fewer = QUICK if options.quick else 1
    engines = chosen(options.engines, ENGINES)
    inputs = prepare(options.data.resolve(), options.scale, NUMBER_ROWS // fewer, STRING_ROWS // fewer)
    with tempfile.TemporaryDirectory(prefix="sheaf-bench-") as folder:
        scratch = Path(folder)
        cases = selected(
            all_cases(inputs, options.threads, scratch), [name for name in options.cases.split(",") if name]
        )
        race = Race(engines, scratch, runs, options.timeout)
        rows = [race.case(case, turn) for turn, case in enumerate(cases)]
    host = description(engines)
    settings = {"scale": options.scale, "runs": runs, "threads": options.threads, "quick": options.quick}
    write_json(options.out or options.data / "results.json", as_json(host, settings, cases, rows))
    return f"{markdown(cases, rows, engines)}\n\n{summary(host, settings)}"


def stopped(*_: object) -> NoReturn:
    """End as after Ctrl-C, so that children and folders are cleared."""
    raise SystemExit("stopped")


def command(
    script: str,
    options: argparse.Namespace,
    measure: Callable[[argparse.Namespace], str],
    begin: str = BEGIN,
    end: str = END,
) -> None:
    """Measures, prints the table, and writes it into README between two markers if that is asked for."""
    signal.signal(signal.SIGTERM, stopped)
    adopt_orphans()
    try:
        text = measure(options)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f"{script}: {error}") from error
    print(text)
    if options.readme:
        readme = REPOSITORY / "README.md"
        readme.write_text(with_table(readme.read_text(), text, begin, end))


def main() -> None:
    """The command."""
    command("run.py", arguments(sys.argv[1:]), run)


if __name__ == "__main__":
    main()
