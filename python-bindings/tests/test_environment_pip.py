"""Environments that pip makes, in workers of a runtime: versions side by side, failures, ends in the middle of it."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from runtime.processes import becomes_true, running
from wheels import slow_source, wheel

import sheaf
from sheaf._runtime.environment import cache

pytestmark = pytest.mark.timeout(120)

SECONDS = 60


@pytest.fixture(scope="module", autouse=True)
def index(tmp_path_factory):
    """All that pip finds, in an environment whose cache is empty."""
    folder = tmp_path_factory.mktemp("index")
    for version in ("1.0", "2.0"):
        wheel(folder, "sheaf_test_thing", version)
    wheel(folder, "sheaf_test_needs", "1.0", needs=("sheaf_test_thing<2", "numpy"))
    # What is loaded in workers already, and what is loaded by name of the one and stays.
    wheel(folder, "cloudpickle", "99.0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder))
        patch.setenv("PIP_CONFIG_FILE", os.devnull)
        yield folder


@pytest.fixture(scope="module")
def runtime(index):
    sheaf.shutdown()
    sheaf.init(num_cpus=2)
    yield
    sheaf.shutdown()


@sheaf.remote
def version():
    import sheaf_test_thing

    return sheaf_test_thing.VERSION


def pip(*packages, **others):
    return {"pip": {"packages": [*packages], **others} if others else [*packages]}


def venvs():
    folder = cache.default_root() / "pip"
    return {path for path in folder.iterdir() if path.is_dir()} if folder.exists() else set()


def test_two_versions_side_by_side(runtime):
    one, two = (version.options(runtime_env=pip(f"sheaf_test_thing=={number}")) for number in ("1.0", "2.0"))
    assert sheaf.get([one.remote(), two.remote(), one.remote()], timeout=SECONDS) == ["1.0", "2.0", "1.0"]
    with pytest.raises(ModuleNotFoundError):
        sheaf.get(version.remote(), timeout=SECONDS)


def test_programs_that_a_worker_starts_are_of_its_environment(runtime):
    @sheaf.remote(runtime_env=pip("sheaf_test_thing==1.0"))
    def started():
        code = "import sheaf_test_thing, numpy, sys; print(sheaf_test_thing.VERSION, sys.prefix)"
        done = subprocess.run(["python", "-c", code], capture_output=True, text=True, check=True)
        same = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.split(), same.stdout == done.stdout, os.environ["VIRTUAL_ENV"], sys.prefix

    printed, is_same, variable, prefix = sheaf.get(started.remote(), timeout=SECONDS)
    assert (printed, is_same, variable) == (["1.0", prefix], True, prefix)


def test_what_is_there_is_not_installed_again_and_what_is_needed_is(runtime):
    @sheaf.remote(runtime_env=pip("sheaf_test_needs", pip_check=False))
    def found():
        import numpy
        import sheaf_test_needs  # noqa: F401
        import sheaf_test_thing

        return sheaf_test_thing.VERSION, numpy.__file__.startswith(sys.prefix)

    assert sheaf.get(found.remote(), timeout=SECONDS) == ("1.0", False)


def test_modules_of_the_program_come_before_packages_and_those_before_what_was_there(runtime, index, tmp_path):
    wheel(index, "sheaf_test_same", "1.0")
    wheel(index, "tqdm", "99.0")
    (tmp_path / "sheaf_test_same.py").write_text("VERSION = 'beside'\n")

    @sheaf.remote
    def versions():
        import sheaf_test_same
        import tqdm

        return sheaf_test_same.VERSION, tqdm.VERSION

    packages = pip("sheaf_test_same", "tqdm==99.0")
    alone = versions.options(runtime_env=packages).remote()
    beside = versions.options(runtime_env={**packages, "working_dir": str(tmp_path)}).remote()
    assert sheaf.get([alone, beside], timeout=SECONDS) == [("1.0", "99.0"), ("beside", "99.0")]


def test_what_workers_have_loaded_before_stays(runtime):
    @sheaf.remote(runtime_env=pip("cloudpickle==99.0"))
    def loaded():
        import importlib.metadata

        import cloudpickle

        return hasattr(cloudpickle, "VERSION"), importlib.metadata.version("cloudpickle"), sheaf.put([1]) is not None

    assert sheaf.get(loaded.remote(), timeout=SECONDS) == (False, "99.0", True)


def test_nested_tasks_and_actors_inherit_it(runtime, tmp_path):
    (tmp_path / "sheaf_test_beside.py").write_text("HERE = True\n")

    @sheaf.remote
    class Actor:
        def version(self):
            import sheaf_test_beside

            return sheaf.get(version.remote()), sheaf_test_beside.HERE

    @sheaf.remote(runtime_env={**pip("sheaf_test_thing==2.0"), "working_dir": str(tmp_path)})
    def outer():
        other = {"env_vars": {"SHEAF_TEST_OTHER": "1"}}
        again = dict(sheaf.get_runtime_context().runtime_env)
        return [
            sheaf.get(version.remote()),
            sheaf.get(version.options(runtime_env=other).remote()),
            sheaf.get(version.options(runtime_env=again).remote()),
            sheaf.get(Actor.remote().version.remote()),
        ]

    assert sheaf.get(outer.remote(), timeout=SECONDS) == ["2.0", "2.0", "2.0", ("2.0", True)]


def test_many_that_want_it_first_install_it_once(runtime, tmp_path):
    before = venvs()
    # pip is started by way of what counts it.
    asked = {**pip("sheaf_test_thing==1.0", pip_install_options=["--log", str(tmp_path / "log")])}
    refs = [version.options(runtime_env=asked).remote() for _ in range(8)]
    assert sheaf.get(refs, timeout=SECONDS) == ["1.0"] * 8
    assert len(venvs() - before) == 1
    assert (tmp_path / "log").read_text().count("Successfully installed") == 1


def test_a_broken_requirement_says_what_pip_said_and_is_not_tried_in_a_loop(runtime):
    asked = version.options(runtime_env=pip("sheaf_test_thing==3.0"))
    for ref in [asked.remote() for _ in range(4)]:
        with pytest.raises(sheaf.exceptions.RuntimeEnvSetupError, match=r"(?s)thing==3\.0.*No matching distribution"):
            sheaf.get(ref, timeout=SECONDS)
    begun = time.monotonic()
    secret = version.options(runtime_env=pip("sheaf_test_gone @ file://user:secret@localhost/gone.whl"))
    with pytest.raises(sheaf.exceptions.RuntimeEnvSetupError, match=r"sheaf_test_gone @ file://\*") as raised:
        sheaf.get(secret.remote(), timeout=SECONDS)
    assert "secret" not in str(raised.value)
    with pytest.raises(sheaf.exceptions.RuntimeEnvSetupError, match="tried again in"):
        sheaf.get(asked.remote(), timeout=SECONDS)
    assert time.monotonic() - begun < cache.FAILED_SECONDS

    @sheaf.remote(runtime_env=pip("sheaf_test_thing==3.0"))
    class Actor:
        def call(self):
            pass

    with pytest.raises(sheaf.exceptions.RuntimeEnvSetupError, match="thing==3"):
        sheaf.get(Actor.remote().call.remote(), timeout=SECONDS)


def test_packages_that_do_not_go_together_are_found_where_that_is_asked(runtime):
    named, others = ("sheaf_test_thing==2.0", "sheaf_test_needs"), {"pip_install_options": ["--no-deps"]}
    asked = version.options(runtime_env=pip(*named, **others, pip_check=True))
    with pytest.raises(sheaf.exceptions.RuntimeEnvSetupError, match=r"sheaf-test-needs 1\.0 has requirement"):
        sheaf.get(asked.remote(), timeout=SECONDS)
    assert sheaf.get(version.options(runtime_env=pip(*named, **others)).remote(), timeout=SECONDS) == "2.0"


def test_a_wheel_among_the_modules_is_installed_with_what_it_needs(runtime, index):
    asked = {"py_modules": [str(index / "sheaf_test_needs-1.0-py3-none-any.whl")]}
    assert sheaf.get(version.options(runtime_env=asked).remote(), timeout=SECONDS) == "1.0"


@sheaf.remote
def quick():
    return os.getpid()


def slow(folder):
    """An environment that is never done, and the processes that make it."""
    begun = folder / "begun"
    source = slow_source(folder, "sheaf_test_slow", "1.0", begun)

    def makers():
        return {int(pid) for pid in begun.read_text().split()} if begun.exists() else set()

    return pip(f"sheaf_test_slow @ file://{source}", pip_install_options=["--no-build-isolation"]), makers


def test_others_go_on_while_it_is_made_and_a_cancel_ends_it(runtime, tmp_path):
    asked, makers = slow(tmp_path)
    before, temporary = venvs(), [path.name for path in Path(tempfile.gettempdir()).glob("pip-*")]
    # More than there are CPUs.
    refs = [quick.options(runtime_env=asked).remote() for _ in range(3)]
    assert becomes_true(lambda: bool(makers()), SECONDS)
    assert len(sheaf.get([quick.remote() for _ in range(4)], timeout=20)) == 4
    pids = makers()
    for ref in refs:
        sheaf.cancel(ref, force=True)
    for ref in refs:
        with pytest.raises(sheaf.exceptions.TaskCancelledError):
            sheaf.get(ref, timeout=20)
    assert becomes_true(lambda: not running(pids), 10)
    assert becomes_true(lambda: sheaf.available_resources().get("CPU") == 2, 10)
    # What is left is no environment, and is all in its place: whoever comes next begins anew.
    assert [path.name for path in Path(tempfile.gettempdir()).glob("pip-*")] == temporary
    assert all(not (path / "ready").exists() for path in venvs() - before)


def test_a_cancel_without_force_ends_it_as_well(runtime, tmp_path):
    asked, makers = slow(tmp_path)
    ref = quick.options(runtime_env=asked).remote()
    assert becomes_true(lambda: bool(makers()), SECONDS)
    sheaf.cancel(ref)
    with pytest.raises(sheaf.exceptions.TaskCancelledError):
        sheaf.get(ref, timeout=20)
    assert becomes_true(lambda: not running(makers()), 10)

    @sheaf.remote
    class Actor:
        def call(self):
            pass

    again = tmp_path / "again"
    asked, makers = slow(again)
    actor = Actor.options(runtime_env=asked).remote()
    assert becomes_true(lambda: bool(makers()), SECONDS)
    sheaf.kill(actor)
    with pytest.raises(sheaf.exceptions.ActorDiedError):
        sheaf.get(actor.call.remote(), timeout=20)
    assert becomes_true(lambda: not running(makers()), 10)


def test_a_set_up_that_takes_too_long_is_ended(runtime, tmp_path):
    asked, makers = slow(tmp_path)
    before = venvs()
    ref = quick.options(runtime_env={**asked, "config": {"setup_timeout_seconds": 4}}).remote()
    with pytest.raises(sheaf.exceptions.RuntimeEnvSetupError, match=r"took too long.*\n(?s:.*)setup_timeout_seconds"):
        sheaf.get(ref, timeout=SECONDS)
    assert becomes_true(lambda: not running(makers()), 10)
    assert venvs() == before


@pytest.mark.parametrize("end", ["shutdown", "kill"])
def test_nothing_that_installs_outlives_the_driver(index, tmp_path, end):
    asked, makers = slow(tmp_path)
    code = f"""
