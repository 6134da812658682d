"""Workers that run another interpreter: that of a conda environment, or one that is named.

No conda is needed: a program of its name answers what Sheaf asks of it, and makes virtual environments.
"""

import contextlib
import os
import sys
import venv

import pytest
from wheels import wheel

import sheaf

pytestmark = pytest.mark.timeout(120)

SECONDS = 60
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

# What is asked of it goes into a file, one command a line. It knows the environments below its own folder.
CONDA = """#!{python}
import json, pathlib, sys, venv
home = pathlib.Path({home!r})
with (home / "asked").open("a") as asked:
    asked.write(" ".join(sys.argv[1:]) + chr(10))
named = dict(zip(sys.argv[1:], sys.argv[2:]))
if sys.argv[1:] == ["env", "list", "--json"]:
    folders = [home, *sorted(path for path in (home / "envs").iterdir())]
    print(json.dumps({{"envs": [str(path) for path in folders]}}))
elif "create" in sys.argv[1:3]:
    text = pathlib.Path(named["--file"]).read_text()
    if "broken" in text:
        sys.exit("ResolvePackageNotFound: broken")
    folder = pathlib.Path(named["--prefix"])
    assert not folder.exists(), folder
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    if "nopython" in text:
        (folder / "bin" / "python").unlink()
    [inside] = folder.glob("lib/python*/site-packages")
    (inside / "sheaf_test_conda.py").write_text("PREFIX = " + repr(str(folder)) + chr(10))
else:
    sys.exit("it was asked for " + " ".join(sys.argv))
"""


@pytest.fixture(scope="module", autouse=True)
def conda(tmp_path_factory):
    """Its folder."""
    home = tmp_path_factory.mktemp("conda")
    (home / "envs").mkdir()
    named = home / "envs" / "prepared"
    venv.EnvBuilder(symlinks=True, with_pip=False).create(named)
    [inside] = named.glob("lib/python*/site-packages")
    (inside / "sheaf_test_conda.py").write_text(f"PREFIX = {str(named)!r}\n")
    # One whose packages lie before those of the driver.
    (inside / "tqdm.py").write_text("__version__ = 'of conda'\n")
    old = home / "envs" / "old" / "bin"
    old.mkdir(parents=True)
    (old / "python").write_text(f"""#!/bin/sh
exec {sys.executable} -c 'import runpy, sys; sys.version_info = (3, 2, 1); sys.executable = "old python"
del sys.argv[0]; runpy.run_path(sys.argv[0], run_name="__main__")' "$@"
""")
    (old / "python").chmod(0o755)
    programs = home / "bin"
    programs.mkdir()
    (programs / "conda").write_text(CONDA.format(python=sys.executable, home=str(home)))
    (programs / "conda").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PATH", str(programs), prepend=os.pathsep)
        for name in ("CONDA_EXE", "MAMBA_EXE"):
            patch.delenv(name, raising=False)
        sheaf.shutdown()
        sheaf.init(num_cpus=2)
        yield home
        sheaf.shutdown()


@sheaf.remote
def where():
    import sheaf_test_conda

    return sheaf_test_conda.PREFIX, sys.prefix, os.environ.get("CONDA_PREFIX"), os.environ["PATH"].split(":")[0]


def test_an_environment_by_name(conda, tmp_path):
    (tmp_path / "sheaf_test_beside.py").write_text("VALUE = 7\n")

    @sheaf.remote
    class Actor:
        def look(self):
            import sheaf_test_beside
            import tqdm

            return tqdm.__version__, sheaf_test_beside.VALUE, sheaf.get(where.remote()), os.environ["SHEAF_TEST"]

    prefix = str(conda / "envs" / "prepared")
    found = [prefix, prefix, prefix, f"{prefix}/bin"]
    asked = {"conda": "prepared", "env_vars": {"SHEAF_TEST": "${SHEAF_TEST}1"}, "working_dir": str(tmp_path)}
    actor = Actor.options(runtime_env=asked).remote()
    assert sheaf.get(actor.look.remote(), timeout=SECONDS) == ("of conda", 7, tuple(found), "1")
    # By its folder, no conda is asked at all.
    before = (conda / "asked").read_text()
    assert list(sheaf.get(where.options(runtime_env={"conda": prefix}).remote(), timeout=SECONDS)) == found
    assert (conda / "asked").read_text() == before


