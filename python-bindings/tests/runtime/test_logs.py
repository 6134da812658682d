"""Files with what workers print: only where a folder is given, and never in the way of the work."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

import sheaf as ray

from . import processes

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_runtime")]


@ray.remote
def say(text: str) -> int:
    if text:
        print(text)
        print(f"{text}, as an error", file=sys.stderr)
    return os.getpid()


def test_each_worker_has_its_files_in_the_session(tmp_path: Path) -> None:
    ray.init(num_cpus=1, _temp_dir=tmp_path, log_to_driver=False)
    pid = ray.get(say.remote("hello"))
    logs = tmp_path / "session_latest" / "logs"
    out, err = logs / f"worker-{pid}.out", logs / f"worker-{pid}.err"
    assert processes.becomes_true(lambda: out.exists() and err.exists(), 10)
    assert processes.becomes_true(lambda: err.read_text() != "", 10)
    assert (out.read_text(), err.read_text()) == ("hello\n", "hello, as an error\n")
    first = os.readlink(tmp_path / "session_latest")
    ray.shutdown()
    ray.init(num_cpus=1, _temp_dir=tmp_path, log_to_driver=False)
    pid = ray.get(say.remote("again"))
    assert os.readlink(tmp_path / "session_latest") != first
    ray.shutdown()
    assert (logs / f"worker-{pid}.out").read_text() == "again\n", "what came last is written when the driver ends"
    assert (tmp_path / first / "logs").is_dir()


def test_a_full_disk_does_not_hurt_tasks(tmp_path: Path) -> None:
    ray.init(num_cpus=1, _temp_dir=tmp_path, log_to_driver=False)
    pid = ray.get(say.remote(""))
    logs = tmp_path / "session_latest" / "logs"
    for ending in ("out", "err"):
        (logs / f"worker-{pid}.{ending}").symlink_to("/dev/full")
    assert ray.get([say.remote("x" * 1000) for _ in range(200)], timeout=30) == [pid] * 200


def test_without_a_folder_nothing_is_written() -> None:
    folder = Path(tempfile.gettempdir())
    before = {path for path in folder.iterdir() if path.name.startswith("session")}
    ray.init(num_cpus=1, log_to_driver=False)
    ray.get(say.remote("hello"))
    ray.shutdown()
    assert {path for path in folder.iterdir() if path.name.startswith("session")} == before


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ray.errors.StoreError, match="logs cannot be written"):
        ray.init(num_cpus=1, _temp_dir=tmp_path / "file")
    assert not ray.is_initialized()
