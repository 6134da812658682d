"""The stubs of the extension name what it has, with the same arguments."""

import ast
import inspect
from pathlib import Path

import sheaf
from sheaf import _sheaf

STUB = Path(sheaf.__file__).with_name("_sheaf.pyi")
# Made by Python or by the stub's own typing.
UNSAID = {"__doc__", "__module__", "__new__", "__init__", "__hash__", "__iter__", "__next__", "__array_ufunc__"}


def stubs() -> dict[str, ast.AST]:
    return {node.name: node for node in ast.parse(STUB.read_text()).body if hasattr(node, "name")}


def test_stubs_match() -> None:
    named = {name for name in vars(_sheaf) if not name.startswith("_")} - {"VERSION"}
    assert set(stubs()) == named
    for name, node in stubs().items():
        if isinstance(node, ast.ClassDef):
            said = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
            said |= {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)}
            has = {key for key in vars(getattr(_sheaf, name)) if not key.startswith("__")}
            assert said - {key for key in said if key.startswith("__")} == has, name


def test_arguments_match() -> None:
    for name, node in stubs().items():
        value = getattr(_sheaf, name)
        functions = [node] if isinstance(node, ast.FunctionDef) else getattr(node, "body", [])
        for function in functions:
            if not isinstance(function, ast.FunctionDef) or function.decorator_list or function.name.startswith("__"):
                continue
            member = value if function is node else getattr(value, function.name)
            said = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
            said += [argument.arg for argument in function.args.kwonlyargs]
            has = [key for key in inspect.signature(member).parameters if key not in {"args", "kwargs"}]
            assert said == has, f"{name}.{function.name}"
