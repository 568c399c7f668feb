"""The keys of an installation: for hashes of redacted values, for approvals, and for followers.

They are created once and stay: another key would give every value another hash. They are stored
with the policies, so that all processes of an installation have the same ones, and a backup holds
them. Only the restore of a backup replaces the key for approvals.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Final

from pdp import catalog
from pdp.domain.installation_keys import InstallationKeys
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM

if TYPE_CHECKING:
    from pdp.store.port import Reader, Store, Transaction

REDACTION_KIND: Final = "redaction_key"
APPROVAL_KIND: Final = "approval_key"
SIGNING_KIND: Final = "signing_key"
"""No kinds of `ENTITY_CLASSES`: the keys are no policies, and never part of an export."""

_SUMMARIES: Final = {
    REDACTION_KIND: "Created the key for redactions",
    APPROVAL_KIND: "Created the key for approvals",
    SIGNING_KIND: "Created the key that signs what followers get",
}
_RENEWED: Final = "Replaced the key for approvals"
_KEY_BYTES: Final = 32
_ID_LENGTH: Final = 32


def install_keys(store: Store) -> None:
    """Creates the keys that the store does not have yet.

    Raises:
        StoreUnavailable: the store cannot be read or written.
    """
    with store.view() as reader:
        if all(_read_key(reader, kind) for kind in _SUMMARIES):
            return
    with store.write() as transaction:
        for kind in _SUMMARIES:
            if not _read_key(transaction, kind):  # another process may have been faster
                _put_key(transaction, kind, catalog.ACTOR, _SUMMARIES[kind])


def renew_approval_key(transaction: Transaction, actor: str) -> None:
    """Replaces the key for approvals: no token that was given before is valid any more.

    Raises:
        StoreUnavailable: the store cannot be written.
    """
    _put_key(transaction, APPROVAL_KIND, actor, _RENEWED)


def read_keys(reader: Reader) -> InstallationKeys:
    """Returns the keys; one that the store does not have is empty.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    return InstallationKeys(_read_key(reader, REDACTION_KIND), _read_key(reader, APPROVAL_KIND))


def read_signing_key(reader: Reader) -> bytes:
    """Returns the private key that signs what followers get; empty if the store has none.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    return _read_key(reader, SIGNING_KIND)


def installation_of(keys: InstallationKeys) -> str:
    """Returns what identifies the database to followers: another one after a restore.

    After a restore, revisions count again from that of the backup, so a follower must start anew.
    """
    return hashlib.sha256(b"pdp installation\0" + keys.approval).hexdigest()[:_ID_LENGTH]


def _put_key(transaction: Transaction, kind: str, actor: str, summary: str) -> None:
    # The change log never shows a field of this name.
    body = {"secret": secrets.token_hex(_KEY_BYTES)}
    entity = StoredEntity(kind, PLATFORM, kind, body)
    transaction.put(entity, actor=actor, summary=summary)


def _read_key(reader: Reader, kind: str) -> bytes:
    entity = reader.get(kind, PLATFORM, kind)
    return b"" if entity is None else bytes.fromhex(entity.body["secret"])
