"""Errors of malformed or invalid requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdp.errors.base import PdpError, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence


class InvalidArgument(PdpError):
    """A value is out of its bounds."""

    reason = "INVALID_ARGUMENT"

    @classmethod
    def of(cls, *violations: Violation) -> InvalidArgument:
        """Returns the error for `violations`, with the message made from them."""
        return cls("; ".join(f"{field}: {reason}" for field, reason in violations), *violations)

    @staticmethod
    def merged(errors: Sequence[InvalidArgument]) -> InvalidArgument:
        """Returns one error with the violations of all `errors`, of which there is at least one.

        It is an `InvalidPattern` if one of them is, else an `InvalidCondition` or `InvalidAction`
        if one of them is.
        """
        kinds: tuple[type[InvalidArgument], ...]
        kinds = (InvalidPattern, InvalidCondition, InvalidAction)
        kind = next(
            (kind for kind in kinds if any(isinstance(error, kind) for error in errors)),
            InvalidArgument,
        )
        return kind.of(*(violation for error in errors for violation in error.violations))

    def below(self, path: str) -> InvalidArgument:
        """Returns the error of the same kind with `path` before each field.

        Args:
            path: the path of what has the fields, with the separator at its end.
        """
        return self.of(*(Violation(f"{path}{field}", reason) for field, reason in self.violations))


class InvalidPattern(InvalidArgument):
    """A pattern is not RE2, or is too long or too large."""

    reason = "INVALID_PATTERN"


class InvalidAction(InvalidArgument):
    """An action is not one of the documented actions."""

    reason = "INVALID_ACTION"


class InvalidCondition(InvalidArgument):
    """A condition does not parse, or names an unknown field or function (docs/conditions.md).

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
    """A body or message exceeds its size limit."""

    reason = "REQUEST_TOO_LARGE"


class WorkLimitExceeded(PdpError):
    """A request needs more work than one decision may do.

    Attributes:
        bound: what there is too much of, with the bound.
    """

    reason = "WORK_LIMIT_EXCEEDED"

    def __init__(self, subject: str, bound: int) -> None:
        """Args:
        subject: what there is too much of.
        bound: how much a decision may have of it.
        """
        self.bound = f"{subject}: {bound}"
        super().__init__(
            f"the request needs more work than one decision may do ({self.bound}); split it"
        )


class UnsupportedMediaType(PdpError):
    """The content type of a body is not JSON."""

    reason = "UNSUPPORTED_MEDIA_TYPE"


class MethodNotAllowed(PdpError):
    """The path exists, but not with this method.

    Attributes:
        allowed: the methods of the path.
    """

    reason = "METHOD_NOT_ALLOWED"

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed
