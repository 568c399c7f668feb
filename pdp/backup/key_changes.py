"""Keeps the changes of API keys that were made after a backup, when the backup is restored.

A restore brings back the policies of the backup, but must not bring back its API keys: a key that
was revoked since may be stolen, and a key that was rotated since has a new secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pdp.domain.api_key import KIND
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pdp.store.port import Store, Transaction

_REVOKED: Final = "Revoked after the backup that was restored"
_ROTATED: Final = "Rotated after the backup that was restored"


@dataclass(frozen=True, slots=True)
class PreservedKeys:
    """The ids of the API keys that changed after a backup.

    Attributes:
        revoked: keys of the backup that stay revoked.
        rotated: keys of the backup that keep their new secrets.
        gone: keys that were created after the backup, so the restored database lacks them.
    """

    revoked: list[str] = field(default_factory=list)
    rotated: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


def preserve_keys(store: Store, keys: Mapping[str, Any], actor: str) -> PreservedKeys:
    """Applies the changes of API keys that were made after a backup to the restored database.

    Args:
        store: the restored database, before it replaces the current one.
        keys: the current bodies of the keys that changed after the backup, by id; None for a
            revoked key.
        actor: who restores the backup, for the change log.

    Raises:
        StoreUnavailable: the restored database cannot be written.
    """
    preserved = PreservedKeys()
    with store.write() as transaction:
        for key_id, body in keys.items():
            _preserve(transaction, key_id, body, actor, preserved)
    return preserved


def _preserve(
    transaction: Transaction, key_id: str, body: Any, actor: str, preserved: PreservedKeys
) -> None:
    in_backup = transaction.get(KIND, PLATFORM, key_id) is not None
    if in_backup and body is None:
        transaction.delete(KIND, PLATFORM, key_id, actor=actor, summary=_REVOKED)
        preserved.revoked.append(key_id)
    elif in_backup:
        entity = StoredEntity(KIND, PLATFORM, key_id, body)
        transaction.put(entity, actor=actor, summary=_ROTATED)
        preserved.rotated.append(key_id)
    elif body is not None:
        preserved.gone.append(key_id)
