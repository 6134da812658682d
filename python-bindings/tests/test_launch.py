"""``sheaf.launch`` without Ray: its arguments, and the processes that it keeps. On Ray: deploy/tests."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from runtime.processes import alive, becomes_true, descendants, running

from sheaf import InvalidInputError, UnsupportedError
from sheaf.launch import ray as on_ray
from sheaf.launch._actors import Place, check_places, load
from sheaf.launch._process import Process, TokenFile
from sheaf.launch._wanted import Wanted, files_of, sizes

SECONDS = 20
TOKEN = "a token for these tests"
HEAD = ["head", "--port", "0", "--num-cpus", "0", "--object-store-memory", "10000000"]


def wanted(**given: Any) -> Wanted:
    own: dict[str, Any] = {"num_gpus": 0, "resources": {}, "labels": {}, "timeout": 60}
    return Wanted(**{**dict.fromkeys(Wanted.__dataclass_fields__), **own, **given})


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"nodes": 0}, "nodes is 0, and has to be a whole number above 0"),
        ({"nodes": 1.5}, "nodes is 1.5, and has to be a whole number above 0"),
        ({"memory": True}, "memory is True, and has to be"),
        ({"num_cpus": -1}, "num_cpus is -1, and cannot be negative"),
        ({"num_cpus": 0.5}, "num_cpus is 0.5, and a node without a whole CPU runs no queries"),
        ({"num_cpus": "2"}, "num_cpus is '2'"),
        ({"resources": {"CPU": 1}}, "give it as num_cpus="),
        ({"labels": {"a": 1}}, "labels has 'a': 1; both are text"),
        ({"strategy": "spread"}, "strategy is 'spread'; there are PACK, SPREAD, STRICT_PACK, STRICT_SPREAD"),
        ({"tls": ["a", "b", "c"]}, "three paths from /"),
        ({"tls": ["/a", "/b"]}, "three paths from /"),
    ],
)
def test_arguments_that_cannot_be_are_named(given: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        on_ray.start(**given)
    assert str(raised.value).startswith("sheaf.launch.ray.start: ")
    assert text in str(raised.value)


def test_ray_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UnsupportedError, match=r"sheaf\.launch\.ray needs Ray.*\n  help: pip install"):
        on_ray.start()
    with pytest.raises(UnsupportedError):
        load()


def test_sizes_are_those_of_rays_machines() -> None:
    machines = [{"CPU": 8.0}, {"CPU": 4.0, "GPU": 1.0}, {"memory": 1e9}]
    assert sizes(wanted(), machines) == (2, 4, "STRICT_SPREAD")
    assert sizes(wanted(nodes=1), machines) == (1, 4, "SPREAD")
    # One machine alone can hold them.
    assert sizes(wanted(nodes=2, num_gpus=0.5), machines) == (2, 4, "SPREAD")
    # Two have to share a machine.
    assert sizes(wanted(nodes=3), machines) == (3, 2, "SPREAD")
    assert sizes(wanted(nodes=2, num_cpus=1.5, strategy="PACK"), machines) == (2, 1.5, "PACK")
    # Ray may start machines that are not there yet.
    assert sizes(wanted(nodes=2, num_cpus=8), [{}]) == (2, 8, "SPREAD")
    with pytest.raises(InvalidInputError, match="say nodes= and num_cpus="):
        sizes(wanted(nodes=2), [{}])


def test_what_ray_is_asked_for_the_node_is_told() -> None:
    asked = wanted(num_gpus=2, memory=1000, resources={"disk": 1}, spill_dir="/spill", tls=files_of(["/a", "/b", "/c"]))
    assert asked.bundle(4) == {"CPU": 4, "GPU": 2, "memory": 1000, "disk": 1}
    told = " ".join(asked.flags(4, 7, "abc"))
    assert told == (
        '--num-cpus 4 --num-gpus 2 --resources {"disk": 1} --labels {"ray.io/node-id": "abc"} '
        "--object-store-memory 300 --memory-limit 350 --spill-dir /spill --tls-cert /a --tls-key /b --tls-ca /c"
    )
    # What Ray sets nothing aside for is a share of the machine; where that is not known, the node looks for itself.
    assert "--memory-limit 70" in " ".join(wanted().flags(1.5, 200, ""))
    assert "memory" not in " ".join(wanted().flags(1.5, None, ""))
    assert wanted().bundle(1.5) == {"CPU": 1.5}


def test_machines_need_this_sheaf() -> None:
    from sheaf import __version__

    check_places([Place("10.0.0.1", "a", "python", __version__, "")])
    with pytest.raises(UnsupportedError, match=r"python on 10.0.0.1 has 0.0.7\n  help: install the same"):
        check_places([Place("10.0.0.1", "a", "python", "0.0.7", "")])
    with pytest.raises(UnsupportedError, match=r"python on 10.0.0.1 cannot import Sheaf: no"):
        check_places([Place("10.0.0.1", "a", "python", None, "no")])


def test_a_process_is_heard_and_ended() -> None:
    head = Process(HEAD, TOKEN)
    state = head.await_start(SECONDS)
    assert (state.place or "").startswith("127.0.0.1:")
    assert state.ended is None
    assert state.pid is not None
    assert TOKEN.encode() not in Path(f"/proc/{state.pid}/cmdline").read_bytes()
    left = descendants(state.pid)
    # It is heard a moment before it hears signals.
    assert head.stop(SECONDS).ended in {"it was drained, or asked to end", "killed by SIGTERM"}
    assert head.stop(0).pid == state.pid
    assert becomes_true(lambda: not alive(left), SECONDS)


def test_the_end_of_a_process_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    head = Process(HEAD, TOKEN)
    state = head.await_start(SECONDS)
    assert state.pid is not None
    os.kill(state.pid, signal.SIGKILL)
    told = f"sheaf: the head at {state.place} has ended: killed by SIGKILL\n"
    said: list[str] = []
    assert becomes_true(lambda: bool(said.append(capfd.readouterr().err)) or told in "".join(said), SECONDS)
    assert head.state.ended == "killed by SIGKILL"


def test_a_process_that_does_not_start_says_why() -> None:
    state = Process([*HEAD, "--host", "no such host"], TOKEN).await_start(SECONDS)
    assert state.place is None
    assert (state.ended or "").startswith("exit code ")
    assert "no such host" in state.words
    # Nor does it start when it is stopped at once.
    head = Process(HEAD, TOKEN)
    assert head.stop(SECONDS).ended is not None
    assert head.await_start(SECONDS).place is None


PROGRAM = f"""
import time
from sheaf.launch._process import Process
print(Process({HEAD!r}, {TOKEN!r}).await_start({SECONDS}).pid, flush=True)
time.sleep(60)
"""


def test_no_process_outlives_its_keeper() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            head = int(program.stdout.readline())
            left = {head, *(child.pid for child in descendants(head))}
            assert running(left) == left
        finally:
            program.kill()
        assert becomes_true(lambda: not running(left), SECONDS)


def test_the_file_of_a_token_is_gone_with_it() -> None:
    file = TokenFile(TOKEN)
    assert Path(file.path).read_text() == f"{TOKEN}\n"
    assert os.stat(file.path).st_mode & 0o777 == 0o600
    path = file.path
    file.close()
    file.close()
    assert not Path(path).exists()
