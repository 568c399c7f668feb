"""The faults of a condition: their positions, and messages for the people who write conditions."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp.errors import InvalidCondition, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

_LINE_LENGTH: Final = 76
_LENGTH_BEFORE_CARET: Final = 50
_EXCERPT_LENGTH: Final = 60
_MAX_DIAGNOSTICS: Final = 10


class Diagnostic(NamedTuple):
    """One fault or warning.

    Attributes:
        start: the offset of the character at which the fault is.
        reason: what is wrong.
    """

    start: int
    reason: str


def invalid_condition(source: str, diagnostics: Sequence[Diagnostic]) -> InvalidCondition:
    """Returns an error that lists faults, each with line, column and an excerpt with a caret.

    Args:
        source: the condition.
        diagnostics: the faults, at least one. The error lists the first ten.
    """
    listed = sorted(diagnostics)[:_MAX_DIAGNOSTICS]
    places = [(*position(source, each.start), each.reason) for each in listed]
    violations = [
        Violation("condition", f"line {line}, column {column}: {reason}")
        for line, column, reason in places
    ]
    message = "\n".join(
        f"{violation.reason}\n{_pointer(source, each.start)}"
        for violation, each in zip(violations, listed, strict=True)
    )
    return InvalidCondition(message, *violations, line=places[0][0], column=places[0][1])


def position(source: str, offset: int) -> tuple[int, int]:
    """Returns the line and the column of a character, both counted from 1."""
    before = source[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


def excerpt(source: str, start: int, end: int) -> str:
    """Returns a part of a condition on one line, shortened if it is long."""
    text = _printable(" ".join(source[start:end].split()))
    return text if len(text) <= _EXCERPT_LENGTH else text[: _EXCERPT_LENGTH - 1] + "…"


def _pointer(source: str, offset: int) -> str:
    """Returns the line at `offset`, shortened, and a second line with a caret below the offset."""
    begin = source.rfind("\n", 0, offset) + 1
    end = source.find("\n", offset)
    line = source[begin : len(source) if end < 0 else end].rstrip("\r")
    column = offset - begin
    cut = max(0, column - _LENGTH_BEFORE_CARET)
    before = ("…" if cut else "") + line[cut:column]
    after = line[column : cut + _LINE_LENGTH]
    after += "…" if len(line) > cut + _LINE_LENGTH else ""
    return f"  {_printable(before + after)}\n  {' ' * _width(_printable(before))}^"


def _printable(text: str) -> str:
    """Replaces control characters, which a terminal would execute. A tab becomes one blank."""
    return "".join(
        char if char.isprintable() else " " if char == "\t" else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def _width(text: str) -> int:
    """Returns the number of terminal columns of `text`."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )
