"""Builds the Python syntax trees that conditions are compiled to.

No text of a policy becomes part of a tree. Constants are bound to numbered names, and the only
attributes are those that `names` lists.
"""

from __future__ import annotations

import ast
from types import CellType, CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

REQUEST: Final = "request"
FACTS: Final = "facts"
"""The names of the arguments."""

OPERATORS: Final[Mapping[str, type[ast.cmpop]]] = {
    "=": ast.Eq,
    "!=": ast.NotEq,
    "<": ast.Lt,
    "<=": ast.LtE,
    ">": ast.Gt,
    ">=": ast.GtE,
    "is": ast.Is,
    "is not": ast.IsNot,
    "in": ast.In,
}


def load(name: str) -> ast.expr:
    """`name`."""
    return ast.Name(name, ast.Load())


def constant(value: bool | None) -> ast.expr:
    """`True`, `False` or `None`."""
    return ast.Constant(value)


def attribute(value: ast.expr, name: str) -> ast.expr:
    """`value.name`."""
    return ast.Attribute(value, name, ast.Load())


def call(function: ast.expr, *arguments: ast.expr) -> ast.expr:
    """`function(*arguments)`."""
    return ast.Call(function, list(arguments), [])


def compare(left: ast.expr, operator: str, right: ast.expr) -> ast.expr:
    """`left operator right`, with one of `OPERATORS`."""
    return ast.Compare(left, [OPERATORS[operator]()], [right])


def is_(name: str, value: bool | None) -> ast.expr:
    """`name is value`."""
    return compare(load(name), "is", constant(value))


def is_not(name: str, value: bool | None) -> ast.expr:
    """`name is not value`."""
    return compare(load(name), "is not", constant(value))


def either(*values: ast.expr) -> ast.expr:
    """`a or b`; `a` if it is the only value."""
    return values[0] if len(values) == 1 else ast.BoolOp(ast.Or(), list(values))


def both(*values: ast.expr) -> ast.expr:
    """`a and b`."""
    return ast.BoolOp(ast.And(), list(values))


def negation(value: ast.expr) -> ast.expr:
    """`not value`."""
    return ast.UnaryOp(ast.Not(), value)


def minus(left: ast.expr, right: ast.expr) -> ast.expr:
    """`left - right`."""
    return ast.BinOp(left, ast.Sub(), right)


def choice(test: ast.expr, then: ast.expr, otherwise: ast.expr) -> ast.expr:
    """`then if test else otherwise`."""
    return ast.IfExp(test, then, otherwise)


def items(*values: ast.expr) -> ast.expr:
    """`(a, b)`."""
    return ast.Tuple(list(values), ast.Load())


def assign(name: str, value: ast.expr) -> ast.stmt:
    """`name = value`."""
    return ast.Assign([ast.Name(name, ast.Store())], value)


def if_(test: ast.expr, body: Sequence[ast.stmt]) -> ast.stmt:
    """`if test: body`."""
    return ast.If(test, list(body), [])


def function(
    body: Sequence[ast.stmt], result: ast.expr, constants: Mapping[str, Any], no_facts: object
) -> Callable[..., Any]:
    """Returns a function of the request and facts that runs `body` and returns `result`.

    The function sees its arguments, its own variables and `constants` only: no builtins and no
    module. It is created from syntax trees, so no source text is executed.

    Args:
        body: the statements.
        result: the value to return.
        constants: the values of the names that `body` does not assign.
        no_facts: the facts if the function is called with a request only.
    """
    inner = _definition("condition", [REQUEST, FACTS], [*body, ast.Return(result)])
    outer = _definition("bind", list(constants), [inner, ast.Return(load("condition"))])
    module = ast.fix_missing_locations(ast.Module([outer], []))
    code = _code_in(_code_in(compile(module, "<condition>", "exec", dont_inherit=True)))
    cells = tuple(CellType(constants[name]) for name in code.co_freevars)
    return FunctionType(code, {"__builtins__": {}}, "condition", (no_facts,), cells)


def _definition(name: str, parameters: list[str], body: list[ast.stmt]) -> ast.stmt:
    arguments = ast.arguments(
        posonlyargs=[],
        args=[ast.arg(parameter) for parameter in parameters],
        kwonlyargs=[],
        kw_defaults=[],
        defaults=[],
    )
    return ast.FunctionDef(name, arguments, body, [], lineno=1, col_offset=0)


def _code_in(code: CodeType) -> CodeType:
    return next(each for each in code.co_consts if isinstance(each, CodeType))
