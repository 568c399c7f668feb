"""How a tenant wants to be judged where its policies cannot say (decide.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

KIND: Final = "tenant_settings"
ID: Final = "tenant_settings"
"""A tenant has them once."""


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """A tenant's settings; without arguments, those that it has until they are changed.

    Attributes:
        failure_mode: `closed` blocks what could not be judged; `open` lets it pass, and says so
            in every such decision.
        unknown_customer: what a request for a customer that does not exist comes to.
    """

    failure_mode: Literal["closed", "open"] = "closed"
    unknown_customer: Literal["block", "warn"] = "block"


DEFAULT_SETTINGS: Final = TenantSettings()


def body_of(settings: TenantSettings) -> dict[str, Any]:
    """Returns the fields of `settings` as the store keeps them."""
    return {name: getattr(settings, name) for name in settings.__slots__}
