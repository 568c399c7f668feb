"""What a restore keeps of the database whose place the backup takes: what was done to API keys.

A backup brings back the policies of its time. The keys of its time it must not: one that was
revoked since may be in the wrong hands, and one that was rotated has been given out anew.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.api_key import KIND
from pdp.domain.stored_entity import StoredEntity
from pdp.domain.tenant import PLATFORM
from pdp.store.sqlite.backup import open_as_it_is
from pdp.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pdp.store.port import Transaction

_LAST: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'changes'"
# Of each key the last change: SQLite takes the other columns from the row of the maximum.
_CHANGED: Final = """
    SELECT entity_id, after, max(revision) FROM changes
    WHERE tenant_id = ? AND kind = ? AND revision > ? GROUP BY entity_id
"""
_REVOKED: Final = "Revoked after the backup that was restored"
_ROTATED: Final = "Rotated after the backup that was restored"


@dataclass(frozen=True, slots=True)
class Since:
    """What was done to a database after a backup of it.

    Attributes:
        revision: the last that it gave.
        keys: what became of the API keys that were changed: a body, or None for one revoked.
    """

    revision: int
    keys: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PreservedKeys:
    """What became of the keys in a backup, by their ids.

    Attributes:
        revoked: they are not in force, as before.
        rotated: their secrets are those that they were given since.
        gone: keys made since, which the backup has not.
    """

    revoked: list[str] = field(default_factory=list)
    rotated: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


def since(database: Path, revision: int) -> Since | None:
    """Returns what was done to a database after `revision`.

    Returns:
        None where there is none, or it cannot be read.
    """
    try:
        with closing(open_as_it_is(database)) as connection:
            (last,) = connection.execute(_LAST).fetchone() or (0,)
            rows = connection.execute(_CHANGED, (PLATFORM, KIND, revision)).fetchall()
        keys = {key_id: None if after is None else json.loads(after) for key_id, after, _ in rows}
    except (sqlite3.Error, ValueError):  # damaged, or none of ours: why it is being replaced
        return None
    return Since(last, keys)


def keep(restored: Path, done: Since, actor: str) -> PreservedKeys:
    """Does to the keys of a backup what was done to them since.

    Args:
        restored: the database that was in the backup, before it is in its place.
        done: to the database whose place it takes.
        actor: who restores it, for the change log.

    Raises:
        ConfigError: the database in the backup cannot be opened.
        StoreUnavailable: it cannot be written.
    """
    kept = PreservedKeys()
    with closing(SqliteStore.open(f"sqlite:///{restored}")) as store, store.write() as transaction:
        for key_id, body in done.keys.items():
            _keep(transaction, key_id, body, actor, kept)
    return kept


def _keep(
    transaction: Transaction, key_id: str, body: Any, actor: str, kept: PreservedKeys
) -> None:
    there = transaction.get(KIND, PLATFORM, key_id) is not None
    if there and body is None:
        transaction.delete(KIND, PLATFORM, key_id, actor=actor, summary=_REVOKED)
        kept.revoked.append(key_id)
    elif there:
        record = StoredEntity(KIND, PLATFORM, key_id, body)
        transaction.put(record, actor=actor, summary=_ROTATED)
        kept.rotated.append(key_id)
    elif body is not None:
        kept.gone.append(key_id)
