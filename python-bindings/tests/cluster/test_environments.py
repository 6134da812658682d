"""Environments on several nodes, each with a cache of its own: what goes from the driver by the head to the others."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from runtime.processes import becomes_true, running
from wheels import slow_source, wheel

import sheaf as ray
from sheaf._runtime.environment import head

from .nodes import Cluster, Member

pytestmark = pytest.mark.timeout(90)

SECONDS = 40
A, B = {"resources": {"a": 0.01}}, {"resources": {"b": 0.01}}
CERTIFICATES = Path(__file__).parents[3] / "flight" / "tests" / "certificates"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the driver, and of drivers that are started."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache of driver"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with code and data, and what is to stay out."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    (folder / "sheaf_test_project.py").write_text("VERSION = 1\n")
    (folder / "data" / "kept.txt").write_text("kept")
    (folder / "data" / "large.bin").write_bytes(bytes(1_000))
    (folder / "notes.tmp").write_text("for nobody")
    (folder / ".gitignore").write_text("*.tmp\n")
    return folder


@ray.remote
def seen() -> tuple[str, int, list[str]]:
    import sheaf_test_project

    files = sorted(str(path) for path in Path().rglob("*") if path.is_file() and "__pycache__" not in str(path))
    return os.getcwd(), sheaf_test_project.VERSION, files


def entries(member: Member, kind: str) -> list[Path]:
    folder = member.cache / "sheaf" / "environments" / kind
    return [path for path in folder.iterdir() if path.is_dir()] if folder.exists() else []


def test_every_node_has_the_folder_as_it_was(two: Cluster, project: Path) -> None:
    ray.shutdown()
    ray.init(two.address, runtime_env={"working_dir": str(project), "excludes": ["*.bin"]})
    try:
        (project / "sheaf_test_project.py").write_text("VERSION = 2\n")
        shutil.rmtree(project / "data")
        told = ray.get([seen.options(**where).remote() for where in (A, B, A, B)], timeout=SECONDS)
        assert told[:2] == told[2:]
        for member, (folder, version, files) in zip(two.members, told[:2], strict=True):
            assert Path(folder).is_relative_to(member.cache)
            assert (version, files) == (1, [".gitignore", "data/kept.txt", "sheaf_test_project.py"])
            assert len(entries(member, "packages")) == 1
    finally:
        ray.shutdown()


def test_the_next_program_has_a_copy_of_its_own(two: Cluster, project: Path) -> None:
    code = """
import sys, sheaf as ray
from pathlib import Path
ray.init(sys.argv[1], runtime_env={"working_dir": sys.argv[2]})
@ray.remote(resources={"b": 0.01})
def note():
    Path("notes.txt").open("a").write("again ")
    return Path("notes.txt").read_text()
