"""The base class of all errors."""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple

MAX_VIOLATIONS: Final = 32
"""Fields that one error names at most, so that the response to a very bad body stays small."""


class Violation(NamedTuple):
    """One fault of a request: the field's path, and why it is refused."""

    field: str
    reason: str


class PdpError(Exception):
    """The operation failed.

    Args:
        message: a sentence for the caller, without secrets, paths and SQL.
        *violations: the fields at fault.
    """

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *violations: Violation) -> None:
        super().__init__(message)
        self.message = message
        self.violations = violations
