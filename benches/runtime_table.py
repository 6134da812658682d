"""Lays the figures of Sheaf's runtime and Ray's out as Markdown: one row for each, their ratio and its goal last."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from table import ABSENT, Notes, joined
from workloads import Figure, Program


@dataclass(frozen=True)
class Found:
    """What came of a program on an engine: samples of its figures, or what went wrong."""

    samples: Mapping[str, Sequence[float]]
    problem: str | None = None
    # Of a program that queues tasks: how many, where it was not as many as the row says.
    tasks: int | None = None


# By engine.
Pair = Mapping[str, Found]


def value(found: Found, figure: Figure) -> float | None:
    """The median of a figure."""
    samples = found.samples.get(figure.key)
    return median(samples) if samples else None


def ratio(pair: Pair, figure: Figure, tasks: int) -> float | None:
    """Sheaf's figure over Ray's; where one queued fewer tasks, for as many."""
    values = [value(pair[engine], figure) for engine in ("sheaf", "ray")]
    if values[0] is None or not values[1]:
        return None
    counts = [pair[engine].tasks or tasks for engine in ("sheaf", "ray")]
    return (values[0] / counts[0]) / (values[1] / counts[1])


def reached(figure: Figure, found: float) -> bool:
    """Whether a ratio is what was asked for."""
    if figure.goal is None:
        return True
    return found >= figure.goal if figure.higher else found <= figure.goal


def markdown(programs: Sequence[Program], pairs: Sequence[Pair], tasks: int) -> str:
    """The table and its notes."""
    notes = Notes()
    lines = [
        joined(["the runtime", "unit", "Sheaf", "Ray", "Sheaf / Ray", "goal"]),
        joined(["---", "---", "---:", "---:", "---:", "---:"]),
    ]
    for program, pair in zip(programs, pairs, strict=True):
        lines += [line(figure, pair, tasks, notes) for figure in program.figures]
    return "\n".join(lines) + ("\n\n" + "\n".join(notes.lines()) if notes.texts else "")


def line(figure: Figure, pair: Pair, tasks: int, notes: Notes) -> str:
    """One row; a ratio that reaches its goal is bold."""
    cells = [cell(figure, pair[engine], notes) for engine in ("sheaf", "ray")]
    found = ratio(pair, figure, tasks)
    title = figure.title.replace("1,000,000", f"{tasks:,}")
    return joined([title, figure.unit, *cells, shown_ratio(figure, found), shown_goal(figure)])


def cell(figure: Figure, found: Found, notes: Notes) -> str:
    """One figure: a number, or a mark that leads to what went wrong."""
    number = value(found, figure)
    if number is None:
        return f"✗ {notes.mark(found.problem or 'no result')}"
    if found.tasks is not None:
        return f"{shown(number)} {notes.mark(f'with {found.tasks:,} tasks; with more: {found.problem}')}"
    return shown(number)


def shown(number: float) -> str:
    """Three digits that mean something."""
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.3g}" if abs(number) < 1 else f"{number:.2f}"


def shown_ratio(figure: Figure, found: float | None) -> str:
    """A ratio."""
    if found is None:
        return ABSENT
    return f"**{shown(found)}**" if figure.goal is not None and reached(figure, found) else shown(found)


def shown_goal(figure: Figure) -> str:
    """What was asked for."""
    if figure.goal is None:
        return ABSENT
    return f"{'≥' if figure.higher else '≤'} {figure.goal:.2g}"