import sys, sheaf
sheaf.init(num_cpus=1)
ref = sheaf.remote(lambda: 1).options(runtime_env={asked!r}).remote()
sys.stdin.readline()
sheaf.shutdown()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True) as driver:
        try:
            assert becomes_true(lambda: bool(makers()), SECONDS)
            pids = makers()
            assert running(pids) == pids
            if end == "kill":
                driver.kill()
            else:
                driver.communicate("end\n", timeout=20)
            assert becomes_true(lambda: not running(pids), 10)
        finally:
            driver.kill()


def test_a_worker_that_is_killed_while_it_installs_is_made_anew(runtime, tmp_path):
    asked, makers = slow(tmp_path)
    ref = quick.options(runtime_env=asked, max_retries=1).remote()
    assert becomes_true(lambda: bool(makers()), SECONDS)
    first = makers()
    worker = next(parent for parent in psutil.Process(min(first)).parents() if "sheaf" in " ".join(parent.cmdline()))
    worker.kill()
    assert becomes_true(lambda: not running(first), 10)
    assert becomes_true(lambda: bool(makers() - first), SECONDS)
    sheaf.cancel(ref, force=True)
    with pytest.raises(sheaf.exceptions.TaskCancelledError):
        sheaf.get(ref, timeout=20)
    assert becomes_true(lambda: not running(makers()), 10)


def test_requirements_in_a_file(runtime, tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("sheaf_test_thing == 2.0  # the newer one\n")
    asked = version.options(runtime_env={"pip": str(file)})
    assert sheaf.get(asked.remote(), timeout=SECONDS) == "2.0"
