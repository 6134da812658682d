"""What drivers and people see of a cluster: output, environments, modules, who shares workers, tokens, commands."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from runtime.processes import becomes_true

import sheaf as ray

from .nodes import LIMIT_SECONDS, SHEAF, Cluster, Member, sheaf

pytestmark = pytest.mark.timeout(60)

SECONDS = 30
# Nobody listens there.
NOWHERE = "127.0.0.1:1"

SAYS = """
import sys, time
import sheaf as ray
address, word, shown = sys.argv[1:]
ray.init(address, log_to_driver=shown == "yes")

@ray.remote
def say(text):
    print(text)
    print(text, "to the errors", file=sys.stderr)

ray.get([say.options(resources={where: 0.1}).remote(f"{word} {where}") for where in "ab"], timeout=30)
# At once: `print` writes the end of a line apart, and the lines of workers come between.
sys.stdout.write("done\\n")
sys.stdout.flush()
sys.stdin.readline()
"""


def lines_of(child: subprocess.Popen[str]) -> tuple[list[str], list[str]]:
    output, errors = child.communicate("\n", timeout=SECONDS)
    assert child.returncode == 0, errors
    return output.splitlines(), errors.splitlines()


def test_output_reaches_its_own_driver(driver: Cluster) -> None:
    with driver.started_driver(SAYS, "one", "yes") as one, driver.started_driver(SAYS, "two", "yes") as two:
        # What was printed has come when the tasks have ended, or a moment later.
        time.sleep(2)
        told = {"one": lines_of(one), "two": lines_of(two)}
    elsewhere = re.escape(driver.place_of(driver.members[1]))
    for word, (output, errors) in told.items():
        output.remove("done")
        assert len(output) == len(errors) == 2, (output, errors)
        for lines, end in ((output, ""), (errors, " to the errors")):
            [near] = [line for line in lines if line.endswith(f"{word} a{end}")]
            [far] = [line for line in lines if line.endswith(f"{word} b{end}")]
            assert re.fullmatch(rf"\(say pid=\d+\) {word} a{end}", near)
            assert re.fullmatch(rf"\(say pid=\d+, ip={elsewhere}\) {word} b{end}", far)


def test_output_can_be_kept_from_the_driver(driver: Cluster) -> None:
    with driver.started_driver(SAYS, "three", "no") as child:
        time.sleep(2)
        assert lines_of(child) == (["done"], [])


def test_variables_of_an_environment_are_set_on_every_node(driver: Cluster) -> None:
    code = """
import os, sys
import sheaf as ray
ray.init(sys.argv[1], runtime_env={"env_vars": {"OF_DRIVER": "1", "BOTH": "driver"}})
@ray.remote
def variables():
    return [os.environ.get(name) for name in ("OF_DRIVER", "OF_TASK", "BOTH")]
for where in "ab":
    plain = variables.options(resources={where: 0.1})
    own = plain.options(runtime_env={"env_vars": {"OF_TASK": "2", "BOTH": "task"}})
    print(*ray.get([plain.remote(), own.remote(), plain.remote()], timeout=30))
"""
    done = driver.run_driver(code)
    assert done.stdout.splitlines() == 2 * ["['1', None, 'driver'] ['1', '2', 'task'] ['1', None, 'driver']"], done


def test_workers_import_what_lies_beside_the_program(driver: Cluster, tmp_path: Path) -> None:
    (tmp_path / "helper_of_program.py").write_text("class Thing:\n    def __init__(self, n): self.n = n\n")
    program = tmp_path / "program.py"
    program.write_text("""
import sys
import sheaf as ray
import helper_of_program

@ray.remote
def make(number):
    import helper_of_program as again
    return helper_of_program.Thing(number), again.__file__

if __name__ == "__main__":
    ray.init(sys.argv[1])
    for where in "ab":
        thing, file = ray.get(make.options(resources={where: 0.1}).remote(5), timeout=30)
        print(type(thing) is helper_of_program.Thing, thing.n, file == helper_of_program.__file__)
""")
    command = [sys.executable, str(program), driver.address]
    # Not from the folder of the program.
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False, env=driver.env, cwd="/"
    )
    assert done.stdout.splitlines() == ["True 5 True"] * 2, done.stderr


LEAVES = """
import builtins, os, sys, time
import sheaf as ray
ray.init(sys.argv[1])

@ray.remote
def leave():
    found = getattr(builtins, "left_by", None)
    builtins.left_by = int(sys.argv[2]) if len(sys.argv) > 2 else "somebody"
    time.sleep(0.3)
    return os.getpid(), found

