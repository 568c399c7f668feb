"""The exceptions of the project, each with the reason that callers see.

    PdpError
    ├── InvalidArgument          a value is out of its bounds
    │   ├── InvalidPattern
    │   ├── InvalidAction
    │   └── InvalidCondition
    ├── MalformedRequest         a body cannot be read at all
    ├── RequestTooLarge
    ├── WorkLimitExceeded        a request needs more work than one decision may do
    ├── UnsupportedMediaType
    ├── MethodNotAllowed
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
    │   ├── ExceptionNotFound
    │   ├── ApprovalNotFound
    │   ├── KeyNotFound
    │   └── RouteNotFound
    ├── SystemPolicyReadonly
    ├── BundleReadonly
    ├── PlatformReadonly         an entity that ships with the product cannot be deleted
    ├── PolicyNameExists
    ├── NameExists
    ├── ModelExists
    ├── LimitExists
    ├── RuleRequired             an enabled compliance bundle requires the rule
    ├── PackInUse
    ├── NoUpgrade
    ├── ModelDisabled            a kill switch disables the model; it must stay in the catalog
    ├── PreconditionFailed       the entity has changed since the caller read it
    ├── Unauthenticated
    ├── AccessDenied
    ├── ApprovalRefused          another person must approve it
    ├── ApprovalClosed           it has been answered, or has expired
    ├── RateLimited
    ├── TenantMismatch
    ├── HostRefused
    ├── RevisionUnavailable
    ├── DeadlineExceeded
    ├── StoreUnavailable
    │   └── ServerNeeded         a follower cannot decide a request by itself
    ├── InternalError            a fault of the server; the log has the cause
    └── ConfigError              the process cannot start with these settings

`pdp.transport.status` maps each reason to its gRPC and HTTP status. The reasons are those of
`ErrorReason` in `proto/pdp/v1/error_reason.proto`.
"""

from __future__ import annotations

from pdp.errors.access import (
    AccessDenied,
    ApprovalRefused,
    HostRefused,
    RateLimited,
    TenantMismatch,
    Unauthenticated,
)
from pdp.errors.base import (
    MAX_VIOLATIONS,
    PdpError,
    Violation,
)
from pdp.errors.conflict import (
    ApprovalClosed,
    BundleReadonly,
    LimitExists,
    ModelDisabled,
    ModelExists,
    NameExists,
    NoUpgrade,
    PackInUse,
    PlatformReadonly,
    PolicyNameExists,
    PreconditionFailed,
    RuleRequired,
    SystemPolicyReadonly,
)
from pdp.errors.invalid_request import (
    InvalidAction,
    InvalidArgument,
    InvalidCondition,
    InvalidPattern,
    MalformedRequest,
    MethodNotAllowed,
    RequestTooLarge,
    UnsupportedMediaType,
    WorkLimitExceeded,
)
from pdp.errors.not_found import (
    ApprovalNotFound,
    BundleNotFound,
    ChainNotFound,
    ConnectorNotFound,
    CustomerNotFound,
    ExceptionNotFound,
    GroupNotFound,
    KeyNotFound,
    LimitNotFound,
    ModelNotFound,
    NotFound,
    OverrideNotFound,
    PackNotFound,
    PolicyNotFound,
    ProviderNotFound,
    RecordNotFound,
    RouteNotFound,
    RuleNotFound,
)
from pdp.errors.service import (
    ConfigError,
    DeadlineExceeded,
    InternalError,
    RevisionUnavailable,
    ServerNeeded,
    StoreUnavailable,
)

__all__ = [
    "MAX_VIOLATIONS",
    "AccessDenied",
    "ApprovalClosed",
    "ApprovalNotFound",
    "ApprovalRefused",
    "BundleNotFound",
    "BundleReadonly",
    "ChainNotFound",
    "ConfigError",
    "ConnectorNotFound",
    "CustomerNotFound",
    "DeadlineExceeded",
    "ExceptionNotFound",
    "GroupNotFound",
    "HostRefused",
    "InternalError",
    "InvalidAction",
    "InvalidArgument",
    "InvalidCondition",
    "InvalidPattern",
    "KeyNotFound",
    "LimitExists",
    "LimitNotFound",
    "MalformedRequest",
    "MethodNotAllowed",
    "ModelDisabled",
    "ModelExists",
    "ModelNotFound",
    "NameExists",
    "NoUpgrade",
    "NotFound",
    "OverrideNotFound",
    "PackInUse",
    "PackNotFound",
    "PdpError",
    "PlatformReadonly",
    "PolicyNameExists",
    "PolicyNotFound",
    "PreconditionFailed",
    "ProviderNotFound",
    "RateLimited",
    "RecordNotFound",
    "RequestTooLarge",
    "RevisionUnavailable",
    "RouteNotFound",
    "RuleNotFound",
    "RuleRequired",
    "ServerNeeded",
    "StoreUnavailable",
    "SystemPolicyReadonly",
    "TenantMismatch",
    "Unauthenticated",
    "UnsupportedMediaType",
    "Violation",
    "WorkLimitExceeded",
]
