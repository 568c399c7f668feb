"""The DLP rules in force: bundles, frameworks, customisations and groups applied (docs/dlp.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pdp.domain.compliance_bundle import all_bundles, bundles_of_frameworks
from pdp.domain.dlp_rule import (
    ACTION_TIERS,
    CUSTOMISATION_KIND,
    KIND,
    LOG_ONLY,
    NONE,
    DlpRule,
    apply_customisation,
)
from pdp.domain.org_policy import DEFAULT_ORG_POLICY
from pdp.domain.org_policy import ID as ORG_POLICY_ID
from pdp.domain.org_policy import KIND as ORG_POLICY_KIND
from pdp.domain.redaction_kind import MASK
from pdp.domain.user_group import all_groups

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pdp.domain.compliance_bundle import ComplianceBundle
    from pdp.domain.dlp_rule import DlpCustomisation
    from pdp.domain.policy_set import PolicySet
    from pdp.domain.user_group import UserGroup

Rules = dict[str, DlpRule]
"""Rules by id."""


@dataclass(frozen=True, slots=True)
class EffectiveDlpRules:
    """The DLP rules that are in force for a tenant.

    Attributes:
        everyone: the rules for all users, by id. A rule that only a framework of the org policy
            puts in force has the tier `log_only`.
        groups: by group id, the rules for the group's users that replace rules of `everyone` or add
            to them; only groups that have such rules.
    """

    everyone: Mapping[str, DlpRule]
    groups: Mapping[str, Mapping[str, DlpRule]]


def platform_rules(platform: PolicySet, own: PolicySet) -> Rules:
    """Returns the platform's rules with a tenant's customisations, in force or not, by id.

    Rules of a bundle are included if the definition that the tenant uses has them. They are enabled
    if the bundle is.
    """
    bundles = all_bundles(platform, own)
    defined = {each.id: frozenset(each.defined_rules) for each in bundles.values()}
    rules: Rules = {}
    for rule in platform.of_kind(KIND).values():
        change = own.of_kind(CUSTOMISATION_KIND).get(rule.id)
        bundle = bundles.get(rule.bundle_id)
        if bundle is None:
            rules[rule.id] = apply_customisation(rule, change)
        elif rule.id in defined[bundle.id]:
            rules[rule.id] = rule_in_bundle(rule, change, enabled=bundle.enabled)
    return rules


def tenant_rules(platform: PolicySet, own: PolicySet) -> Rules:
    """Returns all rules of a tenant, in force or not, by id: the platform's, then its own."""
    return {**platform_rules(platform, own), **own.of_kind(KIND)}


def rules_of_bundle(
    bundle: ComplianceBundle, platform: PolicySet, own: PolicySet
) -> tuple[DlpRule, ...]:
    """Returns the rules of a bundle for a tenant: those of its definition, then the tenant's own.

    Args:
        bundle: the bundle with the tenant's settings; see `all_bundles`.
        platform: the platform's policies.
        own: the tenant's policies.
    """
    changes: Mapping[str, DlpCustomisation] = own.of_kind(CUSTOMISATION_KIND)
    rules: Mapping[str, DlpRule] = platform.of_kind(KIND)
    defined = (
        rule_in_bundle(rules[rule_id], changes.get(rule_id), enabled=bundle.enabled)
        for rule_id in bundle.defined_rules
        if rule_id in rules
    )
    added = (rule for rule in own.of_kind(KIND).values() if rule.bundle_id == bundle.id)
    return (*defined, *added)


def effective_dlp_rules(platform: PolicySet, own: PolicySet) -> EffectiveDlpRules:
    """Returns the DLP rules in force for a tenant: the platform's, the bundles' and its own.

    Rules that are disabled or have the tier `none` are left out.
    """
    bundles = all_bundles(platform, own)
    rules = tenant_rules(platform, own)
    everyone = {rule.id: rule for rule in rules.values() if is_acting(rule)}
    everyone.update(_framework_rules(platform, own, bundles, rules))
    groups: Iterable[UserGroup] = all_groups(platform, own).values()
    assigned = {bundle_id for group in groups for bundle_id in group.bundle_ids}
    added = {
        each.id: _added_by_bundle(each, everyone, platform, own)
        for each in bundles.values()
        if each.id in assigned and not each.enabled
    }
    by_group = {group.id: _group_rules(group, added, rules, everyone) for group in groups}
    return EffectiveDlpRules(
        everyone, {group_id: changed for group_id, changed in by_group.items() if changed}
    )


