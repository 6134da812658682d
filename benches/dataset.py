"""Measures the verbs of datasets beside their peers, checks the rows, and writes the table: `make bench-dataset`.

Each case runs on one engine after the other, each in a process of its own; the order of engines turns from case to
case. A time is the best of the timed runs, after a warm one.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from cases import selected
from dataset_cases import Sizes, dataset_cases
from dataset_engines import ENGINES
from dataset_inputs import prepare
from host import cores, description
from outcomes import Row
from report import DATASET_BEGIN, DATASET_END, as_json, versions, write_json
from run import REPOSITORY, Race, chosen, command
from table import markdown


def arguments(given: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--divide", type=int, default=1, help="measure over this many times fewer rows and bytes")
    parser.add_argument(
        "--runs", type=int, default=1, help="timed runs after the warm one; the best counts (default 1)"
    )
    parser.add_argument("--engines", default="", help="comma-separated; default: all that are installed")
    parser.add_argument("--cases", default="", help="comma-separated names such as g01, j5, sort; default: all")
    parser.add_argument("--threads", type=int, default=cores(), help="for every engine alike")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds that one engine may take on one case")
    parser.add_argument("--data", type=Path, default=REPOSITORY / "bench-data" / "dataset", help="folder of the inputs")
    parser.add_argument("--out", type=Path, help="the JSON file (default: results.json in the data folder)")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md too")
    return parser.parse_args(given)


def run(options: argparse.Namespace) -> str:
    """The whole run; returns the text for README."""
    sizes = Sizes().divided(options.divide)
    engines = chosen(options.engines, ENGINES)
    inputs = prepare(options.data.resolve(), sizes)
    # What is written is beside the inputs: it may be more than a folder for temporary files holds. The children run in
    # such a folder all the same: the paths of Ray's sockets may have 107 characters.
    written = tempfile.TemporaryDirectory(prefix="run-", dir=options.data)
    with written as outputs, tempfile.TemporaryDirectory(prefix="sheaf-bench-") as scratch:
        names = [name for name in options.cases.split(",") if name]
        cases = selected(dataset_cases(inputs, sizes, options.threads, Path(outputs).resolve()), names)
        race = Race(engines, Path(scratch), options.runs, options.timeout)
        rows: list[Row] = [race.case(case, turn) for turn, case in enumerate(cases)]
    host = description(engines)
    settings = {"sizes": vars(sizes), "runs": options.runs, "threads": options.threads}
    write_json(options.out or options.data / "results.json", as_json(host, settings, cases, rows))
    said = f"{options.threads} threads; warm, best of {options.runs}" + (
        f"; sizes divided by {options.divide}" if options.divide > 1 else ""
    )
    return f"{markdown(cases, rows, engines)}\n\n{versions(host, said)}"


def main() -> None:
    """The command."""
    command("dataset.py", arguments(sys.argv[1:]), run, DATASET_BEGIN, DATASET_END)


if __name__ == "__main__":
    main()
