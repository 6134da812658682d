"""The texts that ``filter(expr=…)`` takes: conditions in Python's own syntax."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from functools import reduce
from itertools import pairwise
from typing import Any

from sheaf._sheaf import Expr, col
from sheaf.errors import InvalidInputError

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def parse(text: str) -> Expr:
    """The expression of a condition such as ``"a > 5 and b in ['x', 'y']"``.

    >>> from sheaf.data.predicates import parse
    >>> parse("a > 5 and b == 'x'")
    Expr(a > 5 AND b = 'x')
    """
    try:
        made = _expr(ast.parse(text, mode="eval").body, text)
    except SyntaxError as error:
        raise InvalidInputError(f"expr={text!r} is no condition: {error.msg}") from error
    if not isinstance(made, Expr):
        raise InvalidInputError(f"expr={text!r} names no column")
    return made


def _expr(node: ast.expr, text: str) -> Any:
    """An expression, or a value of Python's where no column is named."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(id=name):
            return col(name)
        case ast.List(elts) | ast.Tuple(elts) | ast.Set(elts):
            return [_expr(item, text) for item in elts]
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return ~_expr(inner, text)
        case ast.UnaryOp(op=ast.Invert(), operand=inner):
            return ~_expr(inner, text)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_expr(inner, text)
        case ast.BoolOp():
            combine = operator.and_ if isinstance(node.op, ast.And) else operator.or_
            return reduce(combine, [_expr(side, text) for side in node.values])
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            return _BINARY[type(op)](_expr(left, text), _expr(right, text))
        case ast.Compare():
            sides = [_expr(side, text) for side in (node.left, *node.comparators)]
            steps = [_compared(each, *pair, text) for each, pair in zip(node.ops, pairwise(sides), strict=True)]
            return reduce(operator.and_, steps)
        case _:
            error = InvalidInputError(f"expr={text!r} has {ast.unparse(node)!r}, which is no part of a condition here")
            error.hint = "use an expression: filter(expr=col('a') > 5), with col of sheaf.data.expressions"
            raise error


def _compared(op: ast.cmpop, left: Any, right: Any, text: str) -> Any:
    if type(op) in _BINARY:
        return _BINARY[type(op)](left, right)
    if isinstance(op, ast.In):
        return left.is_in(right)
    if isinstance(op, ast.NotIn):
        return ~left.is_in(right)
    if isinstance(op, ast.Is | ast.IsNot) and right is None:
        return left.is_null() if isinstance(op, ast.Is) else left.is_not_null()
    raise InvalidInputError(f"expr={text!r}: 'is' compares with None alone")
