"""How a value is refused, and how refusals are gathered."""

from __future__ import annotations

from typing import Final

from pdp.errors import MAX_VIOLATIONS, InvalidArgument, Violation

MAX_SHOWN: Final = 64
"""Characters of a caller's own word that an error repeats."""

LONE_SURROGATE: Final = "must be valid Unicode: it has half of a surrogate pair"

_KINDS: Final = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


class ValueRefused(Exception):
    """A value that a field does not take; the message says why."""


class Problems:
    """Gathers what is wrong with one request."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[Violation] = []

    def add(self, field: str, reason: str) -> None:
        """Notes that `field` is refused for `reason`.

        Raises:
            InvalidArgument: there are as many problems as one error names.
        """
        self.found.append(Violation(field, reason))
        if len(self.found) >= MAX_VIOLATIONS:
            self.settle()

    def settle(self) -> None:
        """Raises where there are problems.

        Raises:
            InvalidArgument: it names them all.
        """
        if self.found:
            raise InvalidArgument.of(*self.found)


def kind_of(value: object) -> str:
    """Returns what `value` is in JSON, for a sentence: `a string`."""
    return _KINDS.get(type(value), "a value that JSON does not know")


def unlike(expected: str, value: object) -> str:
    """Returns the reason for refusing `value` where `expected` was due."""
    return f"must be {expected}, not {kind_of(value)}"


def shown(word: str) -> str:
    """Returns a caller's own word as an error may repeat it: short, and valid Unicode."""
    if len(word) > MAX_SHOWN:
        word = word[: MAX_SHOWN - 1] + "…"
    return word.encode("utf-8", "replace").decode("utf-8")
