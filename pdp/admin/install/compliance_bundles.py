"""Brings compliance bundles, their rules and the groups to begin with to a release."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pdp import catalog
from pdp.catalog.compliance import compliance_bundles, user_groups
from pdp.domain import compliance_bundle, dlp_rule, user_group
from pdp.domain.compliance_bundle import ComplianceBundle
from pdp.domain.dlp_rule import DlpRule
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.domain.user_group import UserGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pdp.store.port import Transaction

Entity = TypeVar("Entity", ComplianceBundle, DlpRule, UserGroup)


def install_bundles(transaction: Transaction) -> None:
    """Brings the store's seeded bundles and their rules to those of this release.

    Which definition a tenant has, and whether its bundle is active, is the tenant's own, and stays.
    """
    seeded = compliance_bundles()
    rules = [rule for each in seeded for rule in each.rules]
    present = {
        record.id: DlpRule(**record.body)
        for record in transaction.list(dlp_rule.KIND, PLATFORM)
        if record.body["bundle_id"]
    }
    _bring(transaction, dlp_rule.KIND, present, rules, dlp_rule.body_of)
    bundles = {
        record.id: ComplianceBundle(**record.body)
        for record in transaction.list(compliance_bundle.KIND, PLATFORM)
    }
    wanted = [each.bundle for each in seeded]
    _bring(transaction, compliance_bundle.KIND, bundles, wanted, compliance_bundle.body_of)


def install_groups(transaction: Transaction) -> None:
    """Brings the store's groups to begin with to those of this release.

    A tenant that has changed one has it as its own, and keeps that.
    """
    present = {
        record.id: UserGroup(**record.body)
        for record in transaction.list(user_group.KIND, PLATFORM)
    }
    _bring(transaction, user_group.KIND, present, user_groups(), user_group.body_of)


def _bring(
    transaction: Transaction,
    kind: str,
    present: Mapping[str, Entity],
    wanted: Iterable[Entity],
    body_of: Callable[[Entity], dict[str, Any]],
) -> None:
    now = transaction.now
    gone = dict(present)
    for each in wanted:
        old = gone.pop(each.id, None)
        if old is None:
            new, summary = replace(each, created_at=now, updated_at=now), "Installed"
        else:
            new = replace(each, created_at=old.created_at, updated_at=old.updated_at)
            if _stored(body_of(new)) == _stored(body_of(old)):
                continue
            new, summary = replace(new, updated_at=now), "Changed by a release"
        record = StoredEntity(kind, PLATFORM, new.id, body_of(new))
        transaction.put(record, actor=catalog.ACTOR, summary=summary)
    for entity_id in gone:
        summary = "No longer in the catalog"
        transaction.delete(kind, PLATFORM, entity_id, actor=catalog.ACTOR, summary=summary)


def _stored(body: Mapping[str, Any]) -> str:
    """As the store has it: a tuple and a list are one there."""
    return json.dumps(body, sort_keys=True)
