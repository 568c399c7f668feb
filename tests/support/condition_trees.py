"""Conditions as trees, `(what it is, *parts)`, and how they are written."""

from __future__ import annotations

from typing import Any, Final

Tree = tuple[Any, ...]

TIMESTAMP: Final[Tree] = ("name", "timestamp")
UNITS: Final = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}


def written(tree: Tree) -> str:  # noqa: PLR0911, PLR0912 - a case for each construct
    """Returns the condition that a tree stands for, with every operand in parentheses."""
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
            return f"[{', '.join(map(written, items))}]"
        case ("name", path):
            return str(path)
        case ("call", function, *arguments):
            return f"{function}({', '.join(map(operand, arguments))})"
        case ("negative", value):
            return f"-{operand(value)}"
        case ("in" | "not in" as how, value, *items):
            return f"{operand(value)} {how} ({', '.join(map(operand, items))})"
        case ("between" | "not between" as how, value, low, high):
            return f"{operand(value)} {how} {operand(low)} and {operand(high)}"
        case ("like" | "not like" | "matches" | "not matches" as how, value, pattern):
            return f"{operand(value)} {how} {quoted(pattern)}"
        case ("is null" | "is not null" as how, value):
            return f"{operand(value)} {how}"
        case ("not", value):
            return f"not {operand(value)}"
        case ("and" | "or" as how, *operands):
            return f" {how.upper()} ".join(map(operand, operands))
        case (operator, left, right):
            return f"{operand(left)} {operator} {operand(right)}"
        case _:
            raise AssertionError(tree)


def operand(tree: Tree) -> str:
    """Returns a tree as it is written within another."""
    plain = tree[0] in {"null", "boolean", "text", "list", "name", "call"}
    return written(tree) if plain else f"({written(tree)})"


def quoted(text: str) -> str:
    """Returns a text in quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
