"""Packages of folders, and the cache that they are unpacked in: what is in them, that they are whole, and what goes."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
from runtime.processes import becomes_true

from sheaf._runtime.environment import Depot, cache, commands, packages, patterns
from sheaf._runtime.environment import depot as depot_module
from sheaf._runtime.environment.cache import Cache
from sheaf.exceptions import RuntimeEnvSetupError

SECONDS = 30
NEVER = 0.0


def soon():
    return time.monotonic() + SECONDS


def names(folder, excludes=()):
    return [file.inside for file in packages.files_of(folder, excludes)]


def filled(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("pattern", "left_out", "kept"),
    [
        ("*.log", ["a.log", "deep/down/b.log"], ["a.logs", "log"]),
        ("/top.txt", ["top.txt"], ["deep/top.txt"]),
        ("deep/*.txt", ["deep/a.txt"], ["a.txt", "deep/down/a.txt", "other/deep/a.txt"]),
        ("**/build", ["build", "a/b/build"], ["builds", "a/rebuild"]),
        ("data/**", ["data/a", "data/b/c"], ["data", "other/data/a"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["az", "b/a/z"]),
        ("file[0-9].t?t", ["file1.txt", "a/file2.tat"], ["filex.txt", "file10.txt"]),
        ("[!a]b", ["cb"], ["ab"]),
        (r"\#name", ["#name"], ["name"]),
        ("# name", [], ["# name"]),
    ],
)
def test_patterns_are_those_of_git(pattern, left_out, kept):
    found = patterns.read([pattern])
    assert [path for path in [*left_out, *kept] if patterns.leaves_out(found, path, is_folder=False)] == left_out


def test_what_is_left_out_of_a_package(tmp_path):
    top = filled(tmp_path / "project", main="", secret="")
    filled(top / "build", made="")
    filled(top / "deep" / "build", kept="", gone="")
    for made in (".git", "venv", "__pycache__"):
        filled(top / made, inside="")
    (top / ".gitignore").write_text("/build\n*.log\n!kept.log\n")
    (top / "deep" / ".gitignore").write_text("gone.py\n")
    (top / "a.log").touch()
    (top / "kept.log").touch()
    others = [".gitignore", "deep/.gitignore", "deep/build/kept.py", "kept.log", "main.py"]
    assert names(top, ["secret.py"]) == others
    assert "venv/inside.py" in names(top, ["!venv/"])


def test_links_are_followed_and_lead_nowhere_twice(tmp_path):
    top = filled(tmp_path / "project", main="1")
    other = filled(tmp_path / "other", linked="2")
    (top / "folder").symlink_to(other)
    (top / "file.py").symlink_to(other / "linked.py")
    (top / "around").symlink_to(top)
    (top / "nowhere").symlink_to(tmp_path / "gone")
    os.mkfifo(top / "pipe")
    assert names(top) == ["file.py", "folder/linked.py", "main.py"]


def test_the_same_files_are_the_same_package_whenever_they_were_written(tmp_path, monkeypatch):
    one = Depot(Cache(tmp_path / "one"))
    first, second = (filled(tmp_path / name / "project", a="1", b="2") for name in "xy")
    os.utime(second / "b.py", (1, 1))
    known = [one.pack(name, "p.zip", packages.files_of(folder)) for name, folder in (("x", first), ("y", second))]
    assert known[0] == known[1]
    (second / "a.py").write_text("3")
    assert one.pack("y", "p.zip", packages.files_of(second)) != known[0]
    # It is not read again where nothing has changed.
    monkeypatch.setattr(packages, "write", pytest.fail)
    assert one.pack("x", "p.zip", packages.files_of(first)) == known[0]
    one.close()


class ForgetfulHead:
    """What is given to it, and whether it is there."""

    def __init__(self):
        self.given = []
        self.is_there = True

    def give(self, sha256, file, what, until):
        if not self.is_there:
            raise RuntimeEnvSetupError("it is not there")
        self.given.append((sha256, file.read_bytes()[:2]))


def test_a_driver_gives_its_head_again_what_that_has_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(depot_module, "_RENEW_SECONDS", 0.01)
    head = ForgetfulHead()
    own = Depot(Cache(tmp_path / "cache"), head, renews=True)
    package = own.pack("x", "p.zip", packages.files_of(filled(tmp_path / "project", a="1")))
    head.is_there = False
    assert becomes_true(lambda: len(head.given) >= 1, SECONDS)
    head.given.clear()
    head.is_there = True
    assert becomes_true(lambda: len(head.given) >= 2, SECONDS)
    assert set(head.given) == {(package.sha256, b"PK")}
    own.close()
    assert [thread for thread in threading.enumerate() if thread.name == "sheaf-packages"] == []


def test_a_package_has_the_files_as_they_are(tmp_path):
    top = filled(tmp_path / "project", main="print(1)")
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    depot = Depot(Cache(tmp_path / "cache"))
    package = depot.pack("x", "p.zip", packages.files_of(top))
    out = tmp_path / "out"
    out.mkdir()
    packages.unpack(depot.find(package, soon()), out, soon())
    assert sorted(path.name for path in out.iterdir()) == ["main.py", "run.sh"]
    assert (os.access(out / "run.sh", os.X_OK), os.access(out / "main.py", os.X_OK)) == (True, False)
    depot.close()


def test_what_is_too_large_names_its_largest_files(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "MOST_BYTES", 100_000)
    top = filled(tmp_path / "project", small="")
    for size in (1, 5, 3):
        (top / f"data{size}.bin").write_bytes(os.urandom(size * 50_000))
    depot = Depot(Cache(tmp_path / "cache"))
    with pytest.raises(ValueError, match=r"(?s)more than 100,000.* 250,000 bytes  data5.bin\n.*data3.bin.*excludes"):
        depot.pack("working_dir 'x'", "p.zip", packages.files_of(top))
    assert names(top, ["*.bin"]) == ["small.py"]
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_an_archive_leads_nowhere_else(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("../../outside.txt", "out")
        opened.writestr("/absolute.txt", "out")
    out = tmp_path / "deep" / "down"
    out.mkdir(parents=True)
    packages.unpack(archive, out, soon())
    assert sorted(path.name for path in out.iterdir()) == ["absolute.txt", "outside.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "deep"]
    archive.write_bytes(archive.read_bytes()[:50])
    with pytest.raises(RuntimeEnvSetupError, match=r"a\.zip cannot be unpacked"):
        packages.unpack(archive, out, soon())


def writes(size):
    return lambda folder: (folder / "data").write_bytes(bytes(size)) and None


def test_what_was_used_longest_ago_goes_and_what_is_used_stays(tmp_path):
    root = tmp_path / "cache"
    users = [Cache(root, most_bytes=350_000) for _ in range(3)]
    for number in range(3):
        users[number].hold("kind", str(number), writes(100_000), until=soon())
        os.utime(root / "kind" / str(number) / "ready", (number, number))
    # The first two are older; the first is used.
    users[1].close()
    users[2].close()
    users[1].hold("kind", "3", writes(100_000), until=soon())
    assert sorted(path.name for path in (root / "kind").iterdir() if path.is_dir()) == ["0", "2", "3"]
    # Somebody uses all that is there: nothing is taken away from him.
    users[2].hold("kind", "2", pytest.fail, until=soon())
    users[2].trim(0)
    assert sorted(path.name for path in (root / "kind").iterdir() if path.is_dir()) == ["0", "2", "3"]
    for each in users:
        each.close()
    users[0].trim(0)
    assert list((root / "kind").iterdir()) == []


def test_a_program_takes_its_copies_with_it(tmp_path):
    own, other = (Depot(Cache(tmp_path)) for _ in range(2))
    keys = [f"{each.copy}" for each in (own, other)]
    user = Cache(tmp_path)
    for key in keys:
        user.hold("working_dir", f"hash-{key}", writes(1), until=soon())
    own.close()
    # A worker has it yet.
    assert (tmp_path / "working_dir" / f"hash-{keys[0]}").exists()
    user.close()
    own.close()
    assert [(tmp_path / "working_dir" / f"hash-{key}").exists() for key in keys] == [False, True]


def test_copies_that_programs_wrote_to_go_when_they_are_idle(tmp_path):
    own = Cache(tmp_path)
    for kind in ("working_dir", "pip"):
        own.hold(kind, "key", writes(1), until=soon())
        os.utime(tmp_path / kind / "key" / "ready", (1, 1))
    own.close()
    own.trim()
    assert [(tmp_path / kind / "key").exists() for kind in ("working_dir", "pip")] == [False, True]


MAKER = """
import sys, time
from pathlib import Path
from sheaf._runtime.environment.cache import Cache

