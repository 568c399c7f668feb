"""Changes of a compliance bundle and its rules, within the transaction of a use case."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pdp.admin.compliance.entities import (
    METADATA,
    StoredBundle,
    check_name,
    put_bundle,
    put_snapshot,
)
from pdp.admin.preconditions import Versioned
from pdp.domain import dlp_rule, user_group
from pdp.domain.compliance_bundle import MAX_RULES, ComplianceBundle
from pdp.domain.dlp_rule import CUSTOMISATION_KIND, DlpCustomisation, DlpRule
from pdp.domain.tenant import PLATFORM
from pdp.domain.user_group import UserGroup
from pdp.errors import InvalidArgument, NoUpgrade, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.stored_entity import StoredEntity
    from pdp.store.port import Reader, Transaction


class BundleUpgrade(NamedTuple):
    """The result of an upgrade; counts the rules by which the two definitions differ."""

    previous_version: str
    new_version: str
    rules_added: int
    rules_removed: int


def change_bundle(
    transaction: Transaction,
    tenant_id: str,
    actor: str,
    current: StoredBundle,
    changes: Mapping[str, Any],
    *,
    rule_ids: Sequence[str] | None,
) -> StoredBundle:
    """Changes a bundle's fields and rules. Writes nothing if they have these values already.

    Raises:
        InvalidArgument: a rule is not the tenant's own.
        NameExists: another bundle has the name.
    """
    old = current.bundle
    changed = {
        name: changes[name]
        for name in (*METADATA, "enabled")
        if name in changes and changes[name] != getattr(old, name)
    }
    if "name" in changed:
        check_name(transaction, tenant_id, changed["name"])
    new = replace(old, **changed)
    parts = list(changed)
    if rule_ids is not None:
        parts += set_rules(transaction, tenant_id, new, rule_ids, actor=actor)
    if not parts:
        return current
    summary = f'Updated compliance bundle "{new.name}": {", ".join(parts)}'
    put_bundle(transaction, tenant_id, new, actor=actor, summary=summary)
    if "enabled" in changed:
        _switch_rules(transaction, tenant_id, new, actor=actor)
    return put_snapshot(transaction, tenant_id, new.id, "update", actor=actor, summary=summary)


def switch_bundle(
    transaction: Transaction, tenant_id: str, actor: str, current: StoredBundle, *, enabled: bool
) -> StoredBundle:
    """Enables or disables a bundle and all its rules. Writes nothing if they are so already."""
    if current.bundle.enabled == enabled and all(rule.enabled == enabled for rule in current.rules):
        return current
    new = replace(current.bundle, enabled=enabled)
    verb = "Activated" if enabled else "Deactivated"
    summary = f'{verb} compliance bundle "{new.name}"; rules: {len(current.rules)}'
    put_bundle(transaction, tenant_id, new, actor=actor, summary=summary)
    _switch_rules(transaction, tenant_id, new, actor=actor)
    change_type = "activate" if enabled else "deactivate"
    return put_snapshot(transaction, tenant_id, new.id, change_type, actor=actor, summary=summary)


def check_upgrade(bundle: ComplianceBundle) -> None:
    """Checks that a bundle has a newer definition.

    Raises:
        NoUpgrade: the bundle is not seeded, has no definition, or has the latest one.
    """
    if not bundle.is_seeded:
        reason = "is the tenant's own, and has no definition to be upgraded to"
    elif not bundle.definitions:
        reason = "has no definition in this release"
    elif not bundle.upgrade_available:
        reason = f"is at its latest version, {bundle.version}"
    else:
        return
    raise NoUpgrade(f'"{bundle.name}" {reason}', Violation("bundle_id", reason))


def upgrade_bundle(
    transaction: Transaction, tenant_id: str, actor: str, bundle: ComplianceBundle
) -> Versioned[BundleUpgrade]:
    """Upgrades a bundle to its latest definition; adds a version before and after."""
    new = replace(bundle, version=bundle.latest_version)
    before, after = frozenset(bundle.defined_rules), frozenset(new.defined_rules)
    upgrade = BundleUpgrade(bundle.version, new.version, len(after - before), len(before - after))
    put_snapshot(
        transaction,
        tenant_id,
        bundle.id,
        "before_upgrade",
        actor=actor,
        summary=f'Compliance bundle "{bundle.name}" before the upgrade to {new.version}',
    )
    summary = (
        f'Upgraded compliance bundle "{bundle.name}" from {bundle.version} to {new.version}; '
        f"rules added: {upgrade.rules_added}, removed: {upgrade.rules_removed}"
    )
    put_bundle(transaction, tenant_id, new, actor=actor, summary=summary)
    stored_bundle = put_snapshot(
        transaction, tenant_id, bundle.id, "after_upgrade", actor=actor, summary=summary
    )
    return Versioned(upgrade, stored_bundle.revision)


def set_rules(
    transaction: Transaction,
    tenant_id: str,
    bundle: ComplianceBundle,
    rule_ids: Sequence[str],
    *,
    actor: str,
) -> list[str]:
    """Makes `rule_ids` the tenant's own rules of a bundle.

    Args:
        transaction: the transaction of the use case.
        tenant_id: the tenant.
        bundle: the bundle. Rules of its definition may be named; they are in it in any case.
        rule_ids: the rules; a rule of another bundle is moved.
        actor: who makes the change.

    Returns:
        What was changed, as phrases; empty if nothing was.

    Raises:
        InvalidArgument: some ids are not rules of the tenant, or there are too many.
    """
    own = {entity.id: entity for entity in transaction.list(dlp_rule.KIND, tenant_id)}
    new_ids = _added_rules(transaction, bundle, rule_ids, own)
    present = {each for each, entity in own.items() if entity.body["bundle_id"] == bundle.id}
    added = [each for each in new_ids if each not in present]
    removed = [each for each in own if each in present and each not in new_ids]
    for rule_id in added:
        _put_rule(transaction, own[rule_id], actor, f"Added to {bundle.name}", bundle_id=bundle.id)
    for rule_id in removed:
        _put_rule(transaction, own[rule_id], actor, f"Removed from {bundle.name}", bundle_id="")
    counts = (("added", len(added)), ("removed", len(removed)))
    return [f"rules {verb}: {count}" for verb, count in counts if count]


def _added_rules(
    reader: Reader,
    bundle: ComplianceBundle,
    rule_ids: Sequence[str],
    own: Mapping[str, StoredEntity],
) -> list[str]:
    """Returns the distinct `rule_ids` that are not in the bundle's definition."""
    defined = frozenset(bundle.defined_rules)
    added = [each for each in dict.fromkeys(rule_ids) if each not in defined]
    if len(added) > MAX_RULES:
        reason = f"must have at most {MAX_RULES} items"
        raise InvalidArgument.of(Violation("rule_ids", reason))
    violations = [
        Violation(f"rule_ids[{rule_ids.index(each)}]", _rule_violation(reader, each))
        for each in added
        if each not in own
    ]
    if violations:
        raise InvalidArgument.of(*violations)
    return added


