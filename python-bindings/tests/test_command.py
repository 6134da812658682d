"""The `sheaf` command that the wheel brings ends at Ctrl-C as the binary does: `tests/cli/stop.rs` has its queries."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

NUMBERS = "generate_series(1, 1000000000000000)"
ENDLESS = {
    "aggregate": f"SELECT sum(value % 7) FROM {NUMBERS}",
    "sort": f"SELECT * FROM (SELECT value, md5(CAST(value AS VARCHAR)) AS h FROM {NUMBERS}) ORDER BY h",
}
LIMIT_SECONDS = 120


@pytest.mark.parametrize("query", ENDLESS)
@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_ends_the_command(tmp_path: Path, query: str) -> None:
    command = [str(Path(sys.executable).with_name("sheaf")), "sql", "-c", ENDLESS[query], "--progress", "on"]
    command += ["--memory-limit", "1GiB", "--threads", "2", "--spill-dir", str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    overdue = threading.Timer(LIMIT_SECONDS, child.kill)
    overdue.start()
    try:
        assert child.stderr is not None
        assert "rows/s" in child.stderr.readline(), "work has begun"
        sent = time.monotonic()
        # As a terminal does: to every process of the command.
        os.killpg(child.pid, signal.SIGINT)
        out, err = child.communicate()
        took = time.monotonic() - sent
    finally:
        overdue.cancel()
        child.kill()
        child.wait()
    assert child.returncode == 130, err
    assert err.endswith("error: stopped by Ctrl-C\n")
    assert out == ""
    assert took < 2
    with pytest.raises(ProcessLookupError):
        os.killpg(child.pid, 0)
    assert list(tmp_path.iterdir()) == [], "spill files are left"
