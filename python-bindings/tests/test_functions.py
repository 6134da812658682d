"""`sf.functions`: it has what the engine has, its stub says so, and calls give the engine's results."""

from __future__ import annotations

import ast
import datetime as dt
import importlib.util
import keyword
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sheaf as sf
from sheaf._sheaf import list_functions

HERE = Path(__file__).parent
A, X, XS = sf.col("a"), sf.col("x"), sf.col("xs")


def values(expr: sf.Expr, **columns: list[Any]) -> list[Any]:
    """Return what an expression gives over these columns."""
    return sf.from_pydict(columns).select(expr.alias("r")).to_pydict()["r"]


def generator() -> ModuleType:
    """Return the script that writes the stub."""
    spec = importlib.util.spec_from_file_location("generate_functions", HERE.parent / "generate_functions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_function_is_there() -> None:
    infos = list_functions()
    kinds = {info.kind for info in infos}
    assert kinds == {"scalar", "aggregate", "window", "higher-order"}
    assert len(infos) > 250
    for info in infos:
        function = getattr(sf.functions, info.name)
        assert callable(function)
        assert function.__name__ == info.name
        assert function.__doc__
    assert dir(sf.functions) == sorted(info.name for info in infos)
    # SQL finds the same names.
    known = sf.sql("SELECT DISTINCT routine_name AS name FROM information_schema.routines").to_pydict()
    missing = set(known["name"]) - {info.name for info in infos}
    assert not missing


def test_the_stub_is_the_engines() -> None:
    module = generator()
    stub = module.STUB.read_text()
    assert stub == module.stub(), "run `python generate_functions.py` in python-bindings"
    defined = {node.name for node in ast.parse(stub).body if isinstance(node, ast.FunctionDef)}
    names = {info.name for info in list_functions() if info.name.isidentifier() and not keyword.iskeyword(info.name)}
    assert defined == names | {"lambda_expression"}


def test_a_wrong_name_is_told_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'upper'"):
        sf.functions.uper  # noqa: B018
    with pytest.raises(TypeError):
        sf.functions.upper(A, distinct=True)


def test_documentation_is_the_engines() -> None:
    text = sf.functions.date_trunc.__doc__
    assert text is not None
    assert "In SQL: `date_trunc(" in text
    assert "Arguments:" in text
    assert "Another name of `character_length`" in (sf.functions.length.__doc__ or "")


CALLS: list[tuple[str, sf.Expr, dict[str, list[Any]], list[Any]]] = [
    ("upper", sf.functions.upper(A), {"a": ["x", None]}, ["X", None]),
    ("concat_ws", sf.functions.concat_ws("-", A, "z"), {"a": ["x", None]}, ["x-z", "z"]),
    ("coalesce", sf.functions.coalesce(A, X, 0), {"a": [1, None, None], "x": [5, 6, None]}, [1, 6, 0]),
    ("greatest", sf.functions.greatest(A, X), {"a": [1, 9], "x": [5, 6]}, [5, 9]),
    ("nullif", sf.functions.nullif(A, 1), {"a": [1, 2]}, [None, 2]),
    ("gcd", sf.functions.gcd(A, 12), {"a": [18]}, [6]),
    ("md5", sf.functions.md5(A), {"a": ["x"]}, ["9dd4e461268c8034f5c8564e155c67a6"]),
    ("make_array", sf.functions.make_array(A, X), {"a": [1], "x": [2]}, [[1, 2]]),
    ("named_struct", sf.functions.named_struct("p", A, "q", X), {"a": [1], "x": ["y"]}, [{"p": 1, "q": "y"}]),
    ("struct", sf.functions.struct(A), {"a": [1]}, [{"c0": 1}]),
    ("make_date", sf.functions.make_date(A, 1, 2), {"a": [2013]}, [dt.date(2013, 1, 2)]),
    ("regexp_count", sf.functions.regexp_count(A, "[0-9]"), {"a": ["a1b2"]}, [2]),
    ("array_transform", sf.functions.array_transform(XS, lambda v: v * 2), {"xs": [[1, 2], None]}, [[2, 4], None]),
    ("array_filter", sf.functions.array_filter(XS, lambda v: v > 1), {"xs": [[1, 2], []]}, [[2], []]),
    (
        "array_transform, with a column",
        sf.functions.array_transform(XS, lambda v: v + A),
        {"xs": [[1]], "a": [9]},
        [[10]],
    ),
    (
        "array_transform, nested",
        sf.functions.array_transform(XS, lambda v: sf.functions.array_transform(v, lambda w: w + 1)),
        {"xs": [[[1], [2, 3]]]},
        [[[2], [3, 4]]],
    ),
]


@pytest.mark.parametrize(("expr", "columns", "expected"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])
def test_calls(expr: sf.Expr, columns: dict[str, list[Any]], expected: list[Any]) -> None:
    assert values(expr, **columns) == expected


AGGREGATES: list[tuple[str, sf.Expr, Any]] = [
    ("avg", sf.functions.avg(X), 2.0),
    ("avg distinct", sf.functions.avg(X, distinct=True), 2.0),
    ("sum filter", sf.functions.sum(X, filter=X > 1), 5),
    ("array_agg", sf.functions.array_agg(X, order_by=X.desc()), [3, 2, 1]),
    ("array_agg distinct", sf.functions.array_agg(X % 2, distinct=True, order_by=X % 2), [0, 1]),
    ("string_agg", sf.functions.string_agg(A, "-", order_by="a"), "p-q-r"),
    ("first_value", sf.functions.first_value(X, order_by=A.desc()), 3),
    ("nth_value", sf.functions.nth_value(X, 2, order_by="a"), 2),
    ("ignore nulls", sf.functions.first_value(sf.col("n"), order_by="a", ignore_nulls=True), 8),
    ("approx_distinct", sf.functions.approx_distinct(A), 3),
    ("bool_and", sf.functions.bool_and(X > 0), True),
    ("stddev_pop", sf.functions.stddev_pop(X), math.sqrt(2 / 3)),
    ("percentile_cont", sf.functions.percentile_cont(X, 0.5), 2.0),
]


@pytest.mark.parametrize(("expr", "expected"), [case[1:] for case in AGGREGATES], ids=[case[0] for case in AGGREGATES])
def test_aggregates(expr: sf.Expr, expected: Any) -> None:
    rows = sf.from_pydict({"a": ["p", "q", "r"], "x": [1, 2, 3], "n": [None, 8, 9]})
    assert rows.aggregate(expr.alias("r")).to_pydict()["r"] == [expected]


def test_windows() -> None:
    rows = sf.from_pydict({"a": ["p", "p", "q"], "x": [1, 2, 3]})
    ranked = rows.with_columns(
        n=sf.functions.row_number().over("a", order_by=X.desc()),
        lead=sf.functions.lead(X, 1, 0).over("a", order_by="x"),
        share=sf.functions.cume_dist().over(order_by="x"),
        tile=sf.functions.ntile(3).over(order_by="x"),
    )
    assert ranked.sort("x").to_pydict() == {
        "a": ["p", "p", "q"],
        "x": [1, 2, 3],
        "n": [2, 1, 1],
        "lead": [2, 0, 0],
        "share": [1 / 3, 2 / 3, 1.0],
        "tile": [1, 2, 3],
    }


def test_functions_are_what_sql_computes() -> None:
    rows = sf.from_pydict({"a": ["Ab", None, "c"]})
    for name in ["upper", "lower", "reverse", "character_length", "md5", "initcap", "ascii", "octet_length"]:
        by_sql = sf.sql(f"SELECT {name}(a) AS r FROM rows", rows=rows).to_pydict()
        assert values(getattr(sf.functions, name)(A), a=["Ab", None, "c"]) == by_sql["r"], name
