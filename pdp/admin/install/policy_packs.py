"""Brings the bundles of policies to a release."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from pdp import catalog
from pdp.domain.policy_pack import KIND, RULE_KIND, PolicyPack, PolicyRule, body_of
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pdp.store.port import Transaction

Entity = TypeVar("Entity", PolicyPack, PolicyRule)


def install_packs(transaction: Transaction) -> None:
    """Brings the store's bundles and their rules to those of this release.

    Whether a bundle is active for a tenant is the tenant's own, and stays.
    """
    wanted = catalog.policy_packs()
    packs = {each.pack.id: each.pack for each in wanted}
    rules = {rule.id: rule for each in wanted for rule in each.rules}
    _bring(transaction, RULE_KIND, PolicyRule, rules)
    _bring(transaction, KIND, PolicyPack, packs)


def _bring(
    transaction: Transaction, kind: str, entity: type[Entity], wanted: Mapping[str, Entity]
) -> None:
    present = {record.id: entity(**record.body) for record in transaction.list(kind, PLATFORM)}
    for entity_id in present.keys() - wanted.keys():
        summary = "No longer in the catalog"
        transaction.delete(kind, PLATFORM, entity_id, actor=catalog.ACTOR, summary=summary)
    now = transaction.now
    for each in wanted.values():
        old = present.get(each.id)
        if old is None:
            new, summary = replace(each, created_at=now, updated_at=now), "Installed"
        elif replace(each, created_at=old.created_at, updated_at=old.updated_at) != old:
            new = replace(each, created_at=old.created_at, updated_at=now)
            summary = "Changed by a release"
        else:
            continue
        record = StoredEntity(kind, PLATFORM, new.id, body_of(new))
        transaction.put(record, actor=catalog.ACTOR, summary=summary)
