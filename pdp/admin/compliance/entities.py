"""Compliance bundles as the store has them, for the use cases on bundles and groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain import dlp_rule, user_group
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
from pdp.domain.kinds import read_policies
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.errors import BundleNotFound, NameExists, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pdp.domain.dlp_rule import DlpRule
    from pdp.domain.policy_set import PolicySet
    from pdp.store.port import Reader, Transaction

BUNDLE_KINDS: Final = (KIND, STATE_KIND)
RULE_KINDS: Final = (dlp_rule.KIND, dlp_rule.CUSTOMISATION_KIND)
GROUP_KINDS: Final = (user_group.KIND,)


class Holdings(NamedTuple):
    """Policies of the platform and a tenant, of the kinds that a use case asks for."""

    platform: PolicySet
    own: PolicySet


class KeptBundle(NamedTuple):
    """A bundle as a tenant has it.

    Attributes:
        bundle: with what the tenant has set, where it is seeded.
        rules: as the tenant has them.
        revision: of the last change of the bundle.
    """

    bundle: ComplianceBundle
    rules: tuple[DlpRule, ...]
    revision: int


class ListedBundle(NamedTuple):
    """A bundle as a tenant has it, with the number of its rules."""

    bundle: ComplianceBundle
    rule_count: int


def holdings(reader: Reader, tenant_id: str, kinds: Iterable[str]) -> Holdings:
    """Returns the policies of some kinds."""
    wanted = tuple(kinds)
    platform, own = (
        read_policies(record for kind in wanted for record in reader.list(kind, owner))
        for owner in (PLATFORM, tenant_id)
    )
    return Holdings(platform, own)


def list_bundles(reader: Reader, tenant_id: str) -> list[ListedBundle]:
    """Returns all bundles: the seeded ones, then the tenant's, each in order of creation."""
    platform, own = holdings(reader, tenant_id, (*BUNDLE_KINDS, *RULE_KINDS))
    counts: dict[str, int] = {}
    for rule in own.of_kind(dlp_rule.KIND).values():
        counts[rule.bundle_id] = counts.get(rule.bundle_id, 0) + 1
    rules = platform.of_kind(dlp_rule.KIND)
    return [
        ListedBundle(
            each, counts.get(each.id, 0) + sum(rule in rules for rule in each.defined_rules)
        )
        for each in all_bundles(platform, own).values()
    ]


def find_bundle(reader: Reader, tenant_id: str, bundle_id: str) -> KeptBundle:
    """Returns a bundle with its rules.

    Raises:
        BundleNotFound: the tenant has none.
    """
    platform, own = holdings(reader, tenant_id, (*BUNDLE_KINDS, *RULE_KINDS))
    bundle = all_bundles(platform, own).get(bundle_id)
    if bundle is None:
        raise BundleNotFound(f"there is no compliance bundle {bundle_id}")
    records = (
        reader.get(kind, owner, bundle_id)
        for kind in (*BUNDLE_KINDS, SNAPSHOT_KIND)
        for owner in (PLATFORM, tenant_id)
    )
    revision = max(record.revision for record in records if record is not None)
    return KeptBundle(bundle, rules_of_bundle(bundle, platform, own), revision)


def check_name(reader: Reader, tenant_id: str, name: str) -> None:
    """Checks that no bundle has a name.

    Raises:
        NameExists: one has.
    """
    platform, own = holdings(reader, tenant_id, BUNDLE_KINDS)
    for each in all_bundles(platform, own).values():
        if each.name == name:
            raise NameExists(
                f'there is a compliance bundle "{name}" already',
                Violation("name", f"is the name of {each.id}"),
            )


def put_bundle(
    transaction: Transaction, tenant_id: str, bundle: ComplianceBundle, *, actor: str, summary: str
) -> None:
    """Writes a bundle, changed now; of a seeded one, what the tenant has otherwise."""
    shipped = transaction.get(KIND, PLATFORM, bundle.id)
    if shipped is None:
        own = replace(bundle, updated_at=transaction.now)
        record = StoredEntity(KIND, tenant_id, bundle.id, body_of(own))
    else:
        state = _state(bundle, ComplianceBundle(**shipped.body), transaction.now)
        record = StoredEntity(STATE_KIND, tenant_id, bundle.id, body_of(state))
    transaction.put(record, actor=actor, summary=summary)


def put_snapshot(
    transaction: Transaction,
    tenant_id: str,
    bundle_id: str,
    change_type: str,
    *,
    actor: str,
    summary: str,
) -> KeptBundle:
    """Keeps what a bundle is now in its version history; returns it.

    Args:
        transaction: in which it was changed.
        tenant_id: whose it is.
        bundle_id: the bundle.
        change_type: why it is kept.
        actor: who has changed it.
        summary: what was changed, in words.
    """
    kept = find_bundle(transaction, tenant_id, bundle_id)
    body = snapshot_body(kept.bundle, kept.rules, change_type, summary)
    record = StoredEntity(SNAPSHOT_KIND, tenant_id, bundle_id, body)
    kept_as = f'Kept a version of compliance bundle "{kept.bundle.name}"'
    revision = transaction.put(record, actor=actor, summary=kept_as).revision
    return kept._replace(revision=revision)


def snapshot_body(
    bundle: ComplianceBundle, rules: Iterable[DlpRule], change_type: str, summary: str
) -> dict[str, Any]:
    """Returns what a version history keeps of a bundle."""
    return {
        "change_type": change_type,
        "summary": summary,
        "bundle": body_of(replace(bundle, definitions=())),
        "rules": [dlp_rule.body_of(rule) for rule in rules],
    }


def _state(bundle: ComplianceBundle, shipped: ComplianceBundle, now: float) -> BundleState:
    names = ("name", "description", "regulatory_framework")
    return BundleState(
        bundle_id=bundle.id,
        enabled=bundle.enabled,
        version=bundle.version,
        updated_at=now,
        **{
            name: None if getattr(bundle, name) == getattr(shipped, name) else getattr(bundle, name)
            for name in names
        },
    )
