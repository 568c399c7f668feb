"""Names in policy files: the ids that they stand for, and the names of ids."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

from pdp import catalog
from pdp.catalog.compliance import bundle_id, bundle_rule_id
from pdp.catalog.dlp import rule_id
from pdp.domain import compliance_bundle, dlp_rule, policy_pack, static_policy, user_group

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.domain.policy_set import PolicySet
    from pdp.policy_files.state import Body

_IDS: Final = UUID("0f6d4c52-7a3e-5b18-9c64-2e8a1d7f3b90")
"""Namespace of the ids that are derived from names."""

_NAME_FIELDS: Final[Mapping[str, str]] = {
    dlp_rule.KIND: "detector_name",
}


def derived_id(kind: str, *parts: str) -> str:
    """Returns the id of a new policy: the same for the same names, in every tenant."""
    name = "\0".join((kind, *parts))
    if kind == static_policy.KIND:
        return f"pol_{sha256(name.encode()).hexdigest()[:16]}"
    return str(uuid5(_IDS, name))


def own_ids(kind: str, bodies: Mapping[str, Body]) -> dict[str, str]:
    """Returns the ids of a tenant's policies of a kind by name, the oldest first."""
    field = _NAME_FIELDS.get(kind, "name")
    ids: dict[str, str] = {}
    for policy_id, body in bodies.items():
        ids.setdefault(str(body[field]), policy_id)
    return ids


class Shipped:
    """Names of the policies that ship with the product."""

    def __init__(self, policies: PolicySet) -> None:
        """Args:
        policies: the platform's policies.
        """
        self.policies = policies
        self._rule_names: dict[str, str] | None = None

    def system_policy(self, name: str) -> str:
        """Returns the id of a system policy, by id or name; empty if there is none."""
        policies = self.policies.of_kind(static_policy.KIND)
        if name in policies:
            return name
        return next((each.id for each in policies.values() if each.name == name), "")

    def rule(self, name: str) -> str:
        """Returns the id of a DLP rule: `pci_dss/card`, a detector, or an id; empty if none."""
        bundle, slash, rule = name.partition("/")
        by_name = bundle_rule_id(bundle, rule) if slash else rule_id(name)
        rules = self.policies.of_kind(dlp_rule.KIND)
        return next((each for each in (by_name, name) if each in rules), "")

    def rule_name(self, policy_id: str) -> str:
        """Returns the name of a DLP rule; empty if there is no such rule."""
        rule = self.policies.of_kind(dlp_rule.KIND).get(policy_id)
        if rule is None:
            return ""
        detector = str(rule.config_json.get("detector", ""))
        if rule_id(detector) == policy_id:
            return detector
        return _bundle_rules().get(policy_id, policy_id)

    def bundle(self, name: str) -> str:
        """Returns the id of a seeded bundle: by its key, or an id; empty if there is none."""
        bundles = self.policies.of_kind(compliance_bundle.KIND)
        return next((each for each in (bundle_id(name), name) if each in bundles), "")

    def bundle_name(self, policy_id: str) -> str:
        """Returns the key of a seeded bundle; empty if there is no such bundle."""
        bundle = self.policies.of_kind(compliance_bundle.KIND).get(policy_id)
        return (bundle.key or policy_id) if bundle is not None else ""

    def pack(self, name: str) -> str:
        """Returns the id of a pack: by its name, or an id; empty if there is none."""
        packs = self.policies.of_kind(policy_pack.KIND)
        by_name = (each.id for each in packs.values() if each.name == name)
        return name if name in packs else next(by_name, "")

    def pack_name(self, policy_id: str) -> str:
        """Returns the name of a pack; empty if there is no such pack."""
        pack = self.policies.of_kind(policy_pack.KIND).get(policy_id)
        return str(pack.name) if pack is not None else ""

    def pack_rule(self, name: str) -> str:
        """Returns the id of a rule of a pack: `Pack > Rule`, or an id; empty if there is none."""
        rules = self.policies.of_kind(policy_pack.RULE_KIND)
        if name in rules:
            return name
        if self._rule_names is None:
            self._rule_names = {self.pack_rule_name(each): each for each in rules}
        return self._rule_names.get(name, "")

    def pack_rule_name(self, policy_id: str) -> str:
        """Returns the name of a rule with that of its pack; empty if there is no such rule."""
        rule = self.policies.of_kind(policy_pack.RULE_KIND).get(policy_id)
        return f"{self.pack_name(rule.pack_id)} > {rule.name}" if rule is not None else ""

    def group(self, name: str) -> str:
        """Returns the id of a group by its name; empty if there is none."""
        groups = self.policies.of_kind(user_group.KIND).values()
        return next((each.id for each in groups if each.name == name), "")


@cache
def _bundle_rules() -> Mapping[str, str]:
    """Returns the names of the rules of seeded bundles, by id."""
    return {
        bundle_rule_id(bundle["key"], rule["key"]): f"{bundle['key']}/{rule['key']}"
        for bundle in catalog.entries("compliance_bundles", "bundles")
        for rule in bundle["rules"]
    }
