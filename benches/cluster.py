"""Measures Sheaf on a cluster beside its peers on theirs, checks the rows, and writes the table: `make bench-cluster`.

Each case runs on one engine after the other; the order turns from case to case. A cluster is started once for each
engine, in a process of its own, and stopped at the end. A time is the best of the timed runs, after a warm one.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cases import REFERENCE, Case, selected
from child import Request
from cluster_cases import FOLDER, NODES, cluster_cases
from cluster_engines import BESIDE, ENGINES, LOCAL, STREAMING
from cluster_inputs import prepare
from cluster_table import OWN, markdown, over_local, peers
from engines import Engine
from host import description
from outcomes import SUBJECT, Row
from processes import end_descendants
from report import CLUSTER_BEGIN, CLUSTER_END, as_json, versions, write_json
from residents import Resident
from run import REPOSITORY, Race, chosen, command


def arguments(given: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="TPC-H scale factor (default 1)")
    parser.add_argument(
        "--runs", type=int, default=3, help="timed runs after the warm one; the best counts (default 3)"
    )
    parser.add_argument("--engines", default="", help="comma-separated; default: all that are installed")
    parser.add_argument(
        "--cases", default="", help="comma-separated names such as q17, tpch, first, undisturbed, killed"
    )
    parser.add_argument("--files", type=int, default=1000, help="of which the first row is wanted (default 1,000)")
    parser.add_argument("--killed", type=int, default=9, help="the query during which a node is killed (default 9)")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds that one engine may take on one case")
    parser.add_argument("--data", type=Path, default=REPOSITORY / "bench-data", help="folder of the inputs")
    parser.add_argument("--out", type=Path, help="the JSON file (default: cluster.json in the data folder)")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md too")
    return parser.parse_args(given)


class ClusterRace(Race):
    """One run, in which the engines stay."""

    def __init__(self, engines: list[Engine], residents: dict[str, Resident], scratch: Path, options: Any) -> None:
        super().__init__(engines, scratch, options.runs, options.timeout)
        self._residents = residents

    def asked(self, module: str, case: Case, *, runs: int, warm_up: bool) -> dict[str, Any]:
        """One engine's result from its own process, which is there for all cases."""
        # Before a kill the engine runs the query undisturbed, as often as it needs to.
        warm_up = warm_up and case.work != "killed"
        request = Request(module, case, warm_up=warm_up, runs=runs, rows=self.rows_path(module))
        return self._residents[module].ask(request, self.timeout)

    def case(self, case: Case, turn: int) -> Row:
        """A case on each of its engines; then how often Sheaf in process could have done it meanwhile."""
        row = super().case(case, turn)
        found = {module: over_local(row, module) for module in row if module != LOCAL}
        said = ", ".join(f"{module} {times:.2f}" for module, times in found.items() if times is not None)
        if said:
            print(f"{case.name:>7} × in process: {said}", file=sys.stderr, flush=True)
        return row


@contextmanager
def resident(engines: Sequence[Engine], scratch: Path) -> Iterator[dict[str, Resident]]:
    """The processes of these engines and of the reference: none has begun, and all have ended afterwards."""
    with ExitStack() as ending:
        ending.callback(end_descendants)
        there = {}
        for module in [*(engine.module for engine in engines), REFERENCE]:
            there[module] = Resident(f"{FOLDER}.{module}", scratch / module, NODES)
            ending.callback(there[module].stop)
        yield there


def results(host: dict[str, Any], settings: dict[str, Any], cases: list[Case], rows: list[Row]) -> dict[str, Any]:
    """Everything that was measured; what else is Sheaf's is no peer."""
    found = as_json(host, settings, cases, [peers(row) for row in rows])
    for entry, row in zip(found["cases"], rows, strict=True):
        entry["outcomes"] |= {module: asdict(row[module]) for module in OWN if module in row}
        entry["over_in_process"] = over_local(row, SUBJECT)
        entry["streaming_over_in_process"] = over_local(row, STREAMING)
    return found


def run(options: argparse.Namespace) -> str:
    """The whole run; returns the text for README."""
    engines = chosen(options.engines, ENGINES)
    inputs = prepare(options.data.resolve(), options.scale, options.files)
    cases = selected(cluster_cases(inputs, options.killed), [name for name in options.cases.split(",") if name])
    # The paths of Ray's sockets may have 107 characters: a short folder.
    with tempfile.TemporaryDirectory(prefix="sheaf-bench-") as folder, resident(engines, Path(folder)) as residents:
        race = ClusterRace(engines, residents, Path(folder), options)
        rows: list[Row] = [race.case(case, turn) for turn, case in enumerate(cases)]
    host = description([*engines, *BESIDE])
    settings = {"scale": options.scale, "runs": options.runs, "nodes": NODES, "files": options.files}
    write_json(options.out or options.data / "cluster.json", results(host, settings, cases, rows))
    said = (
        f"{NODES} nodes of 1 CPU on {host['cores']} cores, in process {NODES} threads; "
        f"TPC-H scale {options.scale:g}; warm, best of {options.runs}"
    )
    return f"{markdown(cases, rows, engines)}\n\n{versions(host, said)}"


def main() -> None:
    """The command."""
    command("cluster.py", arguments(sys.argv[1:]), run, CLUSTER_BEGIN, CLUSTER_END)


if __name__ == "__main__":
    main()
