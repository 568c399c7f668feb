"""Property: further bundles, frameworks and groups never make a rule weaker."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from pdp.domain import compliance_bundle
from pdp.domain.compliance_bundle import BundleState, ComplianceBundle
from pdp.domain.dlp_rule import ACTION_TIERS, DlpCustomisation
from pdp.domain.effective_dlp_rules import effective_dlp_rules
from pdp.domain.org_policy import OrgPolicy
from pdp.domain.user_group import UserGroup
from tests.unit.test_bundle_rules import PLATFORM, PLATFORM_RULES, own, rule

if TYPE_CHECKING:
    from pdp.domain.dlp_rule import DlpRule
    from pdp.domain.policy_set import PolicySet

GROUPS = ("g1", "g2")
IDS = [each.id for each in PLATFORM_RULES]
THRESHOLDS = st.sampled_from([0.0, 0.5, 1.0])
TIERS = st.sampled_from(ACTION_TIERS)

CUSTOMISATIONS = st.lists(
    st.builds(
        DlpCustomisation,
        rule_id=st.sampled_from(IDS),
        enabled=st.none() | st.booleans(),
        action_tier=st.none() | TIERS,
        confidence_threshold=st.none() | THRESHOLDS,
    ),
    unique_by=lambda each: each.rule_id,
)
STATES = st.lists(
    st.builds(
        BundleState,
        bundle_id=st.sampled_from(["pci", "gdpr"]),
        enabled=st.booleans(),
        version=st.sampled_from(["", "1.0", "1.1", "9.9"]),
    ),
    unique_by=lambda each: each.bundle_id,
)
OWN_RULES = st.lists(
    st.builds(
        lambda name, tier, bundle, enabled: rule(name, tier, bundle_id=bundle, enabled=enabled),
        st.sampled_from(["own1", "own2"]),
        TIERS,
        st.sampled_from(["", "pci", "custom"]),
        st.booleans(),
    ),
    unique_by=lambda each: each.id,
)
CHANGES = st.fixed_dictionaries(
    {"rule_id": st.sampled_from([*IDS, "own1", "deleted"])},
    optional={
        "enabled": st.just(True),
        "action_tier": st.sampled_from(ACTION_TIERS[1:]),
        "confidence_threshold": THRESHOLDS,
    },
)
GROUP_LISTS = st.tuples(
    *(
        st.builds(
            UserGroup,
            id=st.just(name),
            name=st.just(name),
            bundle_ids=st.lists(st.sampled_from(["pci", "gdpr", "custom"]), unique=True),
            dlp_rules=st.lists(CHANGES, max_size=3, unique_by=lambda each: each["rule_id"]),
        )
        for name in GROUPS
    )
)
POLICIES = st.builds(OrgPolicy, gdpr=st.booleans(), ai_act=st.just(False))


@st.composite
def tenants(draw: st.DrawFn) -> tuple[list[Any], OrgPolicy]:
    """Returns entities of a tenant, and its org policy."""
    custom = ComplianceBundle("custom", "C", "C", enabled=draw(st.booleans()))
    entities: list[Any] = [custom]
    for strategy in (CUSTOMISATIONS, STATES, OWN_RULES, GROUP_LISTS):
        entities += draw(strategy)
    return entities, draw(POLICIES)


def strictness_of(policies: PolicySet, groups: tuple[str, ...]) -> dict[str, tuple[int, float]]:
    """Returns the rank of the tier and the threshold of each rule for members of `groups`."""
    rules = effective_dlp_rules(PLATFORM, policies)
    strictness: dict[str, tuple[int, float]] = {}

    def add(each: DlpRule) -> None:
        rank, threshold = strictness.get(each.id, (0, 1.0))
        tier = ACTION_TIERS.index(each.action_tier)
        strictness[each.id] = max(rank, tier), min(threshold, each.confidence_threshold)

    for each in rules.everyone.values():
        add(each)
    for group in groups:
        for each in rules.groups.get(group, {}).values():
            add(each)
    return strictness


def weaker(one: dict[str, tuple[int, float]], other: dict[str, tuple[int, float]]) -> list[str]:
    """Returns the names of the rules that are less strict in `one` than in `other`."""
    return [
        name
        for name, (rank, threshold) in other.items()
        if name not in one or one[name][0] < rank or one[name][1] > threshold
    ]


@given(tenants())
def test_a_group_never_makes_a_rule_weaker(tenant: tuple[list[Any], OrgPolicy]) -> None:
    policies = own(*tenant[0], policy=tenant[1])
    no_group, one, both = (strictness_of(policies, GROUPS[:number]) for number in range(3))
    assert weaker(one, no_group) == []
    assert weaker(both, one) == []


@given(tenants(), st.sampled_from([(), *((each,) for each in GROUPS), GROUPS]))
def test_an_active_bundle_never_makes_a_rule_weaker(
    tenant: tuple[list[Any], OrgPolicy], groups: tuple[str, ...]
) -> None:
    entities, policy = tenant
    before = own(*entities, policy=policy)
    states = before.of_kind(compliance_bundle.STATE_KIND)
    active = replace(states.get("pci", BundleState("pci")), enabled=True)
    # Activation enables all rules of the bundle, including the tenant's own.
    enabled = [
        replace(each, enabled=True) if getattr(each, "bundle_id", "") == "pci" else each
        for each in entities
    ]
    after = own(*enabled, active, policy=policy)
    assert weaker(strictness_of(after, groups), strictness_of(before, groups)) == []


@given(tenants(), st.sampled_from([(), GROUPS]))
def test_a_framework_never_makes_a_rule_weaker(
    tenant: tuple[list[Any], OrgPolicy], groups: tuple[str, ...]
) -> None:
    entities, policy = tenant
    before = own(*entities, policy=replace(policy, gdpr=False))
    after = own(*entities, policy=replace(policy, gdpr=True))
    assert weaker(strictness_of(after, groups), strictness_of(before, groups)) == []


@given(tenants())
def test_rules_in_force_are_enabled_and_of_the_tenants_definition(
    tenant: tuple[list[Any], OrgPolicy],
) -> None:
    """Rules that are disabled, have tier none, or are of another definition are not in force."""
    policies = own(*tenant[0], policy=tenant[1])
    effective = effective_dlp_rules(PLATFORM, policies)
    versions = compliance_bundle.all_bundles(PLATFORM, policies)
    other = {"mail", "key", "card"} - set(versions["pci"].defined_rules)
    for rules in (effective.everyone, *effective.groups.values()):
        assert all(each.enabled and each.action_tier != "none" for each in rules.values())
        assert not other & set(rules)
