"""Runtime environments as text: what is accepted, what is refused, and what they do to a process."""

import json
import os
import sys

import pytest

from sheaf._runtime import environment
from sheaf.errors import UnsupportedError
from sheaf.exceptions import RuntimeEnvSetupError


@pytest.fixture(autouse=True)
def _restored(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    here = os.getcwd()
    yield
    os.chdir(here)


def test_variables_are_joined_and_the_rest_is_replaced(tmp_path):
    first = environment.normalise({"env_vars": {"A": "1", "B": "1"}, "working_dir": tmp_path.parent})
    second = json.loads(environment.normalise({"env_vars": {"B": "2"}, "working_dir": str(tmp_path)}, first))
    assert second == {"env_vars": {"A": "1", "B": "2"}, "working_dir": str(tmp_path)}
    assert environment.normalise({}, first) == environment.normalise(None, first) == first


def test_what_says_nothing_is_no_environment():
    assert environment.normalise({}) == environment.normalise({"working_dir": None, "excludes": ["*.pyc"]}) == ""


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"envvars": {}}, ValueError, "has no key 'envvars'"),
        ({"env_vars": {"A": 1}}, TypeError, r"env_vars\['A'\] is 1"),
        ({"env_vars": ["A"]}, TypeError, "dict of text to text"),
        ({"env_vars": {"A=B": ""}}, ValueError, "no environment can hold"),
        ({"working_dir": "/no/such"}, ValueError, "'/no/such' does not exist"),
        ({"working_dir": __file__}, ValueError, "is not a folder"),
        ({"working_dir": "s3://bucket/a.zip"}, UnsupportedError, "URLs are not there yet"),
        ({"py_modules": "/tmp"}, TypeError, "list of paths or modules"),
        ({"pip": ["numpy"]}, UnsupportedError, "'pip' is not there yet"),
        ({"conda": "env"}, UnsupportedError, "'conda' is not there yet"),
    ],
)
def test_what_cannot_be_is_refused_by_name(given, kind, said):
    with pytest.raises(kind, match=said):
        environment.normalise(given)


def test_variables_may_name_others(monkeypatch):
    monkeypatch.setitem(os.environ, "SHEAF_TEST_SET", "set")
    environment.apply('{"env_vars": {"SHEAF_TEST": "${SHEAF_TEST_SET}-${SHEAF_TEST_UNSET}"}}')
    assert os.environ["SHEAF_TEST"] == "set-"


def test_modules_are_found_by_name_and_the_folder_is_where_code_runs(tmp_path):
    package = tmp_path / "lib" / "sheaf_test_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("VALUE = 1")
    folder = tmp_path / "work"
    folder.mkdir()
    environment.apply(environment.normalise({"py_modules": [package], "working_dir": folder}))
    import sheaf_test_package

    assert sheaf_test_package.VALUE == 1
    assert os.getcwd() == sys.path[0] == str(folder)
    assert json.loads(environment.normalise({"py_modules": [sheaf_test_package]}))["py_modules"] == [str(package)]


def test_what_is_gone_says_so(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    env = environment.normalise({"working_dir": folder})
    folder.rmdir()
    with pytest.raises(RuntimeEnvSetupError, match=r"cannot be set up: working_dir .*gone.*No such file"):
        environment.apply(env)
    with pytest.raises(RuntimeEnvSetupError, match="'pip', which this version"):
        environment.apply('{"pip": []}')
