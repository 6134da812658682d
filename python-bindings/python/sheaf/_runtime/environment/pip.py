"""``pip``: packages that a virtual environment in the cache has, one for each set of them and kind of Python.

The environment sees what the workers' own Python has, as Ray's do: pip installs what is missing or of another version.
Its packages are found before those. A worker that was forked has imported some modules already (``KEPT``): they stay.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import os
import re
import site
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sheaf._runtime.environment import setup
from sheaf._runtime.environment.setup import Setup

_KEY = "pip"
_NAMES = ("packages", "pip_check", "pip_version", "pip_install_options")

# Where one version is loaded and used, another cannot be: Sheaf itself, and what it pickles with.
KEPT = ("sheaf", "cloudpickle")

# Nobody is there to answer, and its own version is nobody's business.
_OPTIONS = ("--disable-pip-version-check", "--no-input")
# What the environment sees of the Python it was made from; this is read by its interpreter only.
_BASE = "sheaf_base.pth"


def check(value: Any) -> dict[str, Any]:
    """The packages, with what else was asked of pip."""
    if isinstance(value, str | os.PathLike):
        return {"packages": _lines_of(Path(value))}
    if isinstance(value, list | tuple):
        return {"packages": _checked_list("packages", value)}
    if not isinstance(value, Mapping):
        raise TypeError(
            f"runtime_env: pip is {value!r}, and has to be a list of packages, the path of a file of them, or a dict"
        )
    if unknown := [name for name in value if name not in _NAMES]:
        raise ValueError(f"runtime_env: pip has no key {unknown[0]!r}\n  help: there are {', '.join(_NAMES)}")
    if "packages" not in value:
        raise ValueError("runtime_env: pip has no 'packages'")
    if isinstance(value["packages"], Mapping):
        raise TypeError("runtime_env: pip['packages'] has to be a list of packages or the path of a file of them")
    checked = check(value["packages"])
    for name, kind in (("pip_check", bool), ("pip_version", str)):
        if value.get(name) is not None:
            if not isinstance(value[name], kind):
                raise TypeError(f"runtime_env: pip[{name!r}] is {value[name]!r}, and has to be a {kind.__name__}")
            checked[name] = value[name]
    if value.get("pip_install_options") is not None:
        checked["pip_install_options"] = _checked_list("pip_install_options", value["pip_install_options"])
    return checked


def apply(value: dict[str, Any], made: Setup) -> None:
    """Let this process be of the environment, which is made where it is not there yet."""

    def install(folder: Path) -> None:
        make(folder, value, made.until)

    key = key_of(value)
    enter(made.depot.cache.hold(_KEY, key, install, until=made.until, remembers_failure=True))


def key_of(value: Mapping[str, Any]) -> str:
    """What decides what is installed: what is asked for, the Python, what it has, and where pip looks for packages."""
    told = {
        "asked": value,
        "python": [sys.version, sys.prefix],
        "has": sorted(name for folder in _base_folders() for name in _distributions(folder)),
        "pip": {name: text for name, text in sorted(os.environ.items()) if name.startswith("PIP_")},
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def enter(folder: Path) -> None:
    """Let this process, which was forked from another Python, be of the virtual environment in a folder."""
    inside = packages_of(folder)
    known, before = set(sys.path), len(sys.path)
    for name in sorted(name for name in os.listdir(inside) if name.endswith(".pth") and name != _BASE):
        site.addpackage(str(inside), name, known)
    added = sys.path[before:]
    del sys.path[before:]
    # Behind the program's own modules, as in any environment, and before what else was installed.
    at = next((at for at, path in enumerate(sys.path) if path in _base_folders()), before)
    sys.path[at:at] = [str(inside), *added]
    os.environ["VIRTUAL_ENV"] = str(folder)
    os.environ.pop("PYTHONHOME", None)
    setup.put_first_in_variable("PATH", folder / "bin")
    # Programs start others by this name.
    sys.executable = str(folder / "bin" / "python")
    sys.prefix = sys.exec_prefix = str(folder)
    _forget(inside)


def make(folder: Path, value: Mapping[str, Any], until: float) -> None:
    """Make the virtual environment in a folder that is empty."""
    import venv

    from sheaf._runtime.environment import commands

    # Where this Python has a pip, the environment sees it and needs none of its own.
    has_pip = any(os.path.isdir(os.path.join(base, "pip")) for base in _base_folders())
    what = f"the environment pip={value['packages']!r:.300} cannot be made"
    # What pip leaves behind when it is killed is within the entry of the cache too.
    beside = folder.parent
    if has_pip:
        venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    else:
        commands.run([sys.executable, "-m", "venv", folder], f"{what}: venv", until=until, folder=beside)
    lines = [f"import site; site.addsitedir({path!r})\n" for path in _base_folders()]
    (packages_of(folder) / _BASE).write_text("".join(lines), encoding="utf-8")
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{line}\n" for line in value["packages"]), encoding="utf-8")
    pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip"]
    # What pip was started from is not what it is to install into.
    env = {name: text for name, text in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")}
    run = functools.partial(commands.run, until=until, env=env, folder=beside)
    if version := value.get("pip_version"):
        asked = "pip" + (version if version[:1] in "=<>!~" else f"=={version}")
        run([*pip, "install", *_OPTIONS, asked], f"{what}: {asked}")
    run([*pip, "install", *_OPTIONS, "-r", requirements, *value.get("pip_install_options", [])], f"{what}: pip")
    if value.get("pip_check"):
        run([*pip, "check", "--disable-pip-version-check"], f"{what}: its packages do not go together: pip check")


def packages_of(folder: Path) -> Path:
    """Where a virtual environment has its packages."""
    return folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


@functools.cache
def _base_folders() -> list[str]:
    """The folders with the packages that this Python has."""
    folders = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    return [folder for folder in folders if os.path.isdir(folder)]


def _distributions(folder: str) -> Iterator[str]:
    """What pip would find installed there, by name and version."""
    return (name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info", ".egg-link", ".pth")))


def _forget(inside: Path) -> None:
    """Forget modules that were imported before the fork and that the environment has too, but for those that are kept:
    they are imported again when they are wanted, from there.
    """
    has = {name.partition(".")[0] for name in os.listdir(inside)} - {*KEPT, *sys.stdlib_module_names}
    for name in [name for name in sys.modules if name.partition(".")[0] in has]:
        del sys.modules[name]
    importlib.invalidate_caches()


def _checked_list(name: str, value: Any) -> list[str]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"runtime_env: pip[{name!r}] is {value!r}, and has to be a list of text")
    for each in value:
        if not isinstance(each, str) or "\n" in each:
            raise TypeError(f"runtime_env: pip[{name!r}] has {each!r}, and has to be lines of text")
    return list(value)


def _lines_of(path: Path, within: tuple[Path, ...] = ()) -> list[str]:
    """The lines of a file of requirements: what it says now, with the files that it names."""
    path = path.expanduser().absolute()
    if path in within:
        raise ValueError(f"runtime_env: the requirements in {str(path)!r} are among themselves")
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"runtime_env: the requirements cannot be read: {error}") from error
    # A backslash goes on with the next line.
    lines = (line.strip() for line in text.replace("\\\n", " ").splitlines())
    kept = [line for line in lines if line and not line.startswith("#")]
    return [said for line in kept for said in _said(line, path.parent, (*within, path))]


def _said(line: str, beside: Path, within: tuple[Path, ...]) -> list[str]:
    found = re.fullmatch(r"(-r|--requirement|-c|--constraint)(?:\s+|=)(.+?)(?:\s+#.*)?", line)
    if found is None or "://" in found[2]:
        return [line]
    path = Path(os.path.normpath(beside / found[2]))
    if found[1] in ("-r", "--requirement"):
        return _lines_of(path, within)
    return [f"-c {path}"]
