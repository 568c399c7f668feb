"""Errors of writes that the stored entities do not allow."""

from __future__ import annotations

from pdp.errors.base import PdpError


class SystemPolicyReadonly(PdpError):
    """The write would change a system policy."""

    reason = "SYSTEM_POLICY_READONLY"


class PolicyNameExists(PdpError):
    """Another policy has that name."""

    reason = "POLICY_NAME_EXISTS"


class PreconditionFailed(PdpError):
    """The entity has changed since the caller read it: `If-Match` fails (RFC 9110, 13.1.1)."""

    reason = "PRECONDITION_FAILED"


class BundleReadonly(PdpError):
    """The write would change a part of a seeded bundle that a tenant cannot change."""

    reason = "BUNDLE_READONLY"


class PackInUse(PdpError):
    """The delete would remove a policy pack that a chain uses."""

    reason = "PACK_IN_USE"


class ModelExists(PdpError):
    """The model catalog already has the model."""

    reason = "MODEL_EXISTS"


class ModelDisabled(PdpError):
    """The delete would remove a model that a kill switch disables; it must stay in the catalog."""

    reason = "MODEL_DISABLED"


class LimitExists(PdpError):
    """The user or the group already has a limit (docs/decide.md, Limits)."""

    reason = "LIMIT_EXISTS"


class NameExists(PdpError):
    """Another entity of the same kind and tenant has that name."""

    reason = "NAME_EXISTS"


class PlatformReadonly(PdpError):
    """The delete would remove an entity that ships with the product."""

    reason = "PLATFORM_READONLY"


class RuleRequired(PdpError):
    """The write would disable a rule that an enabled compliance bundle requires."""

    reason = "RULE_REQUIRED"


class NoUpgrade(PdpError):
    """The compliance bundle has no newer definition."""

    reason = "NO_UPGRADE"


class ApprovalClosed(PdpError):
    """The approval is no longer open: it was answered, cancelled or used, or it has expired."""

    reason = "APPROVAL_CLOSED"
