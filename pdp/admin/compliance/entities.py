"""Reads and writes compliance bundles in the store, for the use cases of this folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.admin.policy_sets import BUNDLE_KINDS, DLP_RULE_KINDS, read_policy_sets
from pdp.domain import dlp_rule
from pdp.domain.compliance_bundle import (
    KIND,
    SNAPSHOT_KIND,
    STATE_KIND,
    BundleState,
    ComplianceBundle,
    all_bundles,
    body_of,
)
from pdp.domain.effective_dlp_rules import rules_of_bundle
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.errors import BundleNotFound, NameExists, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pdp.domain.dlp_rule import DlpRule
    from pdp.store.port import Reader, Transaction

METADATA: Final = ("name", "description", "regulatory_framework")


class StoredBundle(NamedTuple):
    """A bundle with its rules and revision.

    Attributes:
        bundle: the bundle; a seeded bundle with the tenant's settings applied.
        rules: the bundle's rules, with the tenant's settings applied.
        revision: the revision of the last change of the bundle.
    """

    bundle: ComplianceBundle
    rules: tuple[DlpRule, ...]
    revision: int


class BundleSummary(NamedTuple):
    """A bundle with the tenant's settings applied, and the number of its rules."""

    bundle: ComplianceBundle
    rule_count: int


def list_bundles(reader: Reader, tenant_id: str) -> list[BundleSummary]:
    """Returns the seeded bundles, then the tenant's own, each in order of creation."""
    platform, own = read_policy_sets(reader, tenant_id, (*BUNDLE_KINDS, *DLP_RULE_KINDS))
    counts: dict[str, int] = {}
    for rule in own.of_kind(dlp_rule.KIND).values():
        counts[rule.bundle_id] = counts.get(rule.bundle_id, 0) + 1
    rules = platform.of_kind(dlp_rule.KIND)
    return [
        BundleSummary(
            each, counts.get(each.id, 0) + sum(rule in rules for rule in each.defined_rules)
        )
        for each in all_bundles(platform, own).values()
    ]


def find_bundle(reader: Reader, tenant_id: str, bundle_id: str) -> StoredBundle:
    """Returns a bundle with its rules.

    Raises:
        BundleNotFound: the tenant has no such bundle.
    """
    platform, own = read_policy_sets(reader, tenant_id, (*BUNDLE_KINDS, *DLP_RULE_KINDS))
    bundle = all_bundles(platform, own).get(bundle_id)
    if bundle is None:
        raise BundleNotFound(f"there is no compliance bundle {bundle_id}")
    entities = (
        reader.get(kind, owner, bundle_id)
        for kind in (*BUNDLE_KINDS, SNAPSHOT_KIND)
        for owner in (PLATFORM, tenant_id)
    )
    revision = max(entity.revision for entity in entities if entity is not None)
    return StoredBundle(bundle, rules_of_bundle(bundle, platform, own), revision)


def check_name(reader: Reader, tenant_id: str, name: str) -> None:
    """Checks that no bundle has this name.

    Raises:
        NameExists: a bundle has this name.
    """
    platform, own = read_policy_sets(reader, tenant_id, BUNDLE_KINDS)
    for each in all_bundles(platform, own).values():
        if each.name == name:
            raise NameExists(
                f'there is a compliance bundle "{name}" already',
                Violation("name", f"is the name of {each.id}"),
            )


def put_bundle(
    transaction: Transaction, tenant_id: str, bundle: ComplianceBundle, *, actor: str, summary: str
) -> None:
    """Writes a bundle. Of a seeded bundle, only the tenant's differences are written."""
    seeded = transaction.get(KIND, PLATFORM, bundle.id)
    if seeded is None:
        body = body_of(replace(bundle, updated_at=transaction.now))
        entity = StoredEntity(KIND, tenant_id, bundle.id, body)
    else:
        state = _state(bundle, ComplianceBundle(**seeded.body), transaction.now)
        entity = StoredEntity(STATE_KIND, tenant_id, bundle.id, body_of(state))
    transaction.put(entity, actor=actor, summary=summary)


def put_snapshot(
    transaction: Transaction,
    tenant_id: str,
    bundle_id: str,
    change_type: str,
    *,
    actor: str,
    summary: str,
) -> StoredBundle:
    """Adds the present state of a bundle to its version history; returns the bundle.

    Args:
        transaction: the transaction that has changed the bundle.
        tenant_id: the tenant.
        bundle_id: the bundle.
        change_type: the kind of change that the version follows.
        actor: who made the change.
        summary: what was changed, as a sentence.
    """
    stored_bundle = find_bundle(transaction, tenant_id, bundle_id)
    bundle = stored_bundle.bundle
    body = snapshot_body(bundle, stored_bundle.rules, change_type, summary)
    stored = transaction.put(
        StoredEntity(SNAPSHOT_KIND, tenant_id, bundle_id, body),
        actor=actor,
        summary=f'Added a version of compliance bundle "{bundle.name}"',
    )
    return stored_bundle._replace(revision=stored.revision)


def snapshot_body(
    bundle: ComplianceBundle, rules: Iterable[DlpRule], change_type: str, summary: str
) -> dict[str, Any]:
    """Returns the body of a version in the history of a bundle."""
    return {
        "change_type": change_type,
        "summary": summary,
        "bundle": body_of(replace(bundle, definitions=())),
        "rules": [dlp_rule.body_of(rule) for rule in rules],
    }


def _state(bundle: ComplianceBundle, seeded: ComplianceBundle, now: float) -> BundleState:
    return BundleState(
        bundle_id=bundle.id,
        enabled=bundle.enabled,
        version=bundle.version,
        updated_at=now,
        **{
            name: None if getattr(bundle, name) == getattr(seeded, name) else getattr(bundle, name)
            for name in METADATA
        },
    )
