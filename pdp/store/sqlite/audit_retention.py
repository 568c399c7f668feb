"""How a log of records is shortened at its beginning, so that what is left can still be verified.

What is removed is whole batches, the oldest. In the same transaction a batch without records goes
to the end of the chain, whose note says up to where, with the hash of the last one removed: that is
what the oldest batch that is left must name as the one before it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pdp.store.hash_chain import Batch, chained
from pdp.store.sqlite.audit_queries import read_head

if TYPE_CHECKING:
    import sqlite3

    from pdp.domain.audit_log import Retention

MAX_BATCHES: Final = 1000
"""Removed at once at most: appending waits meanwhile."""

MAX_RECORDS: Final = 2000
"""The same, unless the oldest batch alone holds more."""

MAX_PAGES: Final = 2000
"""Given back to the file system at once."""

_FULL: Final = 0.95
"""What a log that has grown too large is brought down to, as a share of its bound."""

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
) -> int:
    """Removes the oldest batches that are over, and returns how many records went with them.

    The newest batch always stays.

    Args:
        connection: in a transaction that may write.
        retention: what is kept.
        now: in seconds since the epoch.
        used: how many bytes the log takes.
        key: of the chain.
    """
    oldest = [Batch(*row) for row in connection.execute(_OLDEST, (MAX_BATCHES,))]
    over = max(
        _over_age(oldest, retention.max_age_s, now),
        _over_size(connection, len(oldest), retention.max_bytes, used),
    )
    if not over or not oldest:
        return 0
    gone = _bounded(oldest[:over])
    removed = gone[-1].next_record - gone[0].first_record
    connection.execute("DELETE FROM records WHERE sequence < ?", (gone[-1].next_record,))
    connection.execute("DELETE FROM batches WHERE sequence <= ?", (gone[-1].sequence,))
    note = {
        "removed_through": gone[-1].sequence,
        "hash": gone[-1].hash.hex(),
        "records": removed,
    }
    batch = chained(read_head(connection), (), int(now * 1e6), note=json.dumps(note), key=key)
    connection.execute(_APPEND, batch)
    return removed or 1  # notes that went count for something, so that the caller goes on


def removal(note: str) -> tuple[int, str]:
    """Returns what a note says: up to which batch was removed, and the hash of that; else (0, "").

    Raises:
        ValueError: it is no note that `retain` writes.
    """
    if not note:
        return 0, ""
    try:
        said: Any = json.loads(note)
        return int(said["removed_through"]), str(said["hash"])
    except (KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError("no note of a removal") from error


def _over_age(oldest: list[Batch], max_age_s: float | None, now: float) -> int:
    """How many of the oldest batches are too old, up to the first that is not."""
    if max_age_s is None:
        return 0
    cutoff = (now - max_age_s) * 1e6
    return next((n for n, batch in enumerate(oldest) if batch.at >= cutoff), len(oldest))


def _over_size(
    connection: sqlite3.Connection, oldest: int, max_bytes: int | None, used: int
) -> int:
    """How many of the oldest batches are to go so that the rest has room; they are of like size."""
    if max_bytes is None or used <= max_bytes:
        return 0
    [(batches,)] = connection.execute("SELECT count(*) FROM batches").fetchall()
    excess = (used - _FULL * max_bytes) / used
    return min(oldest, max(1, round(int(batches) * excess)))


def _bounded(batches: list[Batch]) -> list[Batch]:
    end = batches[0].first_record + MAX_RECORDS
    return [each for each in batches if each.next_record <= end] or batches[:1]
