"""Reads and writes DLP rules in the store, for the use cases of this folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.admin.placements import check_placement
from pdp.admin.policy_sets import BUNDLE_KINDS, DLP_RULE_KINDS, PolicySets, read_policy_sets
from pdp.domain.compliance_bundle import STATE_KIND, all_bundles
from pdp.domain.dlp_rule import (
    ACTION_TIERS,
    CUSTOMISABLE,
    CUSTOMISATION_KIND,
    KIND,
    NONE,
    DlpCustomisation,
    DlpRule,
    apply_customisation,
    body_of,
)
from pdp.domain.effective_dlp_rules import platform_rules
from pdp.domain.placement import MONITOR
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.errors import (
    InvalidArgument,
    NameExists,
    PlatformReadonly,
    RuleNotFound,
    RuleRequired,
    Violation,
)
from pdp.store.port import NameTaken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.store.port import Reader, Transaction

MAX_RULES: Final = 10_000
"""How many DLP rules of its own one tenant may have."""


class StoredDlpRule(NamedTuple):
    """A rule with its owner and revision.

    Attributes:
        rule: the rule; a platform rule with the tenant's customisation applied.
        owner: the tenant, or `PLATFORM` for a rule that ships with the product.
        revision: the revision of its last change. For a platform rule, changes of the tenant's
            customisation and of the tenant's state of its bundle count too.
    """

    rule: DlpRule
    owner: str
    revision: int

    @property
    def of_platform(self) -> bool:
        """Whether the rule ships with the product."""
        return self.owner == PLATFORM


def read_rule_policies(reader: Reader, tenant_id: str) -> PolicySets:
    """Returns the policies that determine a tenant's rules."""
    return read_policy_sets(reader, tenant_id, (*DLP_RULE_KINDS, *BUNDLE_KINDS))


def read_platform_rules(reader: Reader, tenant_id: str) -> dict[str, DlpRule]:
    """Returns the platform's rules with the tenant's customisations, by id."""
    kinds = (CUSTOMISATION_KIND, *BUNDLE_KINDS)
    return platform_rules(*read_policy_sets(reader, tenant_id, (KIND, *kinds), own=kinds))


def read_rules(reader: Reader, tenant_id: str) -> list[StoredDlpRule]:
    """Returns the platform's rules, then the tenant's own, each in order of creation.

    The revisions of the result are 0; use `find_rule` to get the revision of a rule.
    """
    shipped = read_platform_rules(reader, tenant_id).values()
    rules = [StoredDlpRule(rule, PLATFORM, 0) for rule in shipped]
    return rules + [own_rule(entity) for entity in reader.list(KIND, tenant_id)]


def own_rule(entity: StoredEntity) -> StoredDlpRule:
    """Returns a rule of a tenant, with the revision 0."""
    return StoredDlpRule(DlpRule(**entity.body), entity.tenant_id, 0)


def find_rule(reader: Reader, tenant_id: str, rule_id: str) -> StoredDlpRule:
    """Returns a rule of the platform or the tenant.

    Raises:
        RuleNotFound: the tenant has no such rule.
    """
    entity = reader.get(KIND, tenant_id, rule_id)
    if entity is not None:
        return StoredDlpRule(DlpRule(**entity.body), tenant_id, entity.revision)
    shipped = reader.get(KIND, PLATFORM, rule_id)
    if shipped is not None:
        rule = read_platform_rules(reader, tenant_id).get(rule_id)
        if rule is not None:
            customisation = reader.get(CUSTOMISATION_KIND, tenant_id, rule_id)
            state = reader.get(STATE_KIND, tenant_id, rule.bundle_id) if rule.bundle_id else None
            entities = (shipped, customisation, state)
            revision = max(each.revision for each in entities if each is not None)
            return StoredDlpRule(rule, PLATFORM, revision)
    raise RuleNotFound(f"there is no DLP rule {rule_id}")


def put_rule(
    transaction: Transaction, tenant_id: str, rule: DlpRule, *, actor: str, summary: str
) -> StoredDlpRule:
    """Writes a rule of the tenant.

    Raises:
        NameExists: another rule of the tenant has the name.
    """
    entity = StoredEntity(KIND, tenant_id, rule.id, body_of(rule), name=rule.detector_name)
    try:
        stored = transaction.put(entity, actor=actor, summary=summary)
    except NameTaken as error:
        raise NameExists(
            f'there is a DLP rule "{rule.detector_name}" already',
            Violation("detector_name", f"is the name of {error.holder_id}"),
        ) from None
    return StoredDlpRule(rule, tenant_id, stored.revision)


def customise_rule(
    transaction: Transaction,
    tenant_id: str,
    actor: str,
    stored_rule: StoredDlpRule,
    changes: Mapping[str, Any],
) -> StoredDlpRule:
    """Writes a tenant's customisation of a platform rule; returns the customised rule.

    Raises:
        InvalidArgument: the placement of the rule would be invalid.
        PlatformReadonly: `changes` would change another field than the `CUSTOMISABLE` ones.
        RuleRequired: `changes` would switch the rule off, and an enabled bundle requires it.
    """
    rule = stored_rule.rule
    _check_customisable(rule, changes)
    _check_not_required(transaction, tenant_id, rule, changes)
    entity = transaction.get(CUSTOMISATION_KIND, tenant_id, rule.id)
    current = DlpCustomisation(**entity.body) if entity else DlpCustomisation(rule.id)
    settings = {name: changes[name] for name in CUSTOMISABLE if name in changes}
    customisation = replace(current, **settings, updated_at=transaction.now)
    check_placement(apply_customisation(rule, customisation), ACTION_TIERS)
    summary = f"Set {', '.join(settings)}" if settings else "No change"
    entity = StoredEntity(CUSTOMISATION_KIND, tenant_id, rule.id, body_of(customisation))
    transaction.put(entity, actor=actor, summary=summary)
    return find_rule(transaction, tenant_id, rule.id)


def check_rule_count(reader: Reader, tenant_id: str, new_rules: int) -> None:
    """Checks that a tenant may have `new_rules` more rules.

    Raises:
        InvalidArgument: the tenant would have too many rules.
    """
    if reader.count(KIND, tenant_id) + new_rules > MAX_RULES:
        reason = f"a tenant may have at most {MAX_RULES} DLP rules"
        raise InvalidArgument(reason, Violation("detector_name", reason))


def _check_customisable(rule: DlpRule, changes: Mapping[str, Any]) -> None:
    violations = [
        Violation(name, "is read-only in a platform rule")
        for name, value in changes.items()
        if name not in CUSTOMISABLE and value != getattr(rule, name)
    ]
    if violations:
        fields = ", ".join(CUSTOMISABLE)
        raise PlatformReadonly(
            f'"{rule.detector_name}" ships with the product; only {fields} can be set', *violations
        )


def _check_not_required(
    reader: Reader, tenant_id: str, rule: DlpRule, changes: Mapping[str, Any]
) -> None:
    off_switches = [
        name
        for name, value in (("enabled", False), ("action_tier", NONE), ("mode", MONITOR))
        if changes.get(name) == value and name in changes
    ]
    if NONE in changes.get("scope_actions", {}).values():
        off_switches.append("scope_actions")
    if not (off_switches and rule.bundle_id):
        return
    bundle = all_bundles(*read_policy_sets(reader, tenant_id, BUNDLE_KINDS)).get(rule.bundle_id)
    if bundle is not None and bundle.enabled:
        raise RuleRequired(
            f'bundle "{bundle.name}" requires rule "{rule.detector_name}"; '
            "deactivate the bundle first",
            *(Violation(name, "is required by an enabled bundle") for name in off_switches),
        )
