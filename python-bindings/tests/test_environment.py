"""Runtime environments as text: what is accepted, what is refused, and what they do to a process."""

import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

from sheaf._runtime import environment
from sheaf._runtime.environment import Depot
from sheaf._runtime.environment.cache import Cache
from sheaf.errors import UnsupportedError
from sheaf.exceptions import RuntimeEnvSetupError
from sheaf.runtime_env import RuntimeEnv


@pytest.fixture(autouse=True)
def _restored(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    here = os.getcwd()
    yield
    os.chdir(here)


@pytest.fixture
def depot(tmp_path):
    depot = Depot(Cache(tmp_path / "cache"))
    yield depot
    depot.close()


def test_variables_are_joined_and_the_rest_is_replaced(tmp_path):
    first = environment.normalise({"env_vars": {"A": "1", "B": "1"}, "working_dir": tmp_path.parent})
    second = json.loads(environment.normalise({"env_vars": {"B": "2"}, "working_dir": str(tmp_path)}, first))
    assert second == {"env_vars": {"A": "1", "B": "2"}, "working_dir": str(tmp_path)}
    assert environment.normalise({}, first) == environment.normalise(None, first) == first
    # One of them brings the packages.
    pip = environment.normalise({"pip": ["a"]}, first)
    assert {"env_vars", "conda", "working_dir"} == set(json.loads(environment.normalise({"conda": "a"}, pip)))
    assert "pip" not in json.loads(environment.normalise({"pip": []}, pip))


def test_what_says_nothing_is_no_environment():
    nothing = {"working_dir": None, "excludes": ["*.pyc"], "env_vars": {}, "pip": [], "config": {"eager_install": True}}
    assert environment.normalise({}) == environment.normalise(nothing) == ""


def test_what_was_checked_is_taken_again(tmp_path, depot):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "main.py").touch()
    asked = {
        "env_vars": {"A": "1"},
        "working_dir": tmp_path / "work",
        "py_modules": [tmp_path / "work" / "main.py"],
        "pip": {"packages": ["a==1"], "pip_check": True, "pip_version": "==25.0", "pip_install_options": ["--no-deps"]},
        "config": {"setup_timeout_seconds": 5},
        "py_executable": "python3 -X dev",
    }
    env = environment.pack(environment.normalise(asked), depot)
    assert environment.normalise(json.loads(env)) == environment.pack(env, depot) == env
    conda = environment.normalise({"conda": {"dependencies": ["python=3.11"]}})
    assert environment.normalise(json.loads(conda)) == conda
    # As Ray has it, it is a dictionary like any other.
    assert environment.normalise(RuntimeEnv(**asked, excludes=["*.bin"])) == environment.normalise(
        {**asked, "excludes": ["*.bin"]}
    )


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"envvars": {}}, ValueError, "has no key 'envvars'"),
        ({"env_vars": {"A": 1}}, TypeError, r"env_vars\['A'\] is 1"),
        ({"env_vars": ["A"]}, TypeError, "dict of text to text"),
        ({"env_vars": {"A=B": ""}}, ValueError, "no environment can hold"),
        ({"working_dir": "/no/such"}, ValueError, "'/no/such' does not exist"),
        ({"working_dir": __file__}, ValueError, "is not a folder, and does not end with .zip"),
        ({"working_dir": "s3://bucket/a.zip"}, UnsupportedError, "URLs are not there"),
        ({"working_dir": "package://abc/d.zip"}, ValueError, "names no package"),
        ({"py_modules": "/tmp"}, TypeError, "list of paths or modules"),
        ({"py_modules": ["/etc/hostname"]}, ValueError, "does not end with .py, .zip, .whl"),
        ({"py_modules": [sys]}, ValueError, "'sys', which has no file"),
        ({"excludes": "*.pyc"}, TypeError, "list of patterns"),
        ({"pip": 3}, TypeError, "pip is 3"),
        ({"pip": ["a", 3]}, TypeError, "has 3"),
        ({"pip": {"package": ["a"]}}, ValueError, "no key 'package'"),
        ({"pip": {}}, ValueError, "has no 'packages'"),
        ({"pip": {"packages": ["a"], "pip_check": "yes"}}, TypeError, "pip_check"),
        ({"pip": {"packages": {"a": 1}}}, TypeError, "a list of packages"),
        ({"pip": "/no/requirements.txt"}, ValueError, "No such file.*requirements.txt"),
        ({"conda": 3}, TypeError, "conda is 3"),
        ({"conda": "/no/such.yml"}, ValueError, r"No such file.*such\.yml"),
        ({"conda": {"dependencies": {1, 2}}}, TypeError, "no file can say"),
        ({"conda": "a", "pip": ["b"]}, ValueError, "has pip and conda"),
        ({"conda": "a", "py_executable": "python"}, ValueError, "has py_executable and conda"),
        ({"py_executable": ["python"]}, TypeError, "command as text"),
        ({"config": {"timeout": 3}}, ValueError, "no key 'timeout'"),
        ({"config": {"setup_timeout_seconds": 0}}, ValueError, "above 0"),
        ({"uv": ["numpy"]}, UnsupportedError, "'uv' is not there"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given, kind, said):
    with pytest.raises(kind, match=said):
        environment.normalise(given)


