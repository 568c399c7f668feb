"""What the present state of things does not allow."""

from __future__ import annotations

from pdp.errors.base import PdpError


class SystemPolicyReadonly(PdpError):
    """A system policy was to be changed (seed 003)."""

    reason = "SYSTEM_POLICY_READONLY"


class PolicyNameExists(PdpError):
    """Another policy has that name (seed 003)."""

    reason = "POLICY_NAME_EXISTS"


class PreconditionFailed(PdpError):
    """An entity has changed since it was read: `If-Match` does not hold (RFC 9110, 13.1.1)."""

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


class LimitExists(PdpError):
    """The user or the group has a limit already (docs/decide.md, Limits)."""

    reason = "LIMIT_EXISTS"


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
