"""Removes the oldest batches of the audit log, so that the rest can still be verified.

Only whole batches are removed. The same transaction appends a batch without records whose note
holds the number and the hash of the last removed batch. The oldest remaining batch must name this
hash as the previous one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.audit_log import Removal
from pdp.store.hash_chain import Batch, next_batch
from pdp.store.sqlite.audit_queries import read_head

if TYPE_CHECKING:
    import sqlite3

    from pdp.domain.audit_log import Retention

MAX_BATCHES: Final = 1000
"""The most batches to remove in one step. Appends wait during a step."""

MAX_RECORDS: Final = 2000
"""The most records to remove in one step, unless the oldest batch alone holds more."""

MAX_PAGES: Final = 2000
"""The most pages to return to the file system in one step."""

_TARGET_SHARE: Final = 0.95
"""A log that exceeds its size limit shrinks to this share of the limit."""

_OLDEST: Final = """
    SELECT sequence, first_record, records, at, note, previous, hash FROM batches
    WHERE sequence < (SELECT max(sequence) FROM batches) ORDER BY sequence LIMIT ?
"""
_APPEND: Final = """
    INSERT INTO batches (sequence, first_record, records, at, note, previous, hash)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""


def retain(
    connection: sqlite3.Connection, retention: Retention, now: float, used: int, key: bytes
) -> Removal:
    """Removes the oldest expired batches. The newest batch always stays.

    Args:
        connection: is in a transaction that may write.
        retention: the limits of age and size.
        now: in seconds since the epoch.
        used: the size of the log in bytes.
        key: the key of the chain.
    """
    oldest = [Batch(*row) for row in connection.execute(_OLDEST, (MAX_BATCHES,))]
    too_old = _too_old(oldest, retention.max_age_s, now)
    excess = max(too_old, _too_large(connection, len(oldest), retention.max_bytes, used))
    if not excess or not oldest:
        return Removal()
    expired = _first_step(oldest[:excess])
    last = expired[-1]
    removed = last.next_record - expired[0].first_record
    connection.execute("DELETE FROM records WHERE sequence < ?", (last.next_record,))
    connection.execute("DELETE FROM batches WHERE sequence <= ?", (last.sequence,))
    note = {"removed_through": last.sequence, "hash": last.hash.hex(), "records": removed}
    batch = next_batch(read_head(connection), (), int(now * 1e6), note=json.dumps(note), key=key)
    connection.execute(_APPEND, batch)
    early = sum(batch.records for batch in expired[too_old:])
    return Removal(removed or 1, early)


def parse_removal(note: str) -> tuple[int, str]:
    """Returns the number and the hash of the last removed batch by a note; (0, "") if it is empty.

    Raises:
        ValueError: `retain` did not write this note.
    """
    if not note:
        return 0, ""
    try:
        fields: Any = json.loads(note)
        return int(fields["removed_through"]), str(fields["hash"])
    except (KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError("not a note of a removal") from error


def _too_old(oldest: list[Batch], max_age_s: float | None, now: float) -> int:
    """Returns how many of the oldest batches are too old, up to the first that is not."""
    if max_age_s is None:
        return 0
    cutoff = (now - max_age_s) * 1e6
    return next((n for n, batch in enumerate(oldest) if batch.at >= cutoff), len(oldest))


def _too_large(
    connection: sqlite3.Connection, oldest: int, max_bytes: int | None, used: int
) -> int:
    """Returns how many of the oldest batches to remove to get below the size limit.

    This is an estimate: it assumes that all batches have the same size.
    """
    if max_bytes is None or used <= max_bytes:
        return 0
    [(batches,)] = connection.execute("SELECT count(*) FROM batches").fetchall()
    excess = (used - _TARGET_SHARE * max_bytes) / used
    return min(oldest, max(1, round(int(batches) * excess)))


def _first_step(batches: list[Batch]) -> list[Batch]:
    end = batches[0].first_record + MAX_RECORDS
    return [each for each in batches if each.next_record <= end] or batches[:1]