def make(folder):
    (folder / "half").touch()
    print("made", flush=True)
    sys.stdin.readline()
    (folder / "whole").touch()

path = Cache(Path(sys.argv[1])).hold("kind", "key", make, until=time.monotonic() + 30)
print(sorted(each.name for each in path.iterdir()), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def maker(tmp_path):
    started = []

    def start():
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([sys.executable, "-c", MAKER, str(tmp_path)], **pipes))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


def test_one_makes_and_the_others_wait(tmp_path, maker):
    first, second = maker(), maker()
    wait_until_locked(tmp_path / "kind" / "key.lock")
    with pytest.raises(RuntimeEnvSetupError, match="did not make its environment in time"):
        Cache(tmp_path).hold("kind", "key", pytest.fail, until=NEVER)
    for each in (first, second):
        each.stdin.write("go\n")
        each.stdin.flush()
    said = sorted([first.stdout.readline(), second.stdout.readline()])
    assert said == ["['half', 'whole']\n", "made\n"]


def test_what_a_killed_one_left_is_made_anew(tmp_path, maker):
    first = maker()
    assert first.stdout.readline() == "made\n"
    first.send_signal(signal.SIGKILL)
    first.wait(SECONDS)
    own = Cache(tmp_path)
    path = own.hold("kind", "key", lambda folder: (folder / "other").touch(), until=soon())
    assert [each.name for each in path.iterdir()] == ["other"]
    own.close()


