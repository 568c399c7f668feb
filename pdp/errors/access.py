"""Errors of calls that the caller is not allowed to make."""

from __future__ import annotations

from pdp.errors.base import PdpError


class Unauthenticated(PdpError):
    """The call has no credential, or an invalid one (docs/access.md)."""

    reason = "UNAUTHENTICATED"


class AccessDenied(PdpError):
    """The credential's role or tenants do not allow the call (docs/access.md)."""

    reason = "ACCESS_DENIED"


class RateLimited(PdpError):
    """The credential's rate limit is exceeded (docs/access.md).

    Attributes:
        retry_after_s: seconds until a call is allowed again.
    """

    reason = "RATE_LIMITED"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TenantMismatch(PdpError):
    """The call names two tenants, or a tenant that the credential may not act for."""

    reason = "TENANT_MISMATCH"


class HostRefused(PdpError):
    """`Host` is not a loopback name, or `Origin` is another server's.

    Only servers that need no credentials refuse these: see `PDP_AUTH` in docs/access.md.
    """

    reason = "HOST_REFUSED"


class ApprovalRefused(PdpError):
    """The caller may not approve: it asked itself, or is none of the approvers."""

    reason = "APPROVAL_REFUSED"
