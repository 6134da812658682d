"""Ctrl-C ends work within a second, wherever it is; the session goes on, and no spilled file is left."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")

# What runs when the signal comes. Each would run for minutes.
WORK = {
    "scan": "session.range(10**13).filter(sf.col('id') % 7 == 9).count()",
    # All rows are asked for: an aggregate over them would need no order, and no sort would run.
    "sort": "session.range(10**10).with_column('k', sf.col('id') * 7919 % 1000003).sort('k').to_arrow()",
    "group": "session.range(10**10).with_column('k', sf.col('id') * 7).groupby('k').agg(n=sf.col('id').max()).count()",
    "join": "session.range(10**9).with_column('a', sf.lit(1)).join("
    "session.range(10**9).with_column('b', sf.lit('a long text to hold in memory')), on='id').count()",
    "function": "session.range(100).map_batches(forever, schema={'id': 'int64'}).to_arrow()",
    # Short calls first, so that the long one runs on a thread of the engine.
    "late function": "session.range(10**5).map_batches(lambda b: forever(b) if b['id'][0].as_py() >= 5000 else b, "
    "batch_size=1000, schema={'id': 'int64'}).to_arrow()",
    "late iteration": "for b in session.range(10**5).map_batches(lambda b: forever(b) if b['id'][0].as_py() >= 5000 "
    "else b, batch_size=1000, schema={'id': 'int64'}).iter_batches(): pass",
    "groups": "session.range(100).groupby('id').map_groups(forever, schema={'id': 'int64'}).to_arrow()",
    "aggregate": "session.range(100).groupby('id').agg(sf.AggregateFn(init=lambda key: 0, merge=max, name='n', "
    "accumulate_block=lambda state, block: forever(block), return_type='int64')).to_arrow()",
    "iteration": "for batch in session.range(100).map_batches(forever, schema={'id': 'int64'}).iter_batches(): pass",
    "stream": "read_stream(session.range(100).map_batches(forever, schema={'id': 'int64'}))",
    "write": "session.range(10**11).write_parquet(folder + '/out.parquet')",
}
# Sorts on two threads spill within this and have room to merge.
SPILLING_MEMORY = "192MiB"
# A build side is still growing when the signal comes; a writer's buffers take a moment to go after it.
MEMORY = {"join": "1GiB", "write": "256MiB", "sort": SPILLING_MEMORY}
LITTLE_MEMORY = "48MiB"

# One file under many names: gigabytes to read, and little on disk.
ROWS, NAMES = 500_000, 400
SCANS = {
    "csv": "session.read_csv(files + '/*.csv').aggregate(sf.col('text').str.len_bytes().sum()).to_arrow()",
    "parquet": "session.read_parquet(files + '/*.parquet').aggregate(sf.col('text').str.len_bytes().sum()).to_arrow()",
}

# When the signal comes, said by what a progress bar is told; else a while after the start.
SPILLED = "session.memory['on_disk'] > 0"
SCANNING = "bytes_read > 64 << 20 and rows_read > 0 and rows_out == 0"
# From there to the signal: the bar is drawn by then.
MOMENT_SECONDS = 0.1
LIMIT_SECONDS = 120

CHILD = """
import json, pathlib, signal, sys, time
import pyarrow as pa
import sheaf as sf
from sheaf import _progress

ended = []
def forever(batch):
    try:
        while True:
            time.sleep(0.01)
    except KeyboardInterrupt:
        ended.append(True)
        raise

def read_stream(data):
    # The C stream interface carries the text of an error and not its class.
    try:
        pa.table(data)
    except pa.ArrowException as error:
        raise KeyboardInterrupt from error

class Bar:
    told = False
    def update(self, stage, rows_read, bytes_read, rows_out, spilled_bytes, rows_failed, elapsed):
        if not self.told and ({ready}):
            Bar.told = True
            print("ready", flush=True)
            if {drawing}:
                signal.raise_signal(signal.SIGINT)
    def close(self):
        pass

