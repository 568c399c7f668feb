"""Requests that are wrong in themselves."""

from __future__ import annotations

from pdp.errors.base import PdpError, Violation


class InvalidArgument(PdpError):
    """A value is out of its bounds."""

    reason = "INVALID_ARGUMENT"

    @classmethod
    def of(cls, *violations: Violation) -> InvalidArgument:
        """Returns the error for `violations`, with the message made from them."""
        return cls("; ".join(f"{field}: {reason}" for field, reason in violations), *violations)


class InvalidPattern(InvalidArgument):
    """A pattern is not RE2, or is too long or too large (seed 003)."""

    reason = "INVALID_PATTERN"


class InvalidAction(InvalidArgument):
    """An action is none of the documented ones (seed 003)."""

    reason = "INVALID_ACTION"


class InvalidCondition(InvalidArgument):
    """A condition does not parse, or asks for what there is not (decide.md).

    Attributes:
        line: of the first fault, from 1.
        column: of the first fault, from 1, in code points.
    """

    reason = "INVALID_CONDITION"

    def __init__(
        self, message: str, *violations: Violation, line: int = 1, column: int = 1
    ) -> None:
        super().__init__(message, *violations)
        self.line = line
        self.column = column


class MalformedRequest(PdpError):
    """A body cannot be read at all."""

    reason = "MALFORMED_REQUEST"


class RequestTooLarge(PdpError):
    """A body or message is over its bound."""

    reason = "REQUEST_TOO_LARGE"


class UnsupportedMediaType(PdpError):
    """A body is not JSON by its content type."""

    reason = "UNSUPPORTED_MEDIA_TYPE"


class MethodNotAllowed(PdpError):
    """The path exists, but not with this method."""

    reason = "METHOD_NOT_ALLOWED"

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed
