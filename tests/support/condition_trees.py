"""Conditions as trees of tuples, `(operator, *operands)`, and their source text."""

from __future__ import annotations

from typing import Any, Final

Tree = tuple[Any, ...]

TIMESTAMP: Final[Tree] = ("name", "timestamp")
UNITS: Final = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}


def source_of(tree: Tree) -> str:  # noqa: PLR0911, PLR0912 - a case for each construct
    """Returns the source of a tree, with every operand in parentheses."""
    match tree:
        case ("null",):
            return "null"
        case ("boolean", value):
            return str(value).lower()
        case ("number", value):
            return str(value)
        case ("text", value):
            return quoted(value)
        case ("list", *items):
            return f"[{', '.join(map(source_of, items))}]"
        case ("name", path):
            return str(path)
        case ("call", function, *arguments):
            return f"{function}({', '.join(map(operand, arguments))})"
        case ("negative", value):
            return f"-{operand(value)}"
        case ("in" | "not in" as operator, value, *items):
            return f"{operand(value)} {operator} ({', '.join(map(operand, items))})"
        case ("between" | "not between" as operator, value, low, high):
            return f"{operand(value)} {operator} {operand(low)} and {operand(high)}"
        case ("like" | "not like" | "matches" | "not matches" as operator, value, pattern):
            return f"{operand(value)} {operator} {quoted(pattern)}"
        case ("is null" | "is not null" as operator, value):
            return f"{operand(value)} {operator}"
        case ("not", value):
            return f"not {operand(value)}"
        case ("and" | "or" as operator, *operands):
            return f" {operator.upper()} ".join(map(operand, operands))
        case (operator, left, right):
            return f"{operand(left)} {operator} {operand(right)}"
        case _:
            raise AssertionError(tree)


def operand(tree: Tree) -> str:
    """Returns the source of a tree that is an operand."""
    is_atom = tree[0] in {"null", "boolean", "text", "list", "name", "call"}
    return source_of(tree) if is_atom else f"({source_of(tree)})"


def quoted(text: str) -> str:
    """Returns a text as a literal in quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