def test_requirements_are_what_their_file_says_now(tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    (more / "b.txt").write_text("two==2 ; python_version > '3'\n")
    file = tmp_path / "requirements.txt"
    file.write_text("# what it needs\none==1 \\\n  --hash=sha256:ab\n\n-r more/b.txt\n-c bounds.txt\n--no-index\n")
    env = environment.normalise({"pip": str(file)})
    file.unlink()
    assert json.loads(env)["pip"]["packages"] == [
        "one==1    --hash=sha256:ab",
        "two==2 ; python_version > '3'",
        f"-c {tmp_path}/bounds.txt",
        "--no-index",
    ]


def test_requirements_that_name_themselves_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("-r b.txt\n")
    (tmp_path / "b.txt").write_text("-r ./a.txt\n")
    with pytest.raises(ValueError, match=r"a\.txt' are among themselves"):
        environment.normalise({"pip": str(tmp_path / "a.txt")})


def test_variables_may_name_others(monkeypatch, depot):
    monkeypatch.setitem(os.environ, "SHEAF_TEST_SET", "set")
    environment.apply('{"env_vars": {"SHEAF_TEST": "${SHEAF_TEST_SET}-${SHEAF_TEST_UNSET}"}}', depot)
    assert os.environ["SHEAF_TEST"] == "set-"


def test_modules_are_found_by_name_and_the_folder_is_where_code_runs(tmp_path, depot):
    package = tmp_path / "lib" / "sheaf_test_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("VALUE = 1")
    single = tmp_path / "sheaf_test_single.py"
    single.write_text("VALUE = 2")
    archive = tmp_path / "more.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("sheaf_test_zipped/__init__.py", "VALUE = 3")
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "data.txt").write_text("before")
    asked = {"py_modules": [package, single, archive], "working_dir": folder}
    env = environment.pack(environment.normalise(asked), depot)
    (folder / "data.txt").write_text("after")
    environment.apply(env, depot)
    import sheaf_test_package
    import sheaf_test_single
    import sheaf_test_zipped

    values = [each.VALUE for each in (sheaf_test_package, sheaf_test_single, sheaf_test_zipped)]
    assert (values, Path("data.txt").read_text()) == ([1, 2, 3], "before")
    assert os.getcwd() == sys.path[0]
    assert environment.normalise({"py_modules": [sheaf_test_single]}) != ""


def test_what_is_gone_says_so(tmp_path, depot):
    env = environment.pack(environment.normalise({"working_dir": tmp_path}), Depot(Cache(tmp_path / "another")))
    with pytest.raises(RuntimeEnvSetupError, match="is not in the cache of this machine any more"):
        environment.apply(env, depot)
    with pytest.raises(RuntimeEnvSetupError, match="'pipe', which this version"):
        environment.apply('{"pipe": []}', depot)
