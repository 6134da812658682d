"""What came of a case on an engine, and what the outcomes say together: best peers, ratios and totals."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

SUBJECT = "sheaf"


@dataclass(frozen=True)
class Outcome:
    """One cell of the table. An outcome with a problem has no time: a wrong or missing answer is not fast."""

    seconds: float | None = None
    peak_bytes: int | None = None
    problem: str | None = None


Row = Mapping[str, Outcome]


def best_peer(row: Row) -> tuple[str, float] | None:
    """The fastest engine beside Sheaf, and its time."""
    times = [
        (outcome.seconds, name) for name, outcome in row.items() if name != SUBJECT and outcome.seconds is not None
    ]
    if not times:
        return None
    seconds, name = min(times)
    return name, seconds


def ratio(row: Row) -> float | None:
    """Sheaf's time over the best peer's: below 1 Sheaf is faster."""
    subject, peer = row.get(SUBJECT), best_peer(row)
    if subject is None or subject.seconds is None or peer is None:
        return None
    return subject.seconds / peer[1]


def answered(rows: Iterable[Row], engine: str) -> list[Row]:
    """The rows that an engine answered."""
    return [row for row in rows if engine in row and row[engine].seconds is not None]


def own_total(rows: Iterable[Row], engine: str) -> tuple[float, int] | None:
    """The sum of what one engine answered, and how many rows that is."""
    times = [row[engine].seconds for row in answered(rows, engine)]
    return (sum(filter(None, times)), len(times)) if times else None


def common_rows(rows: Iterable[Row], engines: Iterable[str]) -> list[Row]:
    """The rows that every one of the engines answered."""
    engines = list(engines)
    return [row for row in rows if all(name in row and row[name].seconds is not None for name in engines)]


def total_row(rows: Sequence[Row], engines: Iterable[str]) -> dict[str, Outcome]:
    """The totals of these rows as a row of their own, with the largest peak of memory.

    An engine that did not answer all of them has no total here: a sum over fewer queries is no time to compare with.
    """
    totals = {}
    for name in engines:
        mine = answered(rows, name)
        if mine and len(mine) == len(rows):
            totals[name] = Outcome(
                seconds=sum(row[name].seconds or 0.0 for row in mine),
                peak_bytes=max(row[name].peak_bytes or 0 for row in mine),
            )
        elif mine:
            totals[name] = Outcome(problem=f"answered {len(mine)} of {len(rows)}")
    return totals


def without_folders(text: str) -> str:
    """A message without the folders of its paths: the table is for other machines too."""
    return re.sub(r"(?<![\w:/])(?:/[\w.+-]+)+/(?=[\w.+-])", "", text)
