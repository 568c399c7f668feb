"""Compliance bundles: groups of DLP rules that follow a regulation (docs/compliance.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.org_policy import OrgPolicy
    from pdp.domain.policy_set import PolicySet

KIND: Final = "compliance_bundle"
STATE_KIND: Final = "bundle_state"
SNAPSHOT_KIND: Final = "bundle_snapshot"
"""A bundle after its last change. The history of this entity is the bundle's version history."""

MAX_BUNDLES: Final = 200
"""Custom bundles of one tenant."""

MAX_RULES: Final = 500
"""A tenant's own rules in one bundle."""

STRICT: Final = "strict"
ADDITIVE: Final = "additive"

CURRENT: Final = "current"
UPDATE_AVAILABLE: Final = "update_available"
CUSTOM: Final = "custom"

FRAMEWORK_BUNDLES: Final[Mapping[str, str]] = {
    "gdpr": "gdpr",
    "ai_act": "eu_ai_act",
    "soc2": "soc2",
}
"""The key of the bundle that each framework of an org policy puts in force, at least `log_only`."""


@dataclass(frozen=True, slots=True)
class ComplianceBundle:
    """A bundle: a seeded bundle of the platform, for all tenants, or a tenant's own.

    Its rules are the `DlpRule`s with its id in `bundle_id`. For a seeded bundle these are the
    platform's rules of the definition that the tenant uses, and the tenant's own rules.

    Attributes:
        regulatory_framework: code of the regulation, for instance "PCI-DSS".
        version: the version of its definition; for a seeded bundle as shipped, the version that a
            new tenant gets.
        is_seeded: whether it ships with the product.
        enabled: whether it is in force for all of the tenant's users, with its rules' own tiers.
        key: the key of a seeded bundle in the catalog; empty for a tenant's own.
        definitions: the definitions of a seeded bundle, oldest first, each with its `version`, the
            `rule_ids` of the platform's rules in it, and a `summary`.
        created_at, updated_at: seconds since the epoch.
    """

    id: str
    name: str
    regulatory_framework: str
    description: str = ""
    version: str = "1.0"
    is_seeded: bool = False
    enabled: bool = False
    key: str = ""
    definitions: Sequence[Mapping[str, Any]] = ()
    created_at: float = 0.0
    updated_at: float = 0.0

    @property
    def latest_version(self) -> str:
        """The version of the newest definition."""
        return str(self.definitions[-1]["version"]) if self.definitions else self.version

    @property
    def upgrade_available(self) -> bool:
        """Whether a newer definition exists."""
        return self.version != self.latest_version

    @property
    def version_status(self) -> str:
        """`CURRENT`, `UPDATE_AVAILABLE`, or `CUSTOM` for a tenant's own bundle."""
        if not self.is_seeded:
            return CUSTOM
        return UPDATE_AVAILABLE if self.upgrade_available else CURRENT

    @property
    def enforcement_mode(self) -> str:
        """`STRICT` if its rules cannot be suppressed while it is in force, else `ADDITIVE`."""
        return STRICT if self.is_seeded else ADDITIVE

    @property
    def defined_rules(self) -> tuple[str, ...]:
        """The ids of the platform's rules in its definition."""
        return tuple(
            rule_id
            for each in self.definitions
            if each["version"] == self.version
            for rule_id in each["rule_ids"]
        )


@dataclass(frozen=True, slots=True)
class BundleState:
    """A tenant's settings of a seeded bundle. The entity's id is the bundle's.

    Attributes:
        enabled: whether the bundle is activated.
        version: the definition that the tenant uses; empty for the bundle's own `version`.
        name, description, regulatory_framework: replace those of the bundle; None keeps them.
    """

    bundle_id: str
    enabled: bool = False
    version: str = ""
    name: str | None = None
    description: str | None = None
    regulatory_framework: str | None = None
    updated_at: float = 0.0


def bundle_for_tenant(bundle: ComplianceBundle, state: BundleState | None) -> ComplianceBundle:
    """Returns a seeded bundle with a tenant's settings applied."""
    if state is None:
        return bundle
    known = {each["version"] for each in bundle.definitions}
    framework = state.regulatory_framework
    return replace(
        bundle,
        enabled=state.enabled,
        version=state.version if state.version in known else bundle.version,
        name=bundle.name if state.name is None else state.name,
        description=bundle.description if state.description is None else state.description,
        regulatory_framework=bundle.regulatory_framework if framework is None else framework,
        updated_at=max(bundle.updated_at, state.updated_at),
    )


def all_bundles(platform: PolicySet, own: PolicySet) -> dict[str, ComplianceBundle]:
    """Returns a tenant's bundles by id: seeded bundles with its settings, then its own bundles."""
    states: Mapping[str, BundleState] = own.of_kind(STATE_KIND)
    seeded: Mapping[str, ComplianceBundle] = platform.of_kind(KIND)
    shared = {each.id: bundle_for_tenant(each, states.get(each.id)) for each in seeded.values()}
    return {**shared, **own.of_kind(KIND)}


def bundles_of_frameworks(
    policy: OrgPolicy, bundles: Mapping[str, ComplianceBundle]
) -> tuple[ComplianceBundle, ...]:
    """Returns the bundles of the frameworks that an org policy enables."""
    keys = {key for name, key in FRAMEWORK_BUNDLES.items() if getattr(policy, name)}
    return tuple(each for each in bundles.values() if each.key in keys)


def body_of(value: ComplianceBundle | BundleState) -> dict[str, Any]:
    """Returns the fields of `value` as the store keeps them."""
    return {name: getattr(value, name) for name in value.__slots__}
