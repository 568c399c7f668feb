"""Puts the catalog that ships with the product into the store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from pdp import catalog
from pdp.admin.install.compliance_bundles import install_bundles, install_groups
from pdp.admin.install.dlp_rules import install_dlp
from pdp.admin.install.model_catalog import install_models
from pdp.admin.install.policy_packs import install_packs
from pdp.domain.static_policy import KIND, StaticPolicy, body_of
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.store.port import Reader, Store, Transaction

_MARK_KIND: Final = "catalog"


class Part(NamedTuple):
    """One part of the catalog.

    Attributes:
        name: of its file or folder in `pdp/catalog`, and of the mark that says what is installed.
        install: brings the store to what the part says in this release.
    """

    name: str
    install: Callable[[Transaction], None]


def install_catalog(store: Store) -> bool:
    """Brings what the platform ships to this release, in one transaction.

    Does nothing where the store has it already, whoever wrote it. Returns whether anything was
    written.

    Raises:
        StoreUnavailable: the store cannot be read or written.
    """
    with store.read() as reader:
        if not _outdated(reader):
            return False
    with store.write() as transaction:
        outdated = _outdated(transaction)
        for part, digest in outdated.items():
            part.install(transaction)
            mark = StoredEntity(_MARK_KIND, PLATFORM, part.name, {"digest": digest})
            transaction.put(mark, actor=catalog.ACTOR, summary="Installed the catalog")
    return bool(outdated)


def _outdated(reader: Reader) -> dict[Part, str]:
    """Returns the parts that the store has not as this release has them, with their digests."""
    marks = {record.id: record.body["digest"] for record in reader.list(_MARK_KIND, PLATFORM)}
    digests = {part: catalog.digest(part.name) for part in PARTS}
    return {part: digest for part, digest in digests.items() if marks.get(part.name) != digest}


def _install_static_policies(transaction: Transaction) -> None:
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
    record = StoredEntity(KIND, PLATFORM, policy.id, body_of(policy), name=policy.name)
    transaction.put(record, actor=catalog.ACTOR, summary=summary)


PARTS: Final = (
    Part("static_policies", _install_static_policies),
    Part("models", install_models),
    Part("policy_packs", install_packs),
    Part("detectors", install_dlp),
    Part("compliance_bundles", install_bundles),
    Part("user_groups", install_groups),
)
"""All parts of the catalog, in the order in which they are installed."""