def _rule_violation(reader: Reader, rule_id: str) -> str:
    if reader.get(dlp_rule.KIND, PLATFORM, rule_id) is not None:
        return "is a rule of the platform; only the tenant's own can be added to a bundle"
    return "names no rule of the tenant"


def _switch_rules(
    transaction: Transaction, tenant_id: str, bundle: ComplianceBundle, *, actor: str
) -> None:
    """Enables or disables all rules of a bundle, as `bundle.enabled` says.

    The rules of its definition follow the bundle by themselves; only customisations of the tenant
    that contradict it are removed.
    """
    enabled = bundle.enabled
    summary = f"{'Enabled' if enabled else 'Disabled'} with {bundle.name}"
    for entity in transaction.list(dlp_rule.KIND, tenant_id):
        if entity.body["bundle_id"] == bundle.id and entity.body["enabled"] != enabled:
            _put_rule(transaction, entity, actor, summary, enabled=enabled)
    defined = frozenset(bundle.defined_rules)
    for entity in transaction.list(CUSTOMISATION_KIND, tenant_id):
        if entity.id not in defined:
            continue
        old = DlpCustomisation(**entity.body)
        tier = None if enabled and old.action_tier == "none" else old.action_tier
        new = replace(old, enabled=None, action_tier=tier)
        if new != old:
            body = dlp_rule.body_of(replace(new, updated_at=transaction.now))
            transaction.put(replace(entity, body=body), actor=actor, summary=summary)


def release_rules_and_groups(
    transaction: Transaction, tenant_id: str, bundle: ComplianceBundle, *, actor: str
) -> None:
    """Removes a deleted bundle from its rules and from the groups that it is assigned to."""
    summary = f"{bundle.name} was deleted"
    for entity in transaction.list(dlp_rule.KIND, tenant_id):
        if entity.body["bundle_id"] == bundle.id:
            _put_rule(transaction, entity, actor, summary, bundle_id="")
    for entity in transaction.list(user_group.KIND, tenant_id):
        group = UserGroup(**entity.body)
        if bundle.id in group.bundle_ids:
            remaining = [each for each in group.bundle_ids if each != bundle.id]
            group = replace(group, bundle_ids=remaining, updated_at=transaction.now)
            body = user_group.body_of(group)
            transaction.put(replace(entity, body=body), actor=actor, summary=summary)


def _put_rule(
    transaction: Transaction, entity: StoredEntity, actor: str, summary: str, **changes: object
) -> None:
    rule = DlpRule(**{**entity.body, **changes, "updated_at": transaction.now})
    body = dlp_rule.body_of(rule)
    transaction.put(replace(entity, body=body), actor=actor, summary=summary)
