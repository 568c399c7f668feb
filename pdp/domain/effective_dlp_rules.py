"""Which DLP rules are in force for whom: bundles, frameworks, customisations, groups (seed 002)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.compliance_bundle import all_bundles, framework_bundles
from pdp.domain.dlp_rule import ACTION_TIERS, CUSTOMISATION_KIND, KIND, DlpRule, customised
from pdp.domain.org_policy import DEFAULT_ORG_POLICY
from pdp.domain.org_policy import ID as ORG_POLICY_ID
from pdp.domain.org_policy import KIND as ORG_POLICY_KIND
from pdp.domain.user_group import all_groups

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pdp.domain.compliance_bundle import ComplianceBundle
    from pdp.domain.dlp_rule import DlpCustomisation
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.user_group import UserGroup

Rules = dict[str, DlpRule]
"""Rules by id."""

OFF: Final = "none"
"""The tier of a rule that does nothing."""

LOGGED: Final = "log_only"
"""The tier that a framework puts the rules of its bundle in force at."""


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """The DLP rules that are in force for a tenant.

    Attributes:
        everyone: for all users, by id; those that an org policy's framework alone puts in force
            have the tier `log_only`.
        groups: by the id of a group, the rules that are in force for its users in place of, or in
            addition to, those of everyone; groups for which there are none are left out.
    """

    everyone: Mapping[str, DlpRule]
    groups: Mapping[str, Mapping[str, DlpRule]]


def platform_rules(platform: PolicySet, own: PolicySet) -> Rules:
    """Returns the platform's rules as a tenant has them, in force or not, by id.

    Those of a bundle are the ones of the definition that the tenant has, and enabled where the
    bundle is; each with what the tenant has customised.
    """
    bundles = all_bundles(platform, own)
    defined = {each.id: frozenset(each.defined_rules) for each in bundles.values()}
    found: Rules = {}
    for rule in platform.of_kind(KIND).values():
        change = own.of_kind(CUSTOMISATION_KIND).get(rule.id)
        bundle = bundles.get(rule.bundle_id)
        if bundle is None:
            found[rule.id] = customised(rule, change)
        elif rule.id in defined[bundle.id]:
            found[rule.id] = in_bundle(rule, change, enabled=bundle.enabled)
    return found


def tenant_rules(platform: PolicySet, own: PolicySet) -> Rules:
    """Returns all rules of a tenant, in force or not, by id: the platform's, then its own."""
    return {**platform_rules(platform, own), **own.of_kind(KIND)}


def rules_of_bundle(
    bundle: ComplianceBundle, platform: PolicySet, own: PolicySet
) -> tuple[DlpRule, ...]:
    """Returns the rules of a bundle as the tenant has them: its definition's, then the tenant's.

    Args:
        bundle: as the tenant has it; see `all_bundles`.
        platform: the platform's policies.
        own: the tenant's.
    """
    changes: Mapping[str, DlpCustomisation] = own.of_kind(CUSTOMISATION_KIND)
    rules: Mapping[str, DlpRule] = platform.of_kind(KIND)
    defined = (
        in_bundle(rules[rule_id], changes.get(rule_id), enabled=bundle.enabled)
        for rule_id in bundle.defined_rules
        if rule_id in rules
    )
    added = (rule for rule in own.of_kind(KIND).values() if rule.bundle_id == bundle.id)
    return (*defined, *added)


def rules_in_force(platform: PolicySet, own: PolicySet) -> RulesInForce:
    """Returns the DLP rules that are in force for a tenant: the platform's, bundles' and its own.

    Left out are those that are disabled and those whose tier is `none`.
    """
    bundles = all_bundles(platform, own)
    rules = tenant_rules(platform, own)
    everyone = {rule.id: rule for rule in rules.values() if _acts(rule)}
    everyone.update(_logged(platform, own, bundles, rules))
    groups: Iterable[UserGroup] = all_groups(platform, own).values()
    wanted = {bundle_id for group in groups for bundle_id in group.bundle_ids}
    added = {
        each.id: _by_activation(each, everyone, platform, own)
        for each in bundles.values()
        if each.id in wanted and not each.enabled
    }
    by_group = {group.id: _of_group(group, added, rules, everyone) for group in groups}
    return RulesInForce(everyone, {name: found for name, found in by_group.items() if found})


