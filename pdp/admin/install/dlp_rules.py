"""Brings the DLP rules of the platform to a release."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pdp import catalog
from pdp.catalog.dlp import dlp_rules
from pdp.domain.dlp_rule import KIND, DlpRule, body_of
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM

if TYPE_CHECKING:
    from pdp.store.port import Transaction


def install_dlp(transaction: Transaction) -> None:
    """Brings the store's rules for the detectors that ship to those of this release.

    What a tenant has customised of one is the tenant's own, and stays. Rules of compliance bundles
    come with those: see `install_bundles`.
    """
    present = {
        record.id: DlpRule(**record.body)
        for record in transaction.list(KIND, PLATFORM)
        if not record.body["bundle_id"]
    }
    now = transaction.now
    for rule in dlp_rules():
        old = present.pop(rule.id, None)
        if old is None:
            new, summary = replace(rule, created_at=now, updated_at=now), "Installed"
        else:
            new = replace(rule, created_at=old.created_at, updated_at=old.updated_at)
            if new == old:
                continue
            new, summary = replace(new, updated_at=now), "Changed by a release"
        record = StoredEntity(KIND, PLATFORM, new.id, body_of(new))
        transaction.put(record, actor=catalog.ACTOR, summary=summary)
    for rule_id in present:
        summary = "No longer in the catalog"
        transaction.delete(KIND, PLATFORM, rule_id, actor=catalog.ACTOR, summary=summary)
