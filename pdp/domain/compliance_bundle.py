"""Compliance bundles: groups of DLP rules that follow a regulation (seed 002)."""

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
"""What a bundle was after its last change; its history is the bundle's version history."""

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
"""The key of the bundle that an org policy's framework puts in force, at `log_only` at least."""


@dataclass(frozen=True, slots=True)
class ComplianceBundle:
    """A bundle: a seeded one, the platform's for all tenants, or a tenant's own.

    Its rules are the `DlpRule`s with its id in `bundle_id`: of a seeded bundle, those of the
    definition that the tenant has, and the tenant's own.

    Attributes:
        regulatory_framework: code of the regulation, for instance "PCI-DSS".
        version: of its definition; of a seeded bundle as it ships, the one that a fresh tenant has.
        is_seeded: ships with the product.
        enabled: in force with its rules' own tiers, for all of the tenant's users.
        key: names a seeded bundle in the catalog; empty for a tenant's own.
        definitions: of a seeded bundle, oldest first, each with its `version`, the `rule_ids` of
            the platform's rules that it has, and a `summary` of what it is about.
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
        """Whether there is a newer definition."""
        return self.version != self.latest_version

    @property
    def version_status(self) -> str:
        """`CURRENT`, `UPDATE_AVAILABLE` or, of a tenant's own, `CUSTOM`."""
        if not self.is_seeded:
            return CUSTOM
        return UPDATE_AVAILABLE if self.upgrade_available else CURRENT

    @property
    def enforcement_mode(self) -> str:
        """`STRICT` where its rules cannot be suppressed while it is in force, else `ADDITIVE`."""
        return STRICT if self.is_seeded else ADDITIVE

    @property
    def defined_rules(self) -> tuple[str, ...]:
        """The ids of the platform's rules that its definition has."""
        return tuple(
            rule_id
            for each in self.definitions
            if each["version"] == self.version
            for rule_id in each["rule_ids"]
        )


@dataclass(frozen=True, slots=True)
class BundleState:
    """How a tenant has a seeded bundle. Its id is the bundle's.

    Attributes:
        enabled: whether it is activated.
        version: the definition that the tenant has; empty for the one that it began with.
        name, description, regulatory_framework: in place of the bundle's; None for its own.
    """

    bundle_id: str
    enabled: bool = False
    version: str = ""
    name: str | None = None
    description: str | None = None
    regulatory_framework: str | None = None
    updated_at: float = 0.0


def as_had(bundle: ComplianceBundle, state: BundleState | None) -> ComplianceBundle:
    """Returns a seeded bundle as a tenant has it."""
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
    """Returns the bundles of a tenant, as it has them, by id: the seeded ones, then its own."""
    states: Mapping[str, BundleState] = own.of_kind(STATE_KIND)
    seeded: Mapping[str, ComplianceBundle] = platform.of_kind(KIND)
    found = {each.id: as_had(each, states.get(each.id)) for each in seeded.values()}
    return {**found, **own.of_kind(KIND)}


def framework_bundles(
    policy: OrgPolicy, bundles: Mapping[str, ComplianceBundle]
) -> tuple[ComplianceBundle, ...]:
    """Returns the bundles of the frameworks that an org policy switches on."""
    keys = {key for name, key in FRAMEWORK_BUNDLES.items() if getattr(policy, name)}
    return tuple(each for each in bundles.values() if each.key in keys)


def body_of(value: ComplianceBundle | BundleState) -> dict[str, Any]:
    """Returns the fields of `value` as the store keeps them."""
    return {name: getattr(value, name) for name in value.__slots__}
