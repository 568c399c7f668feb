"""The errors of values, and the words that they share."""

from __future__ import annotations

from typing import Final

from pdp.errors import MAX_VIOLATIONS, InvalidArgument, Violation

MAX_EXCERPT: Final = 64
"""How many characters of a caller's own text an error repeats."""

LONE_SURROGATE: Final = "must be valid Unicode: it has half of a surrogate pair"

_TYPES: Final = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


class InvalidValue(Exception):
    """A field cannot hold a value; the message is the reason."""


class Problems:
    """Collects the errors of one request."""

    __slots__ = ("violations",)

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def add(self, field: str, reason: str) -> None:
        """Adds the reason why the value of `field` is invalid.

        Raises:
            InvalidArgument: there are now as many problems as one error may name.
        """
        self.violations.append(Violation(field, reason))
        if len(self.violations) >= MAX_VIOLATIONS:
            self.raise_if_any()

    def raise_if_any(self) -> None:
        """Raises an error with all problems, if there are any.

        Raises:
            InvalidArgument: there are problems; it names them all.
        """
        if self.violations:
            raise InvalidArgument.of(*self.violations)


def json_type(value: object) -> str:
    """Returns the JSON type of `value` with its article: `a string`."""
    return _TYPES.get(type(value), "a value without a JSON type")


def type_mismatch(expected: str, value: object) -> str:
    """Returns the reason why `value` is invalid if `expected` is required."""
    return f"must be {expected}, not {json_type(value)}"


def excerpt(text: str) -> str:
    """Returns a caller's own text as an error may repeat it: short, and valid Unicode."""
    if len(text) > MAX_EXCERPT:
        text = text[: MAX_EXCERPT - 1] + "…"
    return text.encode("utf-8", "replace").decode("utf-8")
