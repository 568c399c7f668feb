"""Policy packs and their rules (seed 002): what is done with requests that meet conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from pdp.domain.policy_set import PolicySet

KIND: Final = "policy_pack"
RULE_KIND: Final = "policy_rule"
TOGGLE_KIND: Final = "bundle_toggle"

BUNDLE: Final = "bundle"
CUSTOM: Final = "custom"

MAX_PACKS: Final = 200
"""Custom packs of one tenant."""

MAX_RULES: Final = 1000
"""Rules of one pack."""

MAX_TENANT_RULES: Final = 10_000
"""Rules of all packs of one tenant."""

MAX_SEQUENCE: Final = 1_000_000

ALLOW: Final = "ALLOW"
BLOCK: Final = "BLOCK"
CANCEL: Final = "CANCEL"
REDACT: Final = "REDACT"
ROUTE_TO: Final = "ROUTE_TO"
PROMPT: Final = "PROMPT"
ALLOW_WITH_OVERRIDE: Final = "ALLOW_WITH_OVERRIDE"

DEFAULT_REPLACEMENT: Final = "[REDACTED]"

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PolicyPack:
    """A named set of rules.

    Attributes:
        pack_type: `BUNDLE`, which ships with the product for all tenants, or `CUSTOM`.
        compliance_standard: the standard that it follows, if any.
        version: as its author counts.
        rule_count: how many rules it has, active or not; kept with every change of them.
        created_at, updated_at: seconds since the epoch; a change of a rule counts as one of its
            pack.
    """

    id: str
    name: str
    description: str = ""
    pack_type: str = CUSTOM
    compliance_standard: str | None = None
    version: str = "1.0"
    is_active: bool = True
    rule_count: int = 0
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """What is done with requests that meet conditions.

    Attributes:
        sequence: its place in its pack, unique there.
        applies_to: `input`, `output` or `both`.
        conditions, action: the documents that were posted; `pdp.engine.rules.documents` reads them.
        created_at, updated_at: seconds since the epoch.
    """

    id: str
    pack_id: str
    sequence: int
    name: str
    action: JsonObject
    conditions: JsonObject
    description: str = ""
    applies_to: str = "input"
    is_active: bool = True
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class BundleToggle:
    """Whether a bundle is active for one tenant, in place of what it ships as."""

    pack_id: str
    is_active: bool
    updated_at: float = 0.0


class PackRules(NamedTuple):
    """A pack as a tenant has it, with its rules by sequence."""

    pack: PolicyPack
    rules: tuple[PolicyRule, ...]


def toggled(pack: PolicyPack, toggle: BundleToggle | None) -> PolicyPack:
    """Returns a bundle as a tenant has it."""
    if toggle is None:
        return pack
    updated_at = max(pack.updated_at, toggle.updated_at)
    return replace(pack, is_active=toggle.is_active, updated_at=updated_at)


def by_sequence(rule: PolicyRule) -> tuple[int, str]:
    """Sorts rules into the order in which they are looked at."""
    return (rule.sequence, rule.id)


def packs_with_rules(
    platform: PolicySet, own: PolicySet, wanted: frozenset[str]
) -> dict[str, PackRules]:
    """Returns those packs of a tenant that are `wanted`, by id.

    Where a bundle and a pack of the tenant have the same id, as in a simulation's overlay, the
    tenant's counts, with the tenant's rules alone.
    """
    toggles: Mapping[str, BundleToggle] = own.of_kind(TOGGLE_KIND)
    found: dict[str, PolicyPack] = {}
    rules: dict[str, list[PolicyRule]] = {}
    for owner in (own, platform):
        taken = frozenset(found)
        packs: Mapping[str, PolicyPack] = owner.of_kind(KIND)
        for pack_id in wanted - taken:
            pack = packs.get(pack_id)
            if pack is not None:
                found[pack_id] = toggled(pack, toggles.get(pack_id)) if owner is platform else pack
                rules[pack_id] = []
        fresh = found.keys() - taken
        for rule in owner.of_kind(RULE_KIND).values():
            if rule.pack_id in fresh:
                rules[rule.pack_id].append(rule)
    return {
        pack_id: PackRules(pack, tuple(sorted(rules[pack_id], key=by_sequence)))
        for pack_id, pack in found.items()
    }


def body_of(value: PolicyPack | PolicyRule | BundleToggle) -> dict[str, Any]:
    """Returns the fields of `value` as the store keeps them."""
    return {name: getattr(value, name) for name in value.__slots__}
