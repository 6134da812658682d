"""Ctrl-C ends work within a second, wherever it is; the session goes on, and no spilled file is left."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# What runs when the signal comes. Each would run for minutes.
WORK = {
    "scan": "session.range(10**13).filter(sf.col('id') % 7 == 9).count()",
    "sort": "session.range(10**10).with_column('k', sf.col('id') * 7919 % 1000003).sort('k', 'id').aggregate("
    "sf.col('k').max()).to_arrow()",
    "group": "session.range(10**10).with_column('k', sf.col('id') * 7).groupby('k').agg(n=sf.col('id').max()).count()",
    "join": "session.range(10**9).with_column('a', sf.lit(1)).join("
    "session.range(10**9).with_column('b', sf.lit('a long text to hold in memory')), on='id').count()",
    "function": "session.range(100).map_batches(forever, schema={'id': 'int64'}).to_arrow()",
    # Short calls first, so that the long one runs on a thread of the engine.
    "late function": "session.range(10**5).map_batches(lambda b: forever(b) if b['id'][0].as_py() >= 5000 else b, "
    "batch_size=1000, schema={'id': 'int64'}).to_arrow()",
    "late iteration": "for b in session.range(10**5).map_batches(lambda b: forever(b) if b['id'][0].as_py() >= 5000 "
    "else b, batch_size=1000, schema={'id': 'int64'}).iter_batches(): pass",
    "iteration": "for batch in session.range(100).map_batches(forever, schema={'id': 'int64'}).iter_batches(): pass",
    "stream": "read_stream(session.range(100).map_batches(forever, schema={'id': 'int64'}))",
    "write": "session.range(10**11).write_parquet(folder + '/out.parquet')",
}
# A build side is still growing when the signal comes; a writer's buffers take a moment to go after it.
MEMORY = {"join": "1GiB", "write": "256MiB"}
CHILD = """
import json, os, pathlib, sys, threading, time
import pyarrow as pa
import sheaf as sf

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

folder = sys.argv[1]
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


@pytest.mark.parametrize("place", WORK)
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_interrupt(tmp_path: Path, place: str) -> None:
    code = CHILD.format(memory=MEMORY.get(place, "48MiB"), work=WORK[place], function="forever" in WORK[place])
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n", child.stderr.read() if child.stderr else ""
        time.sleep(1.5)
        sent = time.monotonic()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0, err
    told = json.loads(out)
    assert told["stopped"] is not None, "the work ended before the signal"
    assert told["stopped"] - sent < 1, told
    assert told["after"] == 990
    assert told["left"] == []
    assert told["busy"] == 0
    if "forever" in WORK[place]:
        assert told["ended"] > 0, "the user's function runs on"


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
