"""What is wrong with the service itself, or with how it is set up."""

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


class InternalError(PdpError):
    """A fault of the server."""

    reason = "INTERNAL"


class ConfigError(PdpError):
    """The settings do not allow a start; the message says what to do."""

    reason = "INVALID_ARGUMENT"