def stricter(rule: DlpRule, change: Mapping[str, Any]) -> DlpRule:
    """Returns a rule with a group's change of it, in so far as that is stricter.

    Args:
        rule: as it is without the change.
        change: one of `UserGroup.dlp_rules`.
    """
    threshold = change.get("confidence_threshold")
    return replace(
        rule,
        enabled=rule.enabled or change.get("enabled") is True,
        action_tier=_stronger_tier(rule.action_tier, change.get("action_tier") or OFF),
        confidence_threshold=(
            rule.confidence_threshold
            if threshold is None
            else min(rule.confidence_threshold, threshold)
        ),
    )


def _stronger_tier(one: str, other: str) -> str:
    return max(one, other, key=ACTION_TIERS.index)


def _acts(rule: DlpRule) -> bool:
    return rule.enabled and rule.action_tier != OFF


def in_bundle(rule: DlpRule, change: DlpCustomisation | None, *, enabled: bool) -> DlpRule:
    """Returns a seeded bundle's rule as the tenant has it.

    What would keep a bundle that is in force from acting is not heard. Where it is not in force,
    the tenant may still enable single rules of it.
    """
    as_shipped = replace(rule, enabled=enabled)
    found = customised(as_shipped, change)
    if not enabled:
        return found
    tier = rule.action_tier if found.action_tier == OFF else found.action_tier
    return replace(found, enabled=True, action_tier=tier)


def _logged(
    platform: PolicySet,
    own: PolicySet,
    bundles: Mapping[str, ComplianceBundle],
    rules: Mapping[str, DlpRule],
) -> Rules:
    """The rules that frameworks put in force and nothing else does."""
    policy = own.of_kind(ORG_POLICY_KIND).get(ORG_POLICY_ID, DEFAULT_ORG_POLICY)
    changes: Mapping[str, DlpCustomisation] = own.of_kind(CUSTOMISATION_KIND)
    return {
        rule_id: replace(rules[rule_id], enabled=True, action_tier=LOGGED)
        for bundle in framework_bundles(policy, bundles)
        for rule_id in bundle.defined_rules
        if rule_id in rules
        and not _acts(rules[rule_id])
        and not _switched_off(changes.get(rule_id))
    }


def _switched_off(change: DlpCustomisation | None) -> bool:
    return change is not None and (change.enabled is False or change.action_tier == OFF)


def _by_activation(
    bundle: ComplianceBundle,
    everyone: Mapping[str, DlpRule],
    platform: PolicySet,
    own: PolicySet,
) -> Rules:
    """What a bundle that is not active brings to the groups that it is assigned to."""
    found = rules_of_bundle(replace(bundle, enabled=True), platform, own)
    enabled = (rule if rule.enabled else replace(rule, enabled=True) for rule in found)
    return {rule.id: rule for rule in enabled if _acts(rule) and rule != everyone.get(rule.id)}


def _of_group(
    group: UserGroup,
    added: Mapping[str, Rules],
    rules: Mapping[str, DlpRule],
    everyone: Mapping[str, DlpRule],
) -> Rules:
    """What holds for a group's users in place of, or in addition to, what holds for everyone.

    Args:
        group: the group.
        added: what each bundle that may be assigned brings.
        rules: all rules, in force or not.
        everyone: those that are in force for all users.
    """
    found: Rules = {}
    for bundle_id in group.bundle_ids:
        found.update(added.get(bundle_id, {}))
    for change in group.dlp_rules:
        rule_id = change["rule_id"]
        held = found.get(rule_id) or everyone.get(rule_id)
        # A rule that a framework only logs still has a tier of its own, which a group may enable.
        configured = rules.get(rule_id)
        changed = [stricter(old, change) for old in (held, configured) if old is not None]
        acting = [each for each in changed if _acts(each)]
        if acting and (new := _strictest(acting)) != held:
            found[rule_id] = new
    return found


def _strictest(rules: Sequence[DlpRule]) -> DlpRule:
    """Returns the first of `rules`, all of one id, with the strictest of all their settings."""
    return replace(
        rules[0],
        action_tier=max((each.action_tier for each in rules), key=ACTION_TIERS.index),
        confidence_threshold=min(each.confidence_threshold for each in rules),
    )