def test_an_environment_of_a_file_is_made_once(conda, tmp_path):
    file = tmp_path / "environment.yml"
    file.write_text(f"name: any\ndependencies:\n  - python={VERSION}\n")
    refs = [where.options(runtime_env={"conda": str(file)}).remote() for _ in range(4)]
    prefixes = {found[0] for found in sheaf.get(refs, timeout=SECONDS)}
    assert len(prefixes) == 1
    asked = [line for line in (conda / "asked").read_text().splitlines() if line.startswith("env create")]
    assert len(asked) == 1
    assert f"--prefix {prefixes.pop()}" in asked[0]
    other = where.options(runtime_env={"conda": {"dependencies": [f"python={VERSION}", "other"]}}).remote()
    assert sheaf.get(other, timeout=SECONDS)[0].endswith("content")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("nobody", "no conda environment 'nobody' on this node: there are .*prepared"),
        ("old", rf"old python is Python 3\.2, and the driver is Python {VERSION}"),
        ({"dependencies": ["broken"]}, "ResolvePackageNotFound: broken"),
        ({"dependencies": ["nopython"]}, "has no Python"),
    ],
)
def test_what_cannot_be_is_told(asked, said):
    with pytest.raises(sheaf.exceptions.RuntimeEnvSetupError, match=said):
        sheaf.get(where.options(runtime_env={"conda": asked}).remote(), timeout=SECONDS)


def test_without_conda_it_says_so(monkeypatch):
    asked = {"conda": "prepared", "env_vars": {"PATH": "/nowhere"}}
    with pytest.raises(sheaf.exceptions.RuntimeEnvSetupError, match="none of mamba, conda, micromamba is on this node"):
        sheaf.get(where.options(runtime_env=asked).remote(), timeout=SECONDS)


def test_the_python_that_is_named(tmp_path, conda):
    python = conda / "envs" / "prepared" / "bin" / "python"
    wheel(tmp_path / "index", "sheaf_test_thing", "1.0")

    @sheaf.remote
    def look():
        import sheaf_test_thing

        return sheaf_test_thing.VERSION, sys.flags.dev_mode, sys.executable.startswith(str(python.parent))

    pip = {"packages": ["sheaf_test_thing"], "pip_install_options": ["--no-index", "--find-links", tmp_path / "index"]}
    pip["pip_install_options"] = [str(each) for each in pip["pip_install_options"]]
    asked = {"py_executable": f"{python} -X dev", "pip": pip}
    assert sheaf.get(look.options(runtime_env=asked).remote(), timeout=SECONDS) == ("1.0", True, False)
    with pytest.raises(sheaf.exceptions.RuntimeEnvSetupError, match="no-such-python"):
        sheaf.get(look.options(runtime_env={"py_executable": "/no-such-python"}).remote(), timeout=SECONDS)


def test_what_it_becomes_holds_its_entry_of_the_cache(conda):
    """The lock goes with the process into the other interpreter."""

    @sheaf.remote
    def locks():
        found = []
        for file in os.listdir("/proc/self/fd"):
            # That of the folder itself is gone.
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(f"/proc/self/fd/{file}"))
        return [name for name in found if name.endswith(".lock")]

    spec = {"dependencies": [f"python={VERSION}", "held"]}
    [lock] = sheaf.get(locks.options(runtime_env={"conda": spec}).remote(), timeout=SECONDS)
    assert lock.removesuffix(".lock") in (conda / "asked").read_text()
