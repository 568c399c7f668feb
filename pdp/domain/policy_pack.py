"""Policy packs and their rules: the actions for requests that meet conditions."""

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
ESCALATE: Final = "ESCALATE"

PASSING: Final = frozenset({ALLOW, ALLOW_WITH_OVERRIDE, ROUTE_TO})
"""The actions that let a request through."""

DEFAULT_REPLACEMENT: Final = "[REDACTED]"

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PolicyPack:
    """A named set of rules.

    Attributes:
        pack_type: `BUNDLE`, which ships with the product for all tenants, or `CUSTOM`.
        compliance_standard: the standard that it follows, if any.
        version: the author's version.
        rule_count: the number of its rules, active or not; updated with every change of a rule.
        created_at, updated_at: seconds since the epoch. A change of a rule also changes its pack.
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
    """The action for requests that meet conditions.

    Attributes:
        sequence: its position in the pack, unique in the pack.
        applies_to: `input`, `output` or `both`.
        conditions, action: the documents as posted; `pdp.engine.rules.documents` parses them.
        mode: one of `pdp.domain.placement.MODES`; empty means `ENFORCE`.
        redaction: for a REDACT rule: one of `pdp.domain.redaction_kind.REDACTION_KINDS`; empty
            means that the value is replaced.
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
    mode: str = ""
    redaction: str = ""


@dataclass(frozen=True, slots=True)
class BundleToggle:
    """Whether a bundle is active for one tenant, in place of the shipped value."""

    pack_id: str
    is_active: bool
    updated_at: float = 0.0


class PackRules(NamedTuple):
    """A pack with a tenant's settings, and its rules by sequence."""

    pack: PolicyPack
    rules: tuple[PolicyRule, ...]


def apply_toggle(pack: PolicyPack, toggle: BundleToggle | None) -> PolicyPack:
    """Returns a bundle with a tenant's setting applied."""
    if toggle is None:
        return pack
    updated_at = max(pack.updated_at, toggle.updated_at)
    return replace(pack, is_active=toggle.is_active, updated_at=updated_at)


def sequence_key(rule: PolicyRule) -> tuple[int, str]:
    """Returns the sort key for the order of evaluation."""
    return (rule.sequence, rule.id)


def packs_with_rules(
    platform: PolicySet, own: PolicySet, pack_ids: frozenset[str]
) -> dict[str, PackRules]:
    """Returns the packs of a tenant with these ids, by id.

    If a bundle and a pack of the tenant have the same id, as in a simulation's overlay, the
    tenant's pack is used, with only the tenant's rules.
    """
    toggles: Mapping[str, BundleToggle] = own.of_kind(TOGGLE_KIND)
    packs: dict[str, PolicyPack] = {}
    rules: dict[str, list[PolicyRule]] = {}
    for owner in (own, platform):
        earlier = frozenset(packs)
        candidates: Mapping[str, PolicyPack] = owner.of_kind(KIND)
        for pack_id in pack_ids - earlier:
            pack = candidates.get(pack_id)
            if pack is not None:
                toggle = toggles.get(pack_id) if owner is platform else None
                packs[pack_id] = apply_toggle(pack, toggle)
                rules[pack_id] = []
        of_owner = packs.keys() - earlier
        for rule in owner.of_kind(RULE_KIND).values():
            if rule.pack_id in of_owner:
                rules[rule.pack_id].append(rule)
    return {
        pack_id: PackRules(pack, tuple(sorted(rules[pack_id], key=sequence_key)))
        for pack_id, pack in packs.items()
    }


def body_of(value: PolicyPack | PolicyRule | BundleToggle) -> dict[str, Any]:
    """Returns the fields of `value` as the store keeps them."""
    return {name: getattr(value, name) for name in value.__slots__}
