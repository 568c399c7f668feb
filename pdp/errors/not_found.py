"""Errors of calls that name something that does not exist."""

from __future__ import annotations

from pdp.errors.base import PdpError


class NotFound(PdpError):
    """The base class: something that the call names does not exist."""


class PolicyNotFound(NotFound):
    """The tenant has no such static policy."""

    reason = "POLICY_NOT_FOUND"


class OverrideNotFound(NotFound):
    """The policy has no override to remove."""

    reason = "OVERRIDE_NOT_FOUND"


class PackNotFound(NotFound):
    """The tenant has no such policy pack."""

    reason = "PACK_NOT_FOUND"


class RuleNotFound(NotFound):
    """The pack, bundle or tenant has no such rule."""

    reason = "RULE_NOT_FOUND"


class ChainNotFound(NotFound):
    """The user has no policy chain."""

    reason = "CHAIN_NOT_FOUND"


class CustomerNotFound(NotFound):
    """The tenant has no policy for the customer."""

    reason = "CUSTOMER_NOT_FOUND"


class ModelNotFound(NotFound):
    """The model catalog has no such model."""

    reason = "MODEL_NOT_FOUND"


class ProviderNotFound(NotFound):
    """The model catalog has no model of the provider."""

    reason = "PROVIDER_NOT_FOUND"


class RouteNotFound(NotFound):
    """There is no such path or RPC."""

    reason = "ROUTE_NOT_FOUND"


class LimitNotFound(NotFound):
    """The tenant has no such limit (docs/decide.md, Limits)."""

    reason = "LIMIT_NOT_FOUND"


class RecordNotFound(NotFound):
    """The log has no such decision record."""

    reason = "RECORD_NOT_FOUND"


class ConnectorNotFound(NotFound):
    """There is no SIEM connector with that id."""

    reason = "CONNECTOR_NOT_FOUND"


class BundleNotFound(NotFound):
    """The tenant has no such compliance bundle."""

    reason = "BUNDLE_NOT_FOUND"


class GroupNotFound(NotFound):
    """The tenant has no such user group."""

    reason = "GROUP_NOT_FOUND"


class ExceptionNotFound(NotFound):
    """The tenant has no such exception (docs/exceptions.md)."""

    reason = "EXCEPTION_NOT_FOUND"


class KeyNotFound(NotFound):
    """There is no such API key, or the caller may not see it (docs/access.md)."""

    reason = "KEY_NOT_FOUND"


class ApprovalNotFound(NotFound):
    """The tenant has no such approval, or the caller may not see it."""

    reason = "APPROVAL_NOT_FOUND"
