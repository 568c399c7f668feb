"""The kinds of records that policies are kept as, and how their bodies are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.domain import (
    api_key,
    compliance_bundle,
    customer_policy,
    dlp_rule,
    limits,
    model_catalog,
    org_policy,
    policy_chain,
    policy_pack,
    static_policy,
    tenant_settings,
    user_group,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pdp.domain.stored_entity import Change, StoredEntity

ENTITIES: Final[Mapping[str, type]] = {
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
    api_key.KIND: api_key.ApiKey,
}

_NONE: Final[Mapping[str, Any]] = {}


class PolicySet:
    """The policies of one owner, by kind and id, in order of creation. Immutable."""

    __slots__ = ("_kinds",)

    def __init__(self, kinds: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._kinds = kinds or {}

    @classmethod
    def of(cls, records: Iterable[StoredEntity]) -> PolicySet:
        """Reads records; those of kinds that the engine does not know are left out."""
        kinds: dict[str, dict[str, Any]] = {}
        for record in records:
            if record.kind in ENTITIES:
                entity = ENTITIES[record.kind](**record.body)
                kinds.setdefault(record.kind, {})[record.id] = entity
        return cls(kinds)

    def of_kind(self, kind: str) -> Mapping[str, Any]:
        """Returns the policies of a kind by id."""
        return self._kinds.get(kind, _NONE)

    def changed(self, changes: Iterable[Change]) -> PolicySet:
        """Returns the set as it is after `changes`; this one stays as it is."""
        kinds: dict[str, Mapping[str, Any]] = dict(self._kinds)
        copied: dict[str, dict[str, Any]] = {}
        for change in changes:
            if change.kind not in ENTITIES:
                continue
            if change.kind not in copied:
                kinds[change.kind] = copied[change.kind] = dict(self.of_kind(change.kind))
            if change.after is None:
                copied[change.kind].pop(change.entity_id, None)
            else:
                entity = ENTITIES[change.kind](**change.after)
                copied[change.kind][change.entity_id] = entity
        return PolicySet(kinds)

    def replaced(self, kind: str, entities: Mapping[str, Any]) -> PolicySet:
        """Returns the set with `entities` laid over those of `kind`, by id."""
        return PolicySet({**self._kinds, kind: {**self.of_kind(kind), **entities}})

    def __bool__(self) -> bool:
        """Whether there is any policy."""
        return any(self._kinds.values())
