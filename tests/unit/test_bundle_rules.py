"""The DLP rules in force: effects of bundles, frameworks, customisations and groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.domain import compliance_bundle, dlp_rule, org_policy, user_group
from pdp.domain.compliance_bundle import BundleState, ComplianceBundle, all_bundles
from pdp.domain.dlp_rule import ACTION_TIERS, DlpCustomisation, DlpRule
from pdp.domain.effective_dlp_rules import (
    EffectiveDlpRules,
    apply_group_rule,
    effective_dlp_rules,
    platform_rules,
    rules_of_bundle,
    tenant_rules,
)
from pdp.domain.org_policy import OrgPolicy
from pdp.domain.policy_set import PolicySet
from pdp.domain.user_group import UserGroup, all_groups

CALM = OrgPolicy(gdpr=False, ai_act=False)

BUNDLE = ComplianceBundle(
    id="pci",
    key="pci_dss",
    name="PCI-DSS",
    regulatory_framework="PCI-DSS",
    is_seeded=True,
    definitions=[
        {"version": "1.0", "summary": "", "rule_ids": ["card", "mail"]},
        {"version": "1.1", "summary": "", "rule_ids": ["card", "key"]},
    ],
)
GDPR = ComplianceBundle(
    id="gdpr",
    key="gdpr",
    name="GDPR",
    regulatory_framework="GDPR",
    is_seeded=True,
    definitions=[{"version": "1.0", "summary": "", "rule_ids": ["phone"]}],
)


def rule(rule_id: str, tier: str = "redact", **fields: Any) -> DlpRule:
    return DlpRule(rule_id, rule_id, "regex", rule_id.upper(), tier, **fields)


PLATFORM_RULES = [
    rule("base"),
    rule("card", enabled=False, bundle_id="pci"),
    rule("mail", enabled=False, bundle_id="pci"),
    rule("key", "block", enabled=False, bundle_id="pci"),
    rule("phone", enabled=False, bundle_id="gdpr"),
]
PLATFORM = PolicySet(
    {
        compliance_bundle.KIND: {each.id: each for each in (BUNDLE, GDPR)},
        dlp_rule.KIND: {each.id: each for each in PLATFORM_RULES},
        user_group.KIND: {"finance": UserGroup("finance", "Finance")},
    }
)


IDS = {
    BundleState: (compliance_bundle.STATE_KIND, "bundle_id"),
    ComplianceBundle: (compliance_bundle.KIND, "id"),
    DlpCustomisation: (dlp_rule.CUSTOMISATION_KIND, "rule_id"),
    DlpRule: (dlp_rule.KIND, "id"),
    UserGroup: (user_group.KIND, "id"),
}


def own(*entities: Any, policy: OrgPolicy = CALM) -> PolicySet:
    """Returns the policies of a tenant."""
    kinds: dict[str, dict[str, Any]] = {org_policy.KIND: {org_policy.ID: policy}}
    for each in entities:
        kind, name = IDS[type(each)]
        kinds.setdefault(kind, {})[getattr(each, name)] = each
    return PolicySet(kinds)


def in_force(*entities: Any, policy: OrgPolicy = CALM) -> EffectiveDlpRules:
    return effective_dlp_rules(PLATFORM, own(*entities, policy=policy))


def tiers(rules: EffectiveDlpRules) -> dict[str, str]:
    return {each.id: each.action_tier for each in rules.everyone.values()}


ACTIVE = BundleState("pci", enabled=True)


class TestBundles:
    def test_a_bundle_is_not_in_force_until_it_is_activated(self) -> None:
        assert tiers(in_force()) == {"base": "redact"}
        assert not platform_rules(PLATFORM, own())["card"].enabled

    def test_the_rules_are_those_of_the_tenants_definition(self) -> None:
        assert tiers(in_force(ACTIVE)) == {"base": "redact", "card": "redact", "mail": "redact"}
        newer = replace(ACTIVE, version="1.1")
        assert tiers(in_force(newer)) == {"base": "redact", "card": "redact", "key": "block"}
        assert list(platform_rules(PLATFORM, own(newer))) == ["base", "card", "key", "phone"]

    def test_the_first_definition_applies_if_the_tenants_no_longer_exists(self) -> None:
        unknown = replace(ACTIVE, version="0.9")
        assert all_bundles(PLATFORM, own(unknown))["pci"].version == "1.0"

    def test_a_tenant_can_rename_a_bundle(self) -> None:
        state = replace(ACTIVE, name="Cards", description="Ours", regulatory_framework="PCI")
        bundle = all_bundles(PLATFORM, own(state))["pci"]
        assert (bundle.name, bundle.description, bundle.regulatory_framework) == (
            "Cards",
            "Ours",
            "PCI",
        )
        assert bundle.enabled

    def test_the_tenants_own_rules_come_after_those_of_the_bundle(self) -> None:
        added = rule("mine", bundle_id="pci", enabled=False)
        tenant = own(ACTIVE, added)
        bundle = all_bundles(PLATFORM, tenant)["pci"]
        rules = rules_of_bundle(bundle, PLATFORM, tenant)
        assert [each.id for each in rules] == ["card", "mail", "mine"]
        assert "mine" not in in_force(ACTIVE, added).everyone, "the rule is disabled"

    def test_a_rule_is_in_force_although_its_custom_bundle_is_disabled(self) -> None:
        custom = ComplianceBundle("c", "C", "C", enabled=False)
        assert "mine" in in_force(custom, rule("mine", bundle_id="c")).everyone

    @pytest.mark.parametrize(
        ("bundle", "version", "status", "mode"),
        [
            (BUNDLE, "1.0", "update_available", "strict"),
            (BUNDLE, "1.1", "current", "strict"),
            (GDPR, "1.0", "current", "strict"),
            (ComplianceBundle("c", "C", "C"), "1.0", "custom", "additive"),
        ],
    )
    def test_a_bundle_reports_whether_an_upgrade_is_available(
        self, bundle: ComplianceBundle, version: str, status: str, mode: str
    ) -> None:
        state = replace(bundle, version=version)
        assert state.version_status == status
        assert state.upgrade_available is (status == "update_available")
        assert state.enforcement_mode == mode


class TestCustomisations:
    def test_tier_and_threshold_of_a_bundles_rule_can_be_set(self) -> None:
        change = DlpCustomisation("card", action_tier="log_only", confidence_threshold=0.9)
        card = in_force(ACTIVE, change).everyone["card"]
        assert (card.action_tier, card.confidence_threshold) == ("log_only", 0.9)

    @pytest.mark.parametrize(
        "change",
        [DlpCustomisation("card", enabled=False), DlpCustomisation("card", action_tier="none")],
    )
    def test_a_rule_of_an_active_bundle_cannot_be_suppressed(
        self, change: DlpCustomisation
    ) -> None:
        rules = in_force(ACTIVE, change)
        assert rules.everyone["card"].action_tier == "redact"
        assert platform_rules(PLATFORM, own(ACTIVE, change))["card"].enabled

    def test_other_rules_of_the_platform_can_be_suppressed(self) -> None:
        assert "base" not in in_force(DlpCustomisation("base", enabled=False)).everyone
        assert "base" not in in_force(DlpCustomisation("base", action_tier="none")).everyone

    def test_one_rule_of_an_inactive_bundle_can_be_enabled(self) -> None:
        assert "card" in in_force(DlpCustomisation("card", enabled=True)).everyone


class TestFrameworks:
    def test_a_framework_puts_its_bundle_in_force_at_log_only(self) -> None:
        rules = in_force(policy=OrgPolicy())
        assert tiers(rules) == {"base": "redact", "phone": "log_only"}

    def test_an_active_bundle_keeps_its_tiers(self) -> None:
        rules = in_force(BundleState("gdpr", enabled=True), policy=OrgPolicy())
        assert tiers(rules) == {"base": "redact", "phone": "redact"}

    @pytest.mark.parametrize(
        "change",
        [DlpCustomisation("phone", enabled=False), DlpCustomisation("phone", action_tier="none")],
    )
    def test_the_tenants_own_setting_overrides_a_framework(self, change: DlpCustomisation) -> None:
        assert "phone" not in in_force(change, policy=OrgPolicy()).everyone

    @pytest.mark.parametrize(
        ("switch", "key"), [("gdpr", "gdpr"), ("ai_act", "eu_ai_act"), ("soc2", "soc2")]
    )
    def test_each_framework_has_a_bundle(self, switch: str, key: str) -> None:
        bundles = {each: replace(GDPR, key=each) for each in ("gdpr", "eu_ai_act", "soc2", "sox")}
        switches: dict[str, Any] = {"gdpr": False, "ai_act": False, "soc2": False, switch: True}
        policy = OrgPolicy(**switches)
        active = compliance_bundle.bundles_of_frameworks(policy, bundles)
        assert [each.key for each in active] == [key]


class TestGroups:
    def test_a_group_can_have_a_bundle(self) -> None:
        rules = in_force(UserGroup("g", "G", bundle_ids=["pci", "deleted"]))
        assert tiers(rules) == {"base": "redact"}
        assert set(rules.groups) == {"g"}
        assert set(rules.groups["g"]) == {"card", "mail"}

    def test_a_group_adds_nothing_if_its_bundle_is_active_for_everyone(self) -> None:
        assert in_force(ACTIVE, UserGroup("g", "G", bundle_ids=["pci"])).groups == {}

    def test_a_groups_bundle_is_in_force_although_a_rule_is_suppressed(self) -> None:
        change = DlpCustomisation("card", enabled=False, action_tier="none")
        rules = in_force(change, UserGroup("g", "G", bundle_ids=["pci"]))
        assert rules.groups["g"]["card"].action_tier == "redact"

    def test_a_group_has_all_rules_of_an_inactive_custom_bundle(self) -> None:
        custom = ComplianceBundle("c", "C", "C", enabled=False)
        mine = rule("mine", bundle_id="c", enabled=False)
        rules = in_force(custom, mine, UserGroup("g", "G", bundle_ids=["c"]))
        assert "mine" not in rules.everyone
        assert rules.groups["g"]["mine"].enabled

    def test_a_group_can_make_rules_stricter(self) -> None:
        changes: list[dict[str, Any]] = [
            {"rule_id": "base", "action_tier": "block"},
            {"rule_id": "card", "enabled": True, "confidence_threshold": 0.1},
            {"rule_id": "deleted", "enabled": True},
        ]
        rules = in_force(UserGroup("g", "G", dlp_rules=changes))
        assert rules.groups["g"]["base"].action_tier == "block"
        assert rules.groups["g"]["card"].confidence_threshold == 0.1
        assert set(rules.groups["g"]) == {"base", "card"}
        assert rules.everyone["base"].action_tier == "redact"

    def test_a_group_can_raise_the_tier_of_a_frameworks_rule(self) -> None:
        changes = [{"rule_id": "phone", "action_tier": "prompt"}]
        rules = in_force(UserGroup("g", "G", dlp_rules=changes), policy=OrgPolicy())
        assert rules.everyone["phone"].action_tier == "log_only"
        assert rules.groups["g"]["phone"].action_tier == "prompt"

    def test_a_group_without_stricter_rules_is_omitted(self) -> None:
        weaker = [{"rule_id": "base", "action_tier": "log_only", "confidence_threshold": 1.0}]
        assert in_force(UserGroup("g", "G", dlp_rules=weaker)).groups == {}

    def test_a_tenant_can_change_and_remove_a_group_of_the_platform(self) -> None:
        assert list(all_groups(PLATFORM, own())) == ["finance"]
        mine = UserGroup("finance", "Money", members=["u"])
        assert all_groups(PLATFORM, own(mine))["finance"] is mine
        assert all_groups(PLATFORM, own(replace(mine, removed=True))) == {}


RULES = st.builds(
    DlpRule,
    id=st.just("r"),
    detector_name=st.just("r"),
    detector_type=st.just("regex"),
    entity_type=st.just("R"),
    action_tier=st.sampled_from(ACTION_TIERS),
    enabled=st.booleans(),
    confidence_threshold=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
CHANGES = st.fixed_dictionaries(
    {"rule_id": st.just("r")},
    optional={
        "enabled": st.just(True),
        "action_tier": st.sampled_from(ACTION_TIERS),
        "confidence_threshold": st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    },
)


def at_least_as_strict(one: DlpRule, other: DlpRule) -> bool:
    return (
        one.enabled >= other.enabled
        and ACTION_TIERS.index(one.action_tier) >= ACTION_TIERS.index(other.action_tier)
        and one.confidence_threshold <= other.confidence_threshold
    )


@given(RULES, CHANGES)
def test_a_group_never_makes_a_rule_weaker(built_in: DlpRule, change: dict[str, Any]) -> None:
    changed_rule = apply_group_rule(built_in, change)
    assert at_least_as_strict(changed_rule, built_in)
    assert apply_group_rule(changed_rule, change) == changed_rule


def test_all_rules_of_a_tenant_are_listed_whether_in_force_or_not() -> None:
    listed = tenant_rules(PLATFORM, own(rule("mine", enabled=False)))
    assert list(listed) == ["base", "card", "mail", "phone", "mine"]
