"""``py_modules``: modules and packages of the driver's that workers can import."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from sheaf._runtime.environment import packages, paths, setup
from sheaf._runtime.environment.depot import Depot
from sheaf._runtime.environment.packages import Package
from sheaf._runtime.environment.setup import Setup

_KEY = "py_modules"


def check(value: Any) -> list[str]:
    """Folders of modules, files of one, archives with some, wheels, or the modules themselves."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"runtime_env: py_modules is {value!r}, and has to be a list of paths or modules")
    return [paths.check(_KEY, _path_of(each), endings=(".py", ".zip", ".whl")) for each in value]


def pack(value: list[str], excludes: list[str], depot: Depot) -> list[str]:
    """A package of each."""
    return [each if packages.is_package(each) else str(_pack(Path(each), excludes, depot)) for each in value]


def apply(value: list[str], made: Setup) -> None:
    """Let them be found before all that was installed."""
    # A path is of the module itself, and is found by its parent.
    setup.put_first(
        _folder(packages.read(each), made) if packages.is_package(each) else Path(each).parent for each in value
    )


def _path_of(module: Any) -> Any:
    if not isinstance(module, ModuleType):
        return module
    # A package is its folder, a namespace package its first one.
    found = next(iter(getattr(module, "__path__", ())), None) or getattr(module, "__file__", None)
    if found is None:
        raise ValueError(f"runtime_env: py_modules has {module.__name__!r}, which has no file")
    return found


def _pack(path: Path, excludes: list[str], depot: Depot) -> Package:
    what = f"{_KEY} {str(path)!r}"
    if path.suffix in (".zip", ".whl"):
        return depot.store(what, path)
    # Within the package a module has its own name, by which it is imported.
    inside = f"{path.name}/" if path.is_dir() else ""
    return depot.pack(what, packages.name_of(path), packages.files_of(path, excludes, inside))


def _folder(package: Package, made: Setup) -> Path:
    return _installed(package, made) if package.is_wheel else made.unpacked(_KEY, package)


def _installed(package: Package, made: Setup) -> Path:
    """A wheel with what it needs beyond what the worker's Python has, as pip installs it."""
    from sheaf._runtime.environment import pip

    def install(folder: Path) -> None:
        wheel = folder / package.name
        wheel.symlink_to(made.depot.find(package, made.until))
        pip.make(folder, {"packages": [str(wheel)]}, made.until)

    key = pip.key_of({"packages": [str(package)]})
    return pip.packages_of(made.depot.cache.hold("wheels", key, install, until=made.until, remembers_failure=True))
