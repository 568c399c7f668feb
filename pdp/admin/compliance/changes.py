"""What changes a compliance bundle, within the transaction of its use case."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.admin.compliance.entities import KeptBundle, check_name, put_bundle, put_snapshot
from pdp.admin.compliance.members import place_rules, switch_rules
from pdp.admin.versioned import Versioned
from pdp.errors import NoUpgrade, Violation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pdp.domain.compliance_bundle import ComplianceBundle
    from pdp.store.port import Transaction

METADATA: Final = ("name", "description", "regulatory_framework")


class Upgrade(NamedTuple):
    """What an upgrade has changed; counts of the rules that the two definitions have."""

    previous_version: str
    new_version: str
    rules_added: int
    rules_removed: int


def change_bundle(
    transaction: Transaction,
    tenant_id: str,
    actor: str,
    kept: KeptBundle,
    changes: Mapping[str, Any],
    *,
    rule_ids: Sequence[str] | None,
) -> KeptBundle:
    """Changes a bundle's fields and rules; writes nothing where they are so already.

    Raises:
        InvalidArgument: a rule is not the tenant's own.
        NameExists: another bundle has the name.
    """
    old = kept.bundle
    changed = {
        name: changes[name]
        for name in (*METADATA, "enabled")
        if name in changes and changes[name] != getattr(old, name)
    }
    if "name" in changed:
        check_name(transaction, tenant_id, changed["name"])
    new = replace(old, **changed)
    said = list(changed)
    if rule_ids is not None:
        said += place_rules(transaction, tenant_id, new, rule_ids, actor=actor)
    if not said:
        return kept
    summary = f'Updated compliance bundle "{new.name}": {", ".join(said)}'
    put_bundle(transaction, tenant_id, new, actor=actor, summary=summary)
    if "enabled" in changed:
        switch_rules(transaction, tenant_id, new, actor=actor)
    return put_snapshot(transaction, tenant_id, new.id, "update", actor=actor, summary=summary)


def switch_bundle(
    transaction: Transaction, tenant_id: str, actor: str, kept: KeptBundle, *, enabled: bool
) -> KeptBundle:
    """Enables a bundle and all its rules, or disables them; writes nothing where they are so."""
    if kept.bundle.enabled == enabled and all(rule.enabled == enabled for rule in kept.rules):
        return kept
    new = replace(kept.bundle, enabled=enabled)
    word = "Activated" if enabled else "Deactivated"
    summary = f'{word} compliance bundle "{new.name}"; rules: {len(kept.rules)}'
    put_bundle(transaction, tenant_id, new, actor=actor, summary=summary)
    switch_rules(transaction, tenant_id, new, actor=actor)
    why = "activate" if enabled else "deactivate"
    return put_snapshot(transaction, tenant_id, new.id, why, actor=actor, summary=summary)


def check_upgrade(bundle: ComplianceBundle) -> None:
    """Checks that there is a newer definition of a bundle.

    Raises:
        NoUpgrade: it is not seeded, has no definition, or has the latest.
    """
    if not bundle.is_seeded:
        why = "is the tenant's own, and has no definition to be upgraded to"
    elif not bundle.definitions:
        why = "has no definition in this release"
    elif not bundle.upgrade_available:
        why = f"is at its latest version, {bundle.version}"
    else:
        return
    raise NoUpgrade(f'"{bundle.name}" {why}', Violation("bundle_id", why))


def upgrade_bundle(
    transaction: Transaction, tenant_id: str, actor: str, bundle: ComplianceBundle
) -> Versioned[Upgrade]:
    """Brings a bundle to its latest definition, and keeps what it was before and after."""
    new = replace(bundle, version=bundle.latest_version)
    before, after = frozenset(bundle.defined_rules), frozenset(new.defined_rules)
    done = Upgrade(bundle.version, new.version, len(after - before), len(before - after))
    was = f'Compliance bundle "{bundle.name}" before the upgrade to {new.version}'
    put_snapshot(transaction, tenant_id, bundle.id, "before_upgrade", actor=actor, summary=was)
    summary = (
        f'Upgraded compliance bundle "{bundle.name}" from {bundle.version} to {new.version}; '
        f"rules added: {done.rules_added}, removed: {done.rules_removed}"
    )
    put_bundle(transaction, tenant_id, new, actor=actor, summary=summary)
    kept = put_snapshot(
        transaction, tenant_id, bundle.id, "after_upgrade", actor=actor, summary=summary
    )
    return Versioned(done, kept.revision)
