"""Lays the outcomes of `make bench-cluster` out as Markdown: Sheaf is beside the best peer and its own process.

In a ratio "Sheaf" is its cluster with the durable exchange.
"""

from collections.abc import Iterable, Sequence
from statistics import geometric_mean

from cases import Case
from cluster_engines import LOCAL, STREAMING
from engines import Engine
from outcomes import SUBJECT, Outcome, Row, common_rows, own_total, ratio, total_row
from table import ABSENT, Notes, cell, joined, megabytes, taking_part

MILLISECONDS = ("first",)
# What else is Sheaf's, and no peer of it.
OWN = (STREAMING, LOCAL)
RATIOS = ("Sheaf / in process", "streaming / in process", "Sheaf / best peer")


def peers(row: Row) -> Row:
    """Sheaf and its peers: the row without what else is Sheaf's."""
    return {module: outcome for module, outcome in row.items() if module not in OWN}


def over_local(row: Row, module: str) -> float | None:
    """An engine's time over that of Sheaf in process."""
    mine, local = row.get(module), row.get(LOCAL)
    if mine is None or local is None or mine.seconds is None or not local.seconds:
        return None
    return mine.seconds / local.seconds


def mean_over_local(rows: Iterable[Row], module: str) -> float | None:
    """The geometric mean of that, over the rows that both answered."""
    found = [each for row in rows if (each := over_local(row, module)) is not None]
    return geometric_mean(found) if found else None


def markdown(cases: Sequence[Case], rows: Sequence[Row], engines: Sequence[Engine]) -> str:
    """Both tables and their notes."""
    notes = Notes()
    pairs = list(zip(cases, rows, strict=True))
    queries = [(case, row) for case, row in pairs if case.query]
    others = [(case, row) for case, row in pairs if not case.query]
    parts = []
    if queries:
        parts.append(queries_table(queries, taking_part(queries, engines), notes))
    if others:
        parts.append(others_table(others, taking_part(others, engines), notes))
    if notes.texts:
        parts.append("\n".join(notes.lines()))
    return "\n\n".join(parts)


def header(first: Sequence[str], engines: Sequence[Engine]) -> list[str]:
    """The two lines that open a table."""
    titles = [*(engine.title for engine in engines), *RATIOS]
    return [joined([*first, *titles]), joined([*("---" for _ in first), *("---:" for _ in titles)])]


def queries_table(pairs: Sequence[tuple[Case, Row]], engines: Sequence[Engine], notes: Notes) -> str:
    """TPC-H: seconds for each query, then what they say together."""
    modules = [engine.module for engine in engines]
    rows = [row for _, row in pairs]
    lines = header(["TPC-H, seconds"], engines)
    lines += [line([case.title], row, modules, notes) for case, row in pairs]
    lines.append(line([f"**all {len(rows)}**"], total_row(rows, modules), modules, notes))
    common = common_rows(rows, modules)
    if common and len(common) < len(rows):
        title = f"the {len(common)} that every engine answered"
        lines.append(line([title], total_row(common, modules), modules, notes))
    totals = [own_total(rows, module) for module in modules]
    means = [mean_over_local(rows, module) for module in modules]
    peaks = [max((row[module].peak_bytes or 0 for row in rows if module in row), default=0) for module in modules]
    own = [f"{total[0]:.2f} ({total[1]})" if total else ABSENT for total in totals]
    without = [""] * len(RATIOS)
    lines.append(joined(["own total (queries)", *own, *without]))
    lines.append(joined(["× Sheaf in process, geometric mean", *map(shown, means), *without]))
    lines.append(joined(["peak memory", *(megabytes(peak) if peak else ABSENT for peak in peaks), *without]))
    return "\n".join(lines)


def others_table(pairs: Sequence[tuple[Case, Row]], engines: Sequence[Engine], notes: Notes) -> str:
    """The other cases, each with its unit."""
    modules = [engine.module for engine in engines]
    lines = header(["on the cluster", "unit"], engines)
    for case, row in pairs:
        quick = case.name in MILLISECONDS
        lines.append(line([case.title, "ms" if quick else "s"], row, modules, notes, milliseconds=quick))
    return "\n".join(lines)


def line(first: Sequence[str], row: Row, modules: Sequence[str], notes: Notes, *, milliseconds: bool = False) -> str:
    """One row."""
    cells = [figure(row.get(module), notes, milliseconds=milliseconds) for module in modules]
    ratios = (over_local(row, SUBJECT), over_local(row, STREAMING), ratio(peers(row)))
    return joined([*first, *cells, *map(shown, ratios)])


def figure(outcome: Outcome | None, notes: Notes, *, milliseconds: bool) -> str:
    """One outcome."""
    if milliseconds and outcome is not None and outcome.seconds is not None:
        return f"{outcome.seconds * 1000:,.1f}"
    return cell(outcome, notes, memory=False)


def shown(found: float | None) -> str:
    """A ratio, if there is one."""
    return ABSENT if found is None else f"{found:.2f}"