print([ray.get(note.remote(), timeout=30) for _ in range(2)])
"""
    for _ in range(2):
        done = two.run_driver(code, project)
        assert done.stdout == "['again ', 'again again ']\n", done
    assert not (project / "notes.txt").exists()


def test_modules_and_nested_tasks_and_actors(driver: Cluster, project: Path, tmp_path: Path) -> None:
    package = tmp_path / "lib" / "sheaf_test_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from sheaf_test_package.inner import VALUE")
    (package / "inner.py").write_text("VALUE = 5")
    single = tmp_path / "sheaf_test_single.py"
    single.write_text("VALUE = 6")
    installed = wheel(tmp_path / "index", "sheaf_test_installed", "7")

    @ray.remote(num_cpus=0)
    class Actor:
        def values(self) -> tuple[Any, ...]:
            import sheaf_test_installed
            import sheaf_test_package
            import sheaf_test_single

            return sheaf_test_package.VALUE, sheaf_test_single.VALUE, sheaf_test_installed.VERSION

    @ray.remote
    def outer(project: Path) -> Any:
        # What lies on this node's disk is given to the others by way of the head as well.
        inner = seen.options(**A, runtime_env={"working_dir": str(project)})
        return ray.get(Actor.options(**A).remote().values.remote()), ray.get(inner.remote())[1]

    modules = {"py_modules": [str(package), str(single), str(installed)]}
    assert ray.get(outer.options(**B, runtime_env=modules).remote(project), timeout=SECONDS) == ((5, 6, "7"), 1)


def test_packages_of_pip_on_another_node(driver: Cluster, tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        wheel(tmp_path / "index", "sheaf_test_thing", version)

    @ray.remote
    def version() -> tuple[str, str]:
        import sheaf_test_thing

        return sheaf_test_thing.VERSION, sheaf_test_thing.__file__

    options = ["--no-index", "--find-links", str(tmp_path / "index")]

    def asked(number: str) -> dict[str, Any]:
        return {"pip": {"packages": [f"sheaf_test_thing=={number}"], "pip_install_options": options}}

    refs = [version.options(**B, runtime_env=asked(number)).remote() for number in ("1.0", "2.0", "1.0")]
    told = ray.get(refs, timeout=SECONDS)
    assert [number for number, _ in told] == ["1.0", "2.0", "1.0"]
    assert all(Path(file).is_relative_to(driver.members[1].cache) for _, file in told)
    assert len(entries(driver.members[1], "pip")) == 2


def test_what_installs_for_a_driver_that_is_killed_ends(driver: Cluster, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    source = slow_source(tmp_path / "slow", "sheaf_test_slow", "1.0", begun)
    code = f"""
import sys, sheaf as ray
pip = {{"packages": ["sheaf_test_slow @ file://{source}"], "pip_install_options": ["--no-index"]}}
ray.init(sys.argv[1])
ref = ray.remote(lambda: 1).options(resources={{"b": 0.01}}, runtime_env={{"pip": pip}}).remote()
sys.stdin.readline()
"""
    with driver.started_driver(code) as child:
        assert becomes_true(begun.exists, SECONDS)
        pids = {int(pid) for pid in begun.read_text().split()}
        assert running(pids) == pids
        child.kill()
        assert becomes_true(lambda: not running(pids), SECONDS)


def refuses(*_: object) -> None:
    raise ConnectionRefusedError("Connection refused")


def test_a_head_that_is_not_there_is_told(driver: Cluster, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_PAUSES_SECONDS", (0.01,))
    monkeypatch.setattr(head.Head, "_answer", refuses)
    asked = seen.options(runtime_env={"working_dir": str(project)})
    with pytest.raises(ray.exceptions.RuntimeEnvSetupError, match=r"working_dir .*cannot be given to the head at"):
        asked.remote()


@pytest.mark.parametrize("secured", ["token", "certificates"])
def test_packages_go_where_strangers_are_kept_out(
    cluster: Cluster, project: Path, tmp_path: Path, secured: str
) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    if secured == "token":
        flags: list[object] = ["--token-file", token]
        own: dict[str, Any] = {"token_file": token}
    else:
        files = [CERTIFICATES / name for name in ("cluster.pem", "cluster.key", "cluster-ca.pem")]
        flags = [
            each for name, file in zip(("cert", "key", "ca"), files, strict=True) for each in (f"--tls-{name}", file)
        ]
        own = {"tls": files}
    cluster.add(*flags, num_cpus=1, wait=False)
    cluster.add(*flags, num_cpus=1, resources={"b": 1}, wait=False)
    ray.init(cluster.address, **own, runtime_env={"working_dir": str(project)})
    folder, version, _ = ray.get(seen.options(**B).remote(), timeout=SECONDS)
    assert (version, Path(folder).is_relative_to(cluster.members[1].cache)) == (1, True)


def test_another_python_has_what_the_driver_has(driver: Cluster, project: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"

    @ray.remote
    def where() -> tuple[str, int]:
        import sheaf_test_project

        return sys.executable, sheaf_test_project.VERSION

    asked = {"py_executable": str(python), "working_dir": str(project)}
    assert ray.get(where.options(**B, runtime_env=asked).remote(), timeout=SECONDS) == (str(python), 1)
