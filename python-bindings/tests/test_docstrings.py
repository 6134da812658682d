"""Everything public has an example in its docstring, and the examples run and print what they say."""

import doctest
import importlib
import inspect
import pkgutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import sheaf
from sheaf import _sheaf, expressions

OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.fixture(scope="module", autouse=True)
def no_runtime_left() -> Iterator[None]:
    """Examples start the runtime by its first use."""
    yield
    sheaf.shutdown()


def modules() -> Iterator[ModuleType]:
    yield sheaf
    for found in pkgutil.walk_packages(sheaf.__path__, "sheaf."):
        if found.name != "sheaf._sheaf":
            yield importlib.import_module(found.name)


def compiled() -> Iterator[doctest.DocTest]:
    """The examples of the classes and functions that the extension brings; doctest looks at Python's own only."""
    parser = doctest.DocTestParser()
    for name, value in vars(_sheaf).items():
        members = {name: value, **{f"{name}.{key}": getattr(value, key) for key in dir(value) if key[:2] != "__"}}
        for key, member in members.items():
            text = getattr(member, "__doc__", None)
            if isinstance(text, str) and ">>>" in text:
                yield parser.get_doctest(text, {}, f"sheaf._sheaf.{key}", None, 0)


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder()
    found = [test for module in modules() for test in finder.find(module) if test.examples]
    return [*found, *compiled()]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_examples_run(example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Folders that examples make for themselves.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    runner = doctest.DebugRunner(optionflags=OPTIONS)
    try:
        runner.run(example)
    except doctest.DocTestFailure as failure:
        wanted = f"{failure.example.source}wanted:\n{failure.example.want}got:\n{failure.got}"
        pytest.fail(wanted, pytrace=False)


def test_public_methods_of_datasets_and_sessions_are_described() -> None:
    for cls in (sheaf.Dataset, sheaf.GroupedDataset, sheaf.Session):
        for name, member in members(cls).items():
            if not name.startswith("_"):
                assert getattr(member, "__doc__", None), f"{cls.__name__}.{name} has no docstring"


def public() -> dict[str, object]:
    """The functions and classes of the package, and the methods and properties of its classes, by name.

    Errors are made by the engine. `sheaf.functions` is the engine's own documentation, whose examples are SQL.
    """
    named = {name: getattr(module, name) for module in (sheaf, expressions) for name in module.__all__}
    found: dict[str, object] = {}
    for name, value in named.items():
        if not callable(value) or (isinstance(value, type) and issubclass(value, Exception)):
            continue
        found[name] = value
        inside = members(value) if isinstance(value, type) else {}
        found |= {f"{name}.{key}": member for key, member in inside.items() if key[0] != "_" and is_described(member)}
    return found


def members(cls: type) -> dict[str, object]:
    """What the class has of its own and of those of Sheaf's that it stands on."""
    ours = [base for base in reversed(cls.__mro__) if base.__module__.startswith("sheaf") or base is cls]
    return {name: member for base in ours for name, member in vars(base).items()}


def is_described(member: object) -> bool:
    return inspect.isroutine(member) or isinstance(member, property) or inspect.isgetsetdescriptor(member)


def test_everything_public_has_an_example() -> None:
    found = public()
    some = {"read_csv", "when", "Session", "Session.settings", "Dataset.columns", "Dataset.write_csv", "SortKey"}
    some |= {"GroupedDataset.agg", "Expr.cast", "Expr.str", "Then.otherwise", "StringNamespace.upper"}
    assert some <= set(found)
    assert [name for name, value in found.items() if ">>> " not in (value.__doc__ or "")] == []