_progress.bar = lambda mode: Bar()
folder, files = sys.argv[1:]
session = sf.Session(memory_limit="{memory}", threads=2, spill_dir=folder, progress="off")
assert session.range(10).count() == 10
print("started", flush=True)
try:
    {work}
    stopped = None
except KeyboardInterrupt:
    stopped = time.monotonic()
after = session.range(1000).filter(sf.col("id") > 9).count()
deadline = time.monotonic() + 10
def left():
    # A living session keeps the lock of its folder.
    files = (path for path in pathlib.Path(folder).rglob("*") if path.is_file())
    return [str(path) for path in files if path.name not in ("lock", "out.parquet")]
def busy():
    return session.memory["reserved"] + session.memory["on_disk"]
while time.monotonic() < deadline and (left() or busy() or ({function} and not ended)):
    time.sleep(0.02)
print(json.dumps({{"stopped": stopped, "after": after, "left": left(), "busy": busy(), "ended": len(ended)}}))
"""


def interrupt(
    folder: Path, work: str, memory: str, *, ready: str | None = None, drawing: bool = False, files: Path | str = ""
) -> None:
    """Sends the signal to a child that does this work, and looks at what it tells of itself afterwards.

    With `drawing` the child sends it itself, while its progress bar is drawn.
    """
    function = "forever" in work
    code = CHILD.format(memory=memory, work=work, ready=ready, drawing=drawing, function=function)
    command = [sys.executable, "-c", code, str(folder), str(files)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    overdue = threading.Timer(LIMIT_SECONDS, child.kill)
    overdue.start()
    try:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == "started\n", child.stderr.read()
        if ready is not None:
            assert child.stdout.readline() == "ready\n", f"it never came to {ready}: {child.stderr.read()}"
        sent = time.monotonic()
        if not drawing:
            time.sleep(1.5 if ready is None else MOMENT_SECONDS)
            sent = time.monotonic()
            child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    finally:
        overdue.cancel()
        child.kill()
        child.wait()
    assert child.returncode == 0, err
    told = json.loads(out)
    assert told["stopped"] is not None, "the work ended before the signal"
    assert told["stopped"] - sent < 1, told
    assert told["after"] == 990
    assert told["left"] == []
    assert told["busy"] == 0
    assert told["ended"] > 0 or not function, "the user's function runs on"


@pytest.mark.parametrize("place", WORK)
def test_interrupt(tmp_path: Path, place: str) -> None:
    interrupt(tmp_path, WORK[place], MEMORY.get(place, LITTLE_MEMORY))


@pytest.mark.parametrize("place", ["sort", "group", "join"])
def test_interrupt_of_work_that_has_spilled(tmp_path: Path, place: str) -> None:
    interrupt(tmp_path, WORK[place], SPILLING_MEMORY, ready=SPILLED)


def test_interrupt_while_progress_is_drawn(tmp_path: Path) -> None:
    interrupt(tmp_path, WORK["sort"], SPILLING_MEMORY, ready=SPILLED, drawing=True)


@pytest.mark.parametrize("kind", SCANS)
def test_interrupt_of_a_scan_of_files(tmp_path: Path, kind: str) -> None:
    files, folder = tmp_path / "files", tmp_path / "session"
    files.mkdir()
    folder.mkdir()
    first = files / f"0.{kind}"
    duckdb.execute(f"COPY (SELECT i AS id, md5(i::VARCHAR) AS text FROM range({ROWS}) t(i)) TO '{first}'")
    for name in range(1, NAMES):
        os.link(first, files / f"{name}.{kind}")
    interrupt(folder, SCANS[kind], LITTLE_MEMORY, ready=SCANNING, files=files)


def test_an_interruption_by_the_user_function_itself_comes_out() -> None:
    code = """
import sheaf as sf
def stop(batch):
    raise KeyboardInterrupt
try:
    sf.range(10).map_batches(stop, schema={"id": "int64"}).to_arrow()
except KeyboardInterrupt:
    print("stopped")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "stopped\n"
