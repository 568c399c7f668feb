"""What is wrong with a condition, and where, in words for the people who write them."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.errors import InvalidCondition, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN: Final = 76
_SHOWN_BEFORE: Final = 50
_EXCERPT_LENGTH: Final = 60
_SHOWN_PROBLEMS: Final = 10


class Problem(NamedTuple):
    """One thing that is wrong: the offset of the character at fault, and why it is refused."""

    start: int
    reason: str


def invalid(source: str, problems: Sequence[Problem]) -> InvalidCondition:
    """Returns the error for `problems`: each with its line, its column and a line with a caret.

    Args:
        source: the condition.
        problems: what is wrong with it, at least one; the first ten are told.
    """
    told = sorted(problems)[:_SHOWN_PROBLEMS]
    placed = [(*position(source, problem.start), problem.reason) for problem in told]
    violations = [
        Violation("condition", f"line {line}, column {column}: {reason}")
        for line, column, reason in placed
    ]
    message = "\n".join(
        f"{violation.reason}\n{_pointer(source, problem.start)}"
        for violation, problem in zip(violations, told, strict=True)
    )
    return InvalidCondition(message, *violations, line=placed[0][0], column=placed[0][1])


def position(source: str, offset: int) -> tuple[int, int]:
    """Returns line and column, both from 1, of a character."""
    before = source[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


def excerpt(source: str, start: int, end: int) -> str:
    """Returns a part of a condition on one line, and not too long."""
    text = _printable(" ".join(source[start:end].split()))
    return text if len(text) <= _EXCERPT_LENGTH else text[: _EXCERPT_LENGTH - 1] + "…"


def _pointer(source: str, offset: int) -> str:
    begin = source.rfind("\n", 0, offset) + 1
    end = source.find("\n", offset)
    line = source[begin : len(source) if end < 0 else end].rstrip("\r")
    column = offset - begin
    cut = max(0, column - _SHOWN_BEFORE)
    before = ("…" if cut else "") + line[cut:column]
    after = line[column : cut + _SHOWN]
    after += "…" if len(line) > cut + _SHOWN else ""
    return f"  {_printable(before + after)}\n  {' ' * _width(_printable(before))}^"


def _printable(text: str) -> str:
    """Returns `text` without what a terminal would obey; a tab counts as one blank."""
    return "".join(
        char if char.isprintable() else " " if char == "\t" else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def _width(text: str) -> int:
    """How many columns a terminal gives `text`, so that the caret stands under its character."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )
