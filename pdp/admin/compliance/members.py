"""The rules of a compliance bundle, as changes of the bundle change them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pdp.domain import dlp_rule, user_group
from pdp.domain.compliance_bundle import MAX_RULES, ComplianceBundle
from pdp.domain.dlp_rule import CUSTOMISATION_KIND, DlpCustomisation, DlpRule
from pdp.domain.tenant import PLATFORM
from pdp.domain.user_group import UserGroup
from pdp.errors import InvalidArgument, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.stored_entity import StoredEntity
    from pdp.store.port import Reader, Transaction


def place_rules(
    transaction: Transaction,
    tenant_id: str,
    bundle: ComplianceBundle,
    rule_ids: Sequence[str],
    *,
    actor: str,
) -> list[str]:
    """Makes `rule_ids` the tenant's own rules of a bundle.

    Args:
        transaction: to write in.
        tenant_id: whose rules they are.
        bundle: a rule that its definition has may be named, and is in it anyway.
        rule_ids: a rule of another bundle leaves that.
        actor: who asks for it.

    Returns:
        What was changed, in words; empty where nothing was.

    Raises:
        InvalidArgument: some are no rules of the tenant, or there are too many.
    """
    own = {record.id: record for record in transaction.list(dlp_rule.KIND, tenant_id)}
    wanted = _wanted(transaction, bundle, rule_ids, own)
    present = {each for each, record in own.items() if record.body["bundle_id"] == bundle.id}
    added = [each for each in wanted if each not in present]
    gone = [each for each in own if each in present and each not in wanted]
    for rule_id in added:
        _put_rule(transaction, own[rule_id], actor, f"Added to {bundle.name}", bundle_id=bundle.id)
    for rule_id in gone:
        _put_rule(transaction, own[rule_id], actor, f"Taken out of {bundle.name}", bundle_id="")
    counts = (("added", len(added)), ("taken out", len(gone)))
    return [f"rules {what}: {number}" for what, number in counts if number]


def _wanted(
    reader: Reader,
    bundle: ComplianceBundle,
    rule_ids: Sequence[str],
    own: Mapping[str, StoredEntity],
) -> list[str]:
    """Returns those of `rule_ids` that the bundle's definition does not have, each once."""
    defined = frozenset(bundle.defined_rules)
    wanted = [each for each in dict.fromkeys(rule_ids) if each not in defined]
    if len(wanted) > MAX_RULES:
        reason = f"may be {MAX_RULES} rules at most"
        raise InvalidArgument.of(Violation("rule_ids", reason))
    faults = [
        Violation(f"rule_ids[{rule_ids.index(each)}]", _why_not(reader, each))
        for each in wanted
        if each not in own
    ]
    if faults:
        raise InvalidArgument.of(*faults)
    return wanted


def switch_rules(
    transaction: Transaction, tenant_id: str, bundle: ComplianceBundle, *, actor: str
) -> None:
    """Enables all rules of a bundle, or disables them, as `bundle.enabled` says.

    The rules of its definition follow the bundle; what the tenant has set otherwise of any of them
    is taken back.
    """
    enabled = bundle.enabled
    summary = f"{'Enabled' if enabled else 'Disabled'} with {bundle.name}"
    for record in transaction.list(dlp_rule.KIND, tenant_id):
        if record.body["bundle_id"] == bundle.id and record.body["enabled"] != enabled:
            _put_rule(transaction, record, actor, summary, enabled=enabled)
    defined = frozenset(bundle.defined_rules)
    for record in transaction.list(CUSTOMISATION_KIND, tenant_id):
        if record.id not in defined:
            continue
        old = DlpCustomisation(**record.body)
        tier = None if enabled and old.action_tier == "none" else old.action_tier
        new = replace(old, enabled=None, action_tier=tier)
        if new != old:
            body = dlp_rule.body_of(replace(new, updated_at=transaction.now))
            transaction.put(replace(record, body=body), actor=actor, summary=summary)


def release_bundle(
    transaction: Transaction, tenant_id: str, bundle: ComplianceBundle, *, actor: str
) -> None:
    """Takes all rules out of a bundle that is deleted, and the bundle away from groups."""
    summary = f"{bundle.name} was deleted"
    for record in transaction.list(dlp_rule.KIND, tenant_id):
        if record.body["bundle_id"] == bundle.id:
            _put_rule(transaction, record, actor, summary, bundle_id="")
    for record in transaction.list(user_group.KIND, tenant_id):
        group = UserGroup(**record.body)
        if bundle.id in group.bundle_ids:
            left = [each for each in group.bundle_ids if each != bundle.id]
            body = user_group.body_of(replace(group, bundle_ids=left, updated_at=transaction.now))
            transaction.put(replace(record, body=body), actor=actor, summary=summary)


def _put_rule(
    transaction: Transaction, record: StoredEntity, actor: str, summary: str, **changes: object
) -> None:
    rule = DlpRule(**{**record.body, **changes, "updated_at": transaction.now})
    body = dlp_rule.body_of(rule)
    transaction.put(replace(record, body=body), actor=actor, summary=summary)


def _why_not(reader: Reader, rule_id: str) -> str:
    if reader.get(dlp_rule.KIND, PLATFORM, rule_id) is not None:
        return "is a rule of the platform; only the tenant's own can be added to a bundle"
    return "names no rule of the tenant"
