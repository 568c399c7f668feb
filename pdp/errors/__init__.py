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

from pdp.errors.access import (
    AccessDenied,
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
from pdp.errors.missing import (
    BundleNotFound,
    ChainNotFound,
    ConnectorNotFound,
    CustomerNotFound,
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
    StoreUnavailable,
)
from pdp.errors.state import (
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
from pdp.errors.values import (
    InvalidAction,
    InvalidArgument,
    InvalidCondition,
    InvalidPattern,
    MalformedRequest,
    MethodNotAllowed,
    RequestTooLarge,
    UnsupportedMediaType,
)

__all__ = [
    "MAX_VIOLATIONS",
    "AccessDenied",
    "BundleNotFound",
    "BundleReadonly",
    "ChainNotFound",
    "ConfigError",
    "ConnectorNotFound",
    "CustomerNotFound",
    "DeadlineExceeded",
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
    "StoreUnavailable",
    "SystemPolicyReadonly",
    "TenantMismatch",
    "Unauthenticated",
    "UnsupportedMediaType",
    "Violation",
]
