"""Errors of the service itself, or of its settings."""

from __future__ import annotations

from pdp.errors.base import PdpError


class RevisionUnavailable(PdpError):
    """`min_revision` was not reached in time."""

    reason = "REVISION_UNAVAILABLE"


class DeadlineExceeded(PdpError):
    """The caller's deadline has passed."""

    reason = "DEADLINE_EXCEEDED"


class StoreUnavailable(PdpError):
    """The store cannot be read or written now."""

    reason = "STORE_UNAVAILABLE"


class ServerNeeded(StoreUnavailable):
    """A follower cannot decide a request by itself: the server that it follows must.

    Attributes:
        cause: why, in a few words without values.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(f"only the server that is followed can decide this: {cause}")
        self.cause = cause


class InternalError(PdpError):
    """The server has a fault. The log has its cause; the caller does not get it."""

    reason = "INTERNAL"


class ConfigError(PdpError):
    """The process cannot start with these settings. The message says what to do."""

    reason = "INVALID_ARGUMENT"
