"""The exceptions of the project, each with the reason that users see.

    PdpError
    ├── InvalidArgument          a value out of its bounds
    │   ├── InvalidPattern
    │   ├── InvalidAction
    │   └── InvalidCondition
    ├── MalformedRequest         a body that cannot be read at all
    ├── RequestTooLarge
    ├── UnsupportedMediaType
    ├── NotFound
    │   ├── PolicyNotFound
    │   ├── OverrideNotFound
    │   ├── CustomerNotFound
    │   ├── PackNotFound
    │   ├── RuleNotFound
    │   ├── ChainNotFound
    │   ├── ModelNotFound
    │   ├── ProviderNotFound
    │   ├── LimitNotFound
    │   ├── ConnectorNotFound
    │   ├── RecordNotFound
    │   ├── BundleNotFound
    │   ├── GroupNotFound
    │   └── RouteNotFound
    ├── MethodNotAllowed
    ├── SystemPolicyReadonly
    ├── PolicyNameExists
    ├── BundleReadonly
    ├── RuleRequired             an enabled compliance bundle requires it
    ├── PackInUse
    ├── NameExists
    ├── PlatformReadonly         what ships with the product was to be deleted
    ├── NoUpgrade
    ├── ModelExists
    ├── LimitExists
    ├── ModelDisabled            it is switched off, and must stay in the catalog
    ├── PreconditionFailed       somebody else has written since
    ├── TenantMismatch
    ├── HostRefused
    ├── RevisionUnavailable
    ├── DeadlineExceeded
    ├── StoreUnavailable
    ├── InternalError            a fault of ours; its cause goes to the log, never to the caller
    └── ConfigError              the process cannot start with these settings

`pdp.transport.status` maps each reason to its gRPC and HTTP status; the reasons are those of
`ErrorReason` in `proto/pdp/v1/error_reason.proto`.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple


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


class NotFound(PdpError):
    """Something that was named does not exist."""


class PolicyNotFound(NotFound):
    """The tenant has no such policy (seed 003)."""

    reason = "POLICY_NOT_FOUND"


class OverrideNotFound(NotFound):
    """The policy has no override to remove."""

    reason = "OVERRIDE_NOT_FOUND"


class PackNotFound(NotFound):
    """The tenant has no such policy pack (seed 002)."""

    reason = "PACK_NOT_FOUND"


class RuleNotFound(NotFound):
    """There is no such rule where it was looked for (seed 002)."""

    reason = "RULE_NOT_FOUND"


class ChainNotFound(NotFound):
    """The user has no policy chain."""

    reason = "CHAIN_NOT_FOUND"


class CustomerNotFound(NotFound):
    """The tenant has no policy of such a customer (seeds 001, 004)."""

    reason = "CUSTOMER_NOT_FOUND"


class ModelNotFound(NotFound):
    """The model catalog has no such model (seed 002)."""

    reason = "MODEL_NOT_FOUND"


class ProviderNotFound(NotFound):
    """The model catalog has no model of such a provider (seed 002)."""

    reason = "PROVIDER_NOT_FOUND"


class RouteNotFound(NotFound):
    """There is no such path or RPC."""

    reason = "ROUTE_NOT_FOUND"


class MethodNotAllowed(PdpError):
    """The path exists, but not with this method."""

    reason = "METHOD_NOT_ALLOWED"

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class SystemPolicyReadonly(PdpError):
    """A system policy was to be changed (seed 003)."""

    reason = "SYSTEM_POLICY_READONLY"


class PolicyNameExists(PdpError):
    """Another policy has that name (seed 003)."""

    reason = "POLICY_NAME_EXISTS"


class PreconditionFailed(PdpError):
    """An entity has changed since its writer read it: `If-Match` does not hold (issue 3)."""

    reason = "PRECONDITION_FAILED"


class BundleReadonly(PdpError):
    """What ships with the product was to be changed beyond what a tenant may set (seed 002)."""

    reason = "BUNDLE_READONLY"


class PackInUse(PdpError):
    """A policy pack that a chain uses was to be deleted."""

    reason = "PACK_IN_USE"


class ModelExists(PdpError):
    """The model catalog has the model already."""

    reason = "MODEL_EXISTS"


class ModelDisabled(PdpError):
    """A model that is switched off was to be taken out of the catalog."""

    reason = "MODEL_DISABLED"


class LimitNotFound(NotFound):
    """The tenant has no such limit (issue 3)."""

    reason = "LIMIT_NOT_FOUND"


class RecordNotFound(NotFound):
    """No such decision record."""

    reason = "RECORD_NOT_FOUND"


class ConnectorNotFound(NotFound):
    """There is no SIEM connector of that id (seed 002)."""

    reason = "CONNECTOR_NOT_FOUND"


class LimitExists(PdpError):
    """The user or the group has a limit already (issue 3)."""

    reason = "LIMIT_EXISTS"


class BundleNotFound(NotFound):
    """The tenant has no such compliance bundle (seed 002)."""

    reason = "BUNDLE_NOT_FOUND"


class GroupNotFound(NotFound):
    """The tenant has no such user group."""

    reason = "GROUP_NOT_FOUND"


class NameExists(PdpError):
    """Another one of its kind has that name in the tenant (seed 002)."""

    reason = "NAME_EXISTS"


class PlatformReadonly(PdpError):
    """What ships with the product was to be deleted (seed 002)."""

    reason = "PLATFORM_READONLY"


class RuleRequired(PdpError):
    """A rule that an enabled compliance bundle requires was to be switched off (seed 002)."""

    reason = "RULE_REQUIRED"


class NoUpgrade(PdpError):
    """A compliance bundle has no newer definition (seed 002)."""

    reason = "NO_UPGRADE"


class Unauthenticated(PdpError):
    """A call without a credential, or with one that does not count (issue 6)."""

    reason = "UNAUTHENTICATED"


class AccessDenied(PdpError):
    """A credential's role, or its tenants, do not go as far as the call (issue 6)."""

    reason = "ACCESS_DENIED"


class RateLimited(PdpError):
    """A credential calls more often than it may (issue 6).

    Attributes:
        retry_after_s: when a call would pass again.
    """

    reason = "RATE_LIMITED"

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class KeyNotFound(NotFound):
    """There is no such API key, or it is none of the caller's (issue 6)."""

    reason = "KEY_NOT_FOUND"


class TenantMismatch(PdpError):
    """Two tenants are named, or one that the credential may not act for."""

    reason = "TENANT_MISMATCH"


class HostRefused(PdpError):
    """Development mode was asked by a name that is not loopback."""

    reason = "HOST_REFUSED"


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
