"""The kinds of entities that policies are stored as, and how stored bodies become policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain import (
    api_key,
    compliance_bundle,
    customer_policy,
    dlp_rule,
    limits,
    model_catalog,
    org_policy,
    policy_chain,
    policy_exception,
    policy_pack,
    static_policy,
    tenant_settings,
    user_group,
)
from pdp.domain.policy_set import PolicySet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pdp.domain.stored_entity import Change, StoredEntity

ENTITY_CLASSES: Final[Mapping[str, type]] = {
    static_policy.KIND: static_policy.StaticPolicy,
    static_policy.OVERRIDE_KIND: static_policy.StaticOverride,
    org_policy.KIND: org_policy.OrgPolicy,
    tenant_settings.KIND: tenant_settings.TenantSettings,
    customer_policy.KIND: customer_policy.CustomerPolicy,
    limits.KIND: limits.Limit,
    model_catalog.KIND: model_catalog.ModelConfig,
    policy_pack.KIND: policy_pack.PolicyPack,
    policy_pack.RULE_KIND: policy_pack.PolicyRule,
    policy_pack.TOGGLE_KIND: policy_pack.BundleToggle,
    policy_chain.KIND: policy_chain.PolicyChain,
    dlp_rule.KIND: dlp_rule.DlpRule,
    dlp_rule.CUSTOMISATION_KIND: dlp_rule.DlpCustomisation,
    compliance_bundle.KIND: compliance_bundle.ComplianceBundle,
    compliance_bundle.STATE_KIND: compliance_bundle.BundleState,
    user_group.KIND: user_group.UserGroup,
    policy_exception.KIND: policy_exception.PolicyException,
    api_key.KIND: api_key.ApiKey,
}
"""The class of each kind. Its arguments are the fields of the stored body."""


VERSIONED_KINDS: Final = frozenset(
    {
        static_policy.KIND,
        dlp_rule.KIND,
        dlp_rule.CUSTOMISATION_KIND,
        compliance_bundle.KIND,
        compliance_bundle.STATE_KIND,
        compliance_bundle.SNAPSHOT_KIND,
        customer_policy.KIND,
    }
)
"""The kinds with a version history. Their changes are kept without limit."""


def read_policies(entities: Iterable[StoredEntity]) -> PolicySet:
    """Returns the policies of stored entities. Kinds without a class are skipped."""
    return PolicySet.of(
        (each.kind, each.id, ENTITY_CLASSES[each.kind](**each.body))
        for each in entities
        if each.kind in ENTITY_CLASSES
    )


def apply_changes(policies: PolicySet, changes: Iterable[Change]) -> PolicySet:
    """Returns the policies as they are after `changes`. Kinds without a class are skipped."""
    return policies.with_changes(
        (each.kind, each.entity_id, _policy_after(each))
        for each in changes
        if each.kind in ENTITY_CLASSES
    )


def _policy_after(change: Change) -> object | None:
    return None if change.after is None else ENTITY_CLASSES[change.kind](**change.after)
