"""The progress bar: rows, bytes, stage and rate, drawn by tqdm on standard error or in the notebook."""

from __future__ import annotations

import sys
import warnings
from typing import Any

# Work that is over before this shows no bar, unless bars are asked for.
DELAY_SECONDS = 0.5
BYTES = 1024


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel."""
    return "ipykernel" in sys.modules


def bar(mode: str) -> Bar | None:
    """A bar for one wait: always for ``on``, never for ``off``, for ``auto`` on a terminal and in notebooks."""
    if mode == "on":
        return Bar(delay=0)
    if mode == "off" or not (in_notebook() or (sys.stderr is not None and sys.stderr.isatty())):
        return None
    return Bar(delay=DELAY_SECONDS)


def size(count: float) -> str:
    """Bytes as people read them.

    >>> size(1536)
    '1.5 KiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < BYTES:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= BYTES
    return f"{count:.1f} TiB"


class Bar:
    """One bar. The engine calls ``update`` about twenty times a second and ``close`` at the end."""

    def __init__(self, delay: float) -> None:
        with warnings.catch_warnings():
            # Without ipywidgets tqdm says so, and draws text.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm

        class Quiet(tqdm):  # type: ignore[misc]
            # tqdm's monitor is a thread that outlives the bar.
            monitor_interval = 0

        self.bar: Any = Quiet(unit=" rows", unit_scale=True, delay=delay, leave=False, dynamic_ncols=True)

    def update(
        self,
        stage: str,
        rows_read: int,
        bytes_read: int,
        rows_out: int,
        spilled_bytes: int,
        rows_failed: int,
        elapsed: float,
    ) -> None:
        """Draw what has been done so far."""
        parts = [f"{size(bytes_read)} read", f"{rows_out:,} rows out", f"{size(bytes_read / max(elapsed, 1e-3))}/s"]
        if spilled_bytes:
            parts.append(f"{size(spilled_bytes)} spilled")
        if rows_failed:
            parts.append(f"{rows_failed:,} rows failed")
        self.bar.set_description_str(stage, refresh=False)
        self.bar.set_postfix_str(", ".join(parts), refresh=False)
        self.bar.update(rows_read - self.bar.n)

    def close(self) -> None:
        """Clear the bar."""
        self.bar.close()
