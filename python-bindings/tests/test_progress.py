"""The progress bar: what it says, and when it is drawn."""

import os
import pty
import re
import subprocess
import sys
import termios
import types
from pathlib import Path

import pytest

import sheaf as sf
from sheaf import _progress

CODE = """
import sheaf as sf
session = sf.Session(threads=1, progress="{mode}")
numbers = session.range(10_000_000).with_column("k", sf.col("id") * 7919 % 1000003)
numbers.groupby("k").agg(n=sf.col("id").max()).aggregate(sf.col("n").sum()).to_arrow()
"""


def stderr_of(mode: str) -> str:
    code = CODE.format(mode=mode)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True).stderr


def test_progress() -> None:
    shown = stderr_of("on")
    assert "rows" in shown
    assert "rows/s" in shown
    assert "Exec" in shown, "the stage"


def test_progress_tells_the_bytes_of_files(tmp_path: Path) -> None:
    sf.range(3_000_000).write_parquet(tmp_path / "n.parquet")
    code = f"""
import sheaf as sf
session = sf.Session(threads=1, progress="on")
n = session.read_parquet({str(tmp_path / "n.parquet")!r})
n.groupby(sf.col("id") * 7919 % 1000003).agg(n=sf.col("id").max()).aggregate(sf.col("n").sum()).to_arrow()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert re.search(r"\b[1-9][0-9.]* [KM]iB read", done.stderr), done.stderr


@pytest.mark.parametrize("mode", ["off", "auto"])
def test_off_and_not_a_terminal(mode: str) -> None:
    assert stderr_of(mode) == ""


def test_auto_draws_on_a_terminal() -> None:
    main, side = pty.openpty()
    termios.tcsetwinsize(side, (24, 120))
    child = subprocess.Popen([sys.executable, "-c", CODE.format(mode="auto")], stderr=side)
    os.close(side)
    shown = b""
    while True:
        try:
            read = os.read(main, 4096)
        except OSError:
            break
        if not read:
            break
        shown += read
    os.close(main)
    assert child.wait(timeout=120) == 0
    assert b"rows/s" in shown


def test_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress.sys, "stderr", types.SimpleNamespace(isatty=lambda: False, write=len, flush=int))
    assert _progress.bar("off") is None
    assert _progress.bar("auto") is None
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    assert _progress.in_notebook()
    bar = _progress.bar("auto")
    assert bar is not None
    bar.close()


def test_sizes() -> None:
    assert [_progress.size(count) for count in (5, 2048, 3 << 20, 5 << 30, 2 << 40)] == [
        "5 B",
        "2.0 KiB",
        "3.0 MiB",
        "5.0 GiB",
        "2.0 TiB",
    ]


def test_short_work_with_a_bar_leaves_no_thread() -> None:
    import threading

    with sf.Session(threads=1, progress="on") as session:
        session.range(10).count()
    assert all("TMonitor" not in type(thread).__name__ for thread in threading.enumerate())
