"""Compliance bundles: groups of DLP rules that follow a regulation (seed 002)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

KIND: Final = "compliance_bundle"
STATE_KIND: Final = "bundle_state"


@dataclass(frozen=True, slots=True)
class ComplianceBundle:
    """A bundle: a seeded one, the platform's for all tenants, or a tenant's own.

    Its rules are the `DlpRule`s with its id in `bundle_id`: of a seeded bundle, those of the
    definition that the tenant has, and the tenant's own.

    Attributes:
        framework: code of the regulation, for instance "PCI-DSS".
        version: of its definition.
        is_seeded: ships with the product.
        enabled: in force with its rules' own tiers, for all of the tenant's users.
        created_at, updated_at: seconds since the epoch.
    """

    id: str
    name: str
    regulatory_framework: str
    description: str = ""
    version: str = "1.0"
    is_seeded: bool = False
    enabled: bool = False
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class BundleState:
    """How a tenant has a seeded bundle. Its id is the bundle's.

    Attributes:
        enabled: whether it is activated.
        version: the definition that the tenant has; empty for the one that it began with.
    """

    bundle_id: str
    enabled: bool = False
    version: str = ""
    name: str | None = None
    description: str | None = None
    updated_at: float = 0.0


def body_of(value: ComplianceBundle | BundleState) -> dict[str, Any]:
    """Returns the fields of `value` as the store keeps them."""
    return {name: getattr(value, name) for name in value.__slots__}
