"""What all errors are."""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple

MAX_VIOLATIONS: Final = 32
"""Fields that one error names; a body of a million faults gets no answer of a million lines."""


class Violation(NamedTuple):
    """One thing that is wrong with a request: the field's path and why it is refused."""

    field: str
    reason: str


class PdpError(Exception):
    """A request that could not be carried out.

    Args:
        message: a sentence for the caller; it never holds secrets, paths or SQL.
        *violations: the fields at fault.
    """

    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, *violations: Violation) -> None:
        super().__init__(message)
        self.message = message
        self.violations = violations