def test_what_is_half_made_goes_before_anything_else(tmp_path, maker):
    first = maker()
    assert first.stdout.readline() == "made\n"
    own = Cache(tmp_path)
    own.trim()
    # He is at it.
    assert (tmp_path / "kind" / "key").exists()
    first.send_signal(signal.SIGKILL)
    first.wait(SECONDS)
    own.trim()
    assert list((tmp_path / "kind").iterdir()) == []


def wait_until_locked(path):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if path.exists():
            with path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
        time.sleep(0.01)
    pytest.fail(f"nobody locked {path}")


def test_a_failure_is_told_again_for_a_while_and_then_tried(tmp_path, monkeypatch):
    tries = []

    def fails(folder):
        tries.append(folder)
        (folder / "half").touch()
        raise RuntimeEnvSetupError("it cannot be made")

    own = Cache(tmp_path)
    for _ in range(3):
        with pytest.raises(RuntimeEnvSetupError, match="it cannot be made"):
            own.hold("kind", "key", fails, until=soon(), remembers_failure=True)
    assert len(tries) == 1
    assert not (tmp_path / "kind" / "key").exists()
    own.trim()
    assert sorted(path.name for path in (tmp_path / "kind").iterdir()) == ["key.failed", "key.lock"]
    monkeypatch.setattr(cache, "FAILED_SECONDS", 0)
    own.trim()
    assert list((tmp_path / "kind").iterdir()) == []
    own.hold("kind", "key", writes(1), until=soon(), remembers_failure=True)
    assert sorted(path.name for path in (tmp_path / "kind").iterdir()) == ["key", "key.lock"]
    own.close()


def test_one_whose_time_was_over_fails_for_itself_alone(tmp_path):
    def fails(folder):
        raise RuntimeEnvSetupError("it took too long")

    own = Cache(tmp_path)
    with pytest.raises(RuntimeEnvSetupError, match="too long"):
        own.hold("kind", "key", fails, until=NEVER, remembers_failure=True)
    own.hold("kind", "key", writes(1), until=soon(), remembers_failure=True)
    own.close()


def test_a_full_disk_names_the_folder_and_what_is_free(tmp_path):
    def fills(folder):
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "large"))

    own = Cache(tmp_path)
    own.hold("kind", "unused", writes(1), until=soon())
    own.close()
    with pytest.raises(RuntimeEnvSetupError, match=r"no room for .*kind/key.*[0-9,]+ bytes are free\n.*XDG_CACHE_HOME"):
        own.hold("kind", "key", fills, until=soon())
    # All that nobody uses was given for it.
    assert [path.name for path in (tmp_path / "kind").iterdir() if path.is_dir()] == []
    with pytest.raises(OSError, match="bytes are needed"):
        cache.check_room(tmp_path, 1 << 60)


def test_a_cache_that_cannot_be_written_to_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeEnvSetupError, match=r"cannot be made.*\n.*XDG_CACHE_HOME"):
        Cache(tmp_path / "file" / "cache").hold("kind", "key", pytest.fail, until=soon())


def test_the_cache_is_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    own = Cache()
    own.hold("kind", "key", writes(1), until=soon())
    own.close()
    assert own.root == tmp_path / "sheaf" / "environments"
    assert own.root.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert Cache().root == Path.home() / ".cache" / "sheaf" / "environments"


def test_a_program_that_finds_the_disk_full_makes_room_and_is_run_again(tmp_path):
    own = Cache(tmp_path / "cache")
    own.hold("kind", "unused", writes(1), until=soon())
    own.close()
    # As pip says it; it ends well where there is room.
    code = "import os, sys; sys.exit('ERROR: [Errno 28] No space left on device' if os.path.exists({!r}) else 0)"
    unused = tmp_path / "cache" / "kind" / "unused"
    command = [sys.executable, "-c", code.format(str(unused))]
    path = own.hold(
        "kind", "key", lambda folder: commands.run(command, "pip", until=soon(), folder=folder), until=soon()
    )
    assert (path.exists(), unused.exists()) == (True, False)
    command = [sys.executable, "-c", code.format("/")]
    with pytest.raises(RuntimeEnvSetupError, match=r"no room for .*kind/full.*pip: No space left.* bytes are free"):
        own.hold("kind", "full", lambda folder: commands.run(command, "pip", until=soon(), folder=folder), until=soon())
    own.close()
