"""Puts the catalog that ships with the product into the store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pdp import catalog
from pdp.domain.record import Record
from pdp.domain.static_policy import KIND, StaticPolicy, body_of
from pdp.domain.tenant import PLATFORM

if TYPE_CHECKING:
    from pdp.store.port import Reader, Store, Transaction

_MARK_KIND: Final = "catalog"
_MARK_ID: Final = "static_policies"


def install_catalog(store: Store) -> bool:
    """Brings the platform's policies to those of this release, in one transaction.

    Does nothing where the store has them already, whoever wrote them. Returns whether anything
    was written.

    Raises:
        StoreUnavailable: the store cannot be read or written.
    """
    digest = catalog.digest()
    with store.read() as reader:
        if _installed(reader) == digest:
            return False
    with store.write() as transaction:
        if _installed(transaction) == digest:
            return False
        _install(transaction)
        mark = Record(_MARK_KIND, PLATFORM, _MARK_ID, {"digest": digest})
        transaction.put(mark, actor=catalog.ACTOR, summary="Installed the catalog")
    return True


def _installed(reader: Reader) -> Any:
    mark = reader.get(_MARK_KIND, PLATFORM, _MARK_ID)
    return mark.body["digest"] if mark else None


def _install(transaction: Transaction) -> None:
    present = {
        record.id: StaticPolicy(**record.body) for record in transaction.list(KIND, PLATFORM)
    }
    wanted = {each.policy.id: each.policy for each in catalog.static_policies()}
    for policy_id in present.keys() - wanted.keys():
        transaction.delete(
            KIND, PLATFORM, policy_id, actor=catalog.ACTOR, summary="No longer in the catalog"
        )
    for policy in wanted.values():
        old = present.get(policy.id)
        if old is None:
            new = replace(policy, created_at=transaction.now, updated_at=transaction.now)
            _put(transaction, new, "Installed")
            continue
        kept = replace(
            policy, version=old.version, created_at=old.created_at, updated_at=old.updated_at
        )
        if kept != old:
            new = replace(kept, version=old.version + 1, updated_at=transaction.now)
            _put(transaction, new, "Changed by a release")


def _put(transaction: Transaction, policy: StaticPolicy, summary: str) -> None:
    record = Record(KIND, PLATFORM, policy.id, body_of(policy), name=policy.name)
    transaction.put(record, actor=catalog.ACTOR, summary=summary)
