"""Callers that may not do what they ask for."""

from __future__ import annotations

from pdp.errors.base import PdpError


class Unauthenticated(PdpError):
    """A call without a credential, or with one that does not count (docs/access.md)."""

    reason = "UNAUTHENTICATED"


class AccessDenied(PdpError):
    """A credential's role, or its tenants, do not go as far as the call (docs/access.md)."""

    reason = "ACCESS_DENIED"


class RateLimited(PdpError):
    """A credential calls more often than it may (docs/access.md).

    Attributes:
        retry_after_s: when a call would pass again.
    """

    reason = "RATE_LIMITED"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TenantMismatch(PdpError):
    """Two tenants are named, or one that the credential may not act for."""

    reason = "TENANT_MISMATCH"


class HostRefused(PdpError):
    """Development mode was asked by a name that is not loopback."""

    reason = "HOST_REFUSED"