def apply_group_rule(rule: DlpRule, change: Mapping[str, Any]) -> DlpRule:
    """Returns a rule with a group's change, as far as the change is stricter.

    Args:
        rule: the rule without the change.
        change: one of `UserGroup.dlp_rules`.
    """
    threshold = change.get("confidence_threshold")
    return replace(
        rule,
        enabled=rule.enabled or change.get("enabled") is True,
        action_tier=_stronger_tier(rule.action_tier, change.get("action_tier") or NONE),
        confidence_threshold=(
            rule.confidence_threshold
            if threshold is None
            else min(rule.confidence_threshold, threshold)
        ),
    )


def _stronger_tier(one: str, other: str) -> str:
    return max(one, other, key=ACTION_TIERS.index)


def is_acting(rule: DlpRule) -> bool:
    """Whether a rule is in force: enabled, with a tier other than `none` in some place."""
    tiers = (rule.action_tier, *rule.scope_actions.values())
    return rule.enabled and any(tier != NONE for tier in tiers)


def rule_in_bundle(rule: DlpRule, change: DlpCustomisation | None, *, enabled: bool) -> DlpRule:
    """Returns a seeded bundle's rule with a tenant's customisation.

    If the bundle is in force, a customisation can neither disable the rule nor only monitor it, nor
    show a part of a value. If it is not, the tenant can still enable single rules of the bundle.

    Args:
        rule: the rule as shipped.
        change: the tenant's customisation; None without one.
        enabled: whether the bundle is in force.
    """
    customised = apply_customisation(replace(rule, enabled=enabled), change)
    if not enabled:
        return customised
    tier = rule.action_tier if customised.action_tier == NONE else customised.action_tier
    actions = {
        scope: action for scope, action in customised.scope_actions.items() if action != NONE
    }
    return replace(
        customised,
        enabled=True,
        action_tier=tier,
        scope_actions=actions,
        mode=rule.mode,
        redaction=rule.redaction if customised.redaction == MASK else customised.redaction,
    )


def _framework_rules(
    platform: PolicySet,
    own: PolicySet,
    bundles: Mapping[str, ComplianceBundle],
    rules: Mapping[str, DlpRule],
) -> Rules:
    """Returns the rules that only the frameworks of the org policy put in force."""
    policy = own.of_kind(ORG_POLICY_KIND).get(ORG_POLICY_ID, DEFAULT_ORG_POLICY)
    changes: Mapping[str, DlpCustomisation] = own.of_kind(CUSTOMISATION_KIND)
    return {
        rule_id: replace(rules[rule_id], enabled=True, action_tier=LOG_ONLY)
        for bundle in bundles_of_frameworks(policy, bundles)
        for rule_id in bundle.defined_rules
        if rule_id in rules
        and not is_acting(rules[rule_id])
        and not _disables(changes.get(rule_id))
    }


def _disables(change: DlpCustomisation | None) -> bool:
    return change is not None and (change.enabled is False or change.action_tier == NONE)


def _added_by_bundle(
    bundle: ComplianceBundle,
    everyone: Mapping[str, DlpRule],
    platform: PolicySet,
    own: PolicySet,
) -> Rules:
    """Returns the rules that a bundle that is not active adds for the groups that have it."""
    rules = rules_of_bundle(replace(bundle, enabled=True), platform, own)
    enabled = (rule if rule.enabled else replace(rule, enabled=True) for rule in rules)
    return {rule.id: rule for rule in enabled if is_acting(rule) and rule != everyone.get(rule.id)}


def _group_rules(
    group: UserGroup,
    added: Mapping[str, Rules],
    rules: Mapping[str, DlpRule],
    everyone: Mapping[str, DlpRule],
) -> Rules:
    """Returns the rules for a group's users that differ from those for everyone.

    Args:
        group: the group.
        added: by bundle id, the rules that each bundle adds.
        rules: all rules, in force or not.
        everyone: the rules in force for all users.
    """
    changed_rules: Rules = {}
    for bundle_id in group.bundle_ids:
        changed_rules.update(added.get(bundle_id, {}))
    for change in group.dlp_rules:
        rule_id = change["rule_id"]
        in_force = changed_rules.get(rule_id) or everyone.get(rule_id)
        # A rule that a framework only logs still has its own tier, which a group may enable.
        configured = rules.get(rule_id)
        candidates = [apply_group_rule(old, change) for old in (in_force, configured) if old]
        acting = [each for each in candidates if is_acting(each)]
        if acting and (strictest := _strictest(acting)) != in_force:
            changed_rules[rule_id] = strictest
    return changed_rules


def _strictest(rules: Sequence[DlpRule]) -> DlpRule:
    """Returns the first of `rules`, which share an id, with the strictest settings of all."""
    return replace(
        rules[0],
        action_tier=max((each.action_tier for each in rules), key=ACTION_TIERS.index),
        confidence_threshold=min(each.confidence_threshold for each in rules),
    )
