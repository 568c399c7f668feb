"""What is asked for and not there."""

from __future__ import annotations

from pdp.errors.base import PdpError


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


class LimitNotFound(NotFound):
    """The tenant has no such limit (docs/decide.md, Limits)."""

    reason = "LIMIT_NOT_FOUND"


class RecordNotFound(NotFound):
    """No such decision record."""

    reason = "RECORD_NOT_FOUND"


class ConnectorNotFound(NotFound):
    """There is no SIEM connector of that id (seed 002)."""

    reason = "CONNECTOR_NOT_FOUND"


class BundleNotFound(NotFound):
    """The tenant has no such compliance bundle (seed 002)."""

    reason = "BUNDLE_NOT_FOUND"


class GroupNotFound(NotFound):
    """The tenant has no such user group."""

    reason = "GROUP_NOT_FOUND"


class KeyNotFound(NotFound):
    """There is no such API key, or it is none of the caller's (docs/access.md)."""

    reason = "KEY_NOT_FOUND"
