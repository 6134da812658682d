"""Lays outcomes out as Markdown: one row for each case, a column for each engine, the ratio last."""

from collections.abc import Sequence

from cases import Case
from engines import Engine
from outcomes import Outcome, Row, common_rows, own_total, ratio, total_row

ABSENT = "–"


class Notes:
    """Footnotes: each problem is told once, below the tables."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        """The mark of a note."""
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"

    def lines(self) -> list[str]:
        """The notes in the order of their marks."""
        return [f"{index}. {escaped(text)}" for index, text in enumerate(self.texts, 1)]


def markdown(cases: Sequence[Case], rows: Sequence[Row], engines: Sequence[Engine]) -> str:
    """Both tables and their notes."""
    notes = Notes()
    queries = [(case, row) for case, row in zip(cases, rows, strict=True) if case.query]
    others = [(case, row) for case, row in zip(cases, rows, strict=True) if not case.query]
    parts = []
    if queries:
        parts.append(queries_table(queries, taking_part(queries, engines), notes))
    if others:
        parts.append(others_table(others, taking_part(others, engines), notes))
    if notes.texts:
        parts.append("\n".join(notes.lines()))
    return "\n\n".join(parts)


def taking_part(pairs: Sequence[tuple[Case, Row]], engines: Sequence[Engine]) -> list[Engine]:
    """The engines that have an outcome in at least one of these rows."""
    return [engine for engine in engines if any(engine.module in row for _, row in pairs)]


def queries_table(pairs: Sequence[tuple[Case, Row]], engines: Sequence[Engine], notes: Notes) -> str:
    """TPC-H: seconds for each query, then the totals and the memory."""
    modules = [engine.module for engine in engines]
    rows = [row for _, row in pairs]
    lines = header("TPC-H, seconds", engines)
    lines += [line(case.title, row, modules, notes) for case, row in pairs]
    lines.append(line(f"**all {len(rows)}**", total_row(rows, modules), modules, notes))
    common = common_rows(rows, modules)
    if common and len(common) < len(rows):
        title = f"the {len(common)} that every engine answered"
        lines.append(line(title, total_row(common, modules), modules, notes))
    answered = [own_total(rows, module) for module in modules]
    cells = [f"{total[0]:.2f} ({total[1]})" if total else ABSENT for total in answered]
    lines.append(joined(["own total (queries)", *cells, ""]))
    peaks = [max((row[module].peak_bytes or 0 for row in rows if module in row), default=0) for module in modules]
    lines.append(joined(["peak memory of a query", *(megabytes(peak) if peak else ABSENT for peak in peaks), ""]))
    return "\n".join(lines)


def others_table(pairs: Sequence[tuple[Case, Row]], engines: Sequence[Engine], notes: Notes) -> str:
    """The other cases: seconds and memory in one cell."""
    modules = [engine.module for engine in engines]
    lines = header("seconds · peak memory", engines)
    lines += [line(case.title, row, modules, notes, memory=True) for case, row in pairs]
    return "\n".join(lines)


def header(first: str, engines: Sequence[Engine]) -> list[str]:
    """The two lines that open a table."""
    return [
        joined([first, *(engine.title for engine in engines), "Sheaf / best peer"]),
        joined(["---", *("---:" for _ in engines), "---:"]),
    ]


def line(title: str, row: Row, modules: Sequence[str], notes: Notes, *, memory: bool = False) -> str:
    """One row."""
    found = ratio(row)
    cells = [cell(row.get(module), notes, memory=memory) for module in modules]
    return joined([title, *cells, f"{found:.2f}" if found is not None else ABSENT])


def cell(outcome: Outcome | None, notes: Notes, *, memory: bool) -> str:
    """One outcome: a time, or a mark that leads to what went wrong."""
    if outcome is None:
        return ABSENT
    if outcome.seconds is None:
        return f"✗ {notes.mark(outcome.problem or 'no result')}"
    text = f"{outcome.seconds:.3f}" if outcome.seconds < 1 else f"{outcome.seconds:.2f}"
    return f"{text} · {megabytes(outcome.peak_bytes)}" if memory and outcome.peak_bytes else text


def megabytes(size: int) -> str:
    """A size in memory."""
    return f"{size / 1e6:,.0f} MB"


def joined(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Text of an error, made harmless in Markdown."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
