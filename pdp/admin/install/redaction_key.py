"""The key of an installation for the hashes of redacted values.

It is created once and stays: another key would give every value another hash. It is stored with the
policies, so that all processes of an installation have the same one, and a backup holds it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from pdp import catalog
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM

if TYPE_CHECKING:
    from pdp.store.port import Reader, Store

KIND: Final = "redaction_key"
"""No kind of `ENTITY_CLASSES`: the key is no policy, and never part of an export."""

_ID: Final = "redaction_key"
_KEY_BYTES: Final = 32


def install_redaction_key(store: Store) -> None:
    """Creates the key, if the store has none yet.

    Raises:
        StoreUnavailable: the store cannot be read or written.
    """
    with store.read() as reader:
        if read_redaction_key(reader):
            return
    with store.write() as transaction:
        if read_redaction_key(transaction):
            return  # another process was faster
        # The change log never shows a field of this name.
        body = {"secret": secrets.token_hex(_KEY_BYTES)}
        entity = StoredEntity(KIND, PLATFORM, _ID, body)
        transaction.put(entity, actor=catalog.ACTOR, summary="Created the key for redactions")


def read_redaction_key(reader: Reader) -> bytes:
    """Returns the key; empty if the store has none.

    Raises:
        StoreUnavailable: the store cannot be read.
    """
    entity = reader.get(KIND, PLATFORM, _ID)
    return b"" if entity is None else bytes.fromhex(entity.body["secret"])