refs = [leave.options(scheduling_strategy="SPREAD").remote() for _ in range(8)]
done = ray.get(refs, timeout=40)
print(*sorted({pid for pid, _ in done}))
print(len([found for _, found in done if found is None]) == len({pid for pid, _ in done}))
"""


def test_drivers_do_not_share_workers(driver: Cluster) -> None:
    told = [driver.run_driver(LEAVES) for _ in range(2)]
    (first, is_first_clean), (second, is_second_clean) = (done.stdout.splitlines() for done in told)
    assert set(first.split()).isdisjoint(second.split())
    assert is_first_clean == is_second_clean == "True"


@pytest.fixture
def tokens(tmp_path: Path) -> Callable[[str], Path]:
    def write(token: str) -> Path:
        file = tmp_path / f"token {token}"
        file.write_text(f"{token}\n")
        return file

    return write


def test_a_token_keeps_strangers_out(cluster: Cluster, tokens: Callable[[str], Path]) -> None:
    right, wrong = tokens("0123456789abcdef"), tokens("0123456789abcdeF")
    cluster.add("--token-file", right, num_cpus=1, host="0.0.0.0", advertise="127.0.0.1", wait=False)
    cluster.add("--token-file", right, num_cpus=1, resources={"b": 1}, wait=False)
    for flags, said in ((["--token-file", wrong], "is not that of this cluster"), ([], "asks for a token")):
        done = sheaf("nodes", "--address", cluster.place, *flags)
        assert done.returncode != 0
        assert said in done.stderr
        with pytest.raises(ray.errors.PermissionDeniedError, match=said):
            ray.init(cluster.address, token_file=flags[1] if flags else None)
        assert not ray.is_initialized()

    def count() -> int:
        done = sheaf("nodes", "--address", cluster.place, "--token-file", right, "--format", "json")
        return len(done.stdout.splitlines())

    assert becomes_true(lambda: count() == 2, SECONDS)
    ray.init(cluster.address, token_file=right)
    assert ray.get(ray.remote(lambda: 5).options(resources={"b": 1}).remote(), timeout=SECONDS) == 5
    ray.shutdown()
    # As the environment says it.
    code = "import os, sys; os.environ['SHEAF_TOKEN_FILE'] = sys.argv[2]; import sheaf; sheaf.init(sys.argv[1])"
    assert cluster.run_driver(code, right).returncode == 0


def test_a_node_says_that_it_is_refused(cluster: Cluster, tokens: Callable[[str], Path]) -> None:
    cluster.add("--token-file", tokens("0123456789abcdef"), num_cpus=1, wait=False)
    stranger = cluster.add("--token-file", tokens("0123456789abcdeF"), num_cpus=1, wait=False)
    assert becomes_true(lambda: "token" in told_by(stranger), SECONDS), told_by(stranger)


def test_a_node_says_that_it_finds_no_head(tmp_path: Path) -> None:
    command = [*SHEAF, "node", "--head", NOWHERE, "--num-cpus", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stderr is not None
            said = child.stderr.readline()
        finally:
            child.terminate()
        child.communicate(timeout=10)
    assert NOWHERE in said


def told_by(member: Member) -> str:
    return member.said()


def test_an_open_port_asks_for_a_token() -> None:
    for role in (["head"], ["node", "--head", NOWHERE]):
        done = sheaf(*role, "--port", "0", "--host", "0.0.0.0")
        assert done.returncode == 2
        assert "token" in done.stderr
        assert "127.0.0.1" in done.stderr


def test_addresses_where_no_head_is() -> None:
    for address in (NOWHERE, "no.such.host.invalid:7070"):
        begun = time.monotonic()
        with pytest.raises(ray.SheafError, match=re.escape(address)):
            ray.init(f"sheaf://{address}")
        done = sheaf("status", "--address", address)
        assert (done.returncode, done.stdout) == (7, "")
        assert address in done.stderr
        assert time.monotonic() - begun < 12
    for address in ("nonsense", "sheaf://", "host:port", "sheaf://127.0.0.1"):
        with pytest.raises((ValueError, ray.SheafError), match="no address of a cluster"):
            ray.init(address)


def test_a_port_where_something_else_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(ray.SheafError, match=re.escape(place)):
            ray.init(f"sheaf://{place}")
        assert time.monotonic() - begun < 12


def test_two_heads_on_one_port(driver: Cluster) -> None:
    done = sheaf("head", "--port", driver.place.split(":")[1])
    assert done.returncode == 7
    assert driver.place in done.stderr
    assert "use" in done.stderr


def test_commands_in_all_formats(driver: Cluster) -> None:
    import numpy as np

    @ray.remote
    class Sits:
        def here(self) -> None: ...

    kept = ray.put(np.zeros(1_000_000))
    sits = Sits.options(resources={"b": 0.5}).remote()
    ray.get(sits.here.remote(), timeout=SECONDS)
    columns = {
        "status": ["resource", "free", "total"],
        "nodes": ["node", "address", "state", "head", "free", "total", "labels"],
        "workers": ["node", "pid", "runs", "actor", "tasks"],
        "objects": ["node", "object", "bytes", "on disk", "readers", "owner"],
    }
    for command, names in columns.items():
        rows = driver.rows(command)
        assert rows
        assert all(list(row) == names for row in rows)
        csv = sheaf(command, "--address", driver.place, "--format", "csv").stdout.splitlines()
        assert csv[0].split(",") == names
        assert len(csv) == len(rows) + 1
        table = sheaf(command, "--address", driver.place).stdout
        assert all(name in table.splitlines()[1] for name in names)
        assert table.endswith("rows\n" if len(rows) > 1 else "1 row\n")
    totals = {row["resource"]: float(row["total"]) for row in driver.rows("status")}
    assert {name: totals[name] for name in ("nodes", "CPU", "a", "b")} == {"nodes": 2, "CPU": 4, "a": 2, "b": 2}
    [head] = [row for row in driver.rows("nodes") if row["head"] == "yes"]
    assert head["address"].endswith(driver.place)
    assert "zone x" in head["labels"]
    assert any(row["actor"] and "Sits" in row["runs"] for row in driver.rows("workers"))
    assert [int(row["bytes"]) >= 8_000_000 for row in driver.rows("objects")] == [True]
    assert json.loads(json.dumps(kept.hex()))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["head", "--resources", "{a: 1}"], '{"name": 2}'),
        (["head", "--resources", '{"CPU": 1}'], "--num-cpus"),
        (["head", "--resources", '{"a": -1}'], "no amount of a"),
        (["head", "--num-cpus=-1"], "no amount of CPU"),
        (["head", "--labels", '{"zone": 1}'], '{"name": "value"}'),
        (["head", "--port", "70000"], "70000"),
        (["head", "--python", "/no/such/python"], "--python"),
        (["head", "--python", "/bin/false"], "--python"),
        (["head", "--token-file", "/no/such/file"], "/no/such/file"),
        (["head", "--no-such-flag"], "--no-such-flag"),
        (["node"], "--head"),
        (["node", "--head", "nonsense"], "no address of a cluster"),
        (["nodes", "--format", "parquet"], "table, csv or json"),
    ],
)
def test_flags_that_cannot_be(flags: list[str], said: str) -> None:
    done = sheaf(*flags)
    assert done.returncode in (2, 7)
    assert done.stdout == ""
    assert said in done.stderr
    assert "panic" not in done.stderr


def test_a_folder_for_spilled_objects(tmp_path: Path) -> None:
    command = [*SHEAF, "head", "--port", "0", "--num-cpus", "1", "--spill-dir", str(tmp_path / "spilled")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        child.terminate()
        _, errors = child.communicate(timeout=10)
    assert "the head runs at" in line, errors
    assert (tmp_path / "spilled").is_dir()


def test_a_node_offers_the_gpus_that_it_may_see(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    cluster.add(num_cpus=2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    ray.init(cluster.address)
    assert ray.cluster_resources()["GPU"] == 2
    visible = ray.remote(num_gpus=1)(lambda: os.environ["CUDA_VISIBLE_DEVICES"])
    assert ray.get(visible.remote(), timeout=SECONDS) in ("2", "3")


def test_who_starts_a_head_without_a_token_is_told_who_can_use_it(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a secret of the tests, long enough\n")
    for flags, is_open in (([], True), (["--token-file", str(token)], False)):
        command = [*SHEAF, "head", "--port", "0", "--num-cpus", "0", *flags]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as head:
            assert head.stdout is not None
            assert "runs at" in head.stdout.readline()
            head.terminate()
            assert ("without a token" in head.stdout.read()) == is_open


def test_a_driver_and_workers_of_another_python_are_kept_apart(cluster: Cluster, tmp_path: Path) -> None:
    # A Python that says to be an older one, and is ours to whatever else it is asked.
    older = tmp_path / "python3.9"
    older.write_text(f'#!/bin/sh\ncase "$*" in *version_info*) echo 3.9 ;; *) exec {sys.executable} "$@" ;; esac\n')
    older.chmod(0o755)
    cluster.add(num_cpus=1)
    # A label of the user's does not hide it.
    other = cluster.add("--python", older, num_cpus=1, labels={"sheaf/python": "3.11"})
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    said = rf"this is Python {here}, .*{cluster.place_of(other)}, .*{cluster.address}, are of Python 3\.9\n.*--python"
    with pytest.raises(ray.errors.UnsupportedError, match=said):
        ray.init(cluster.address)
    assert not ray.is_initialized()
    # Nothing of the attempt is left that would be in the way.
    with ray.init("local", num_cpus=1):
        assert ray.get(ray.remote(lambda: 1).remote(), timeout=SECONDS) == 1
