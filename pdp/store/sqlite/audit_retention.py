"""Removes records that exceed the retention, so that the rest can still be verified.

- Age: the oldest batches are removed as a whole.
- Size: each tenant that holds more than its share loses its oldest records. If all batches at the
  beginning have lost their records, they are removed.

Each step is one transaction. It also appends a batch without records whose note says what was
removed (`removal_notes`).
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from pdp.domain.audit_log import Removal
from pdp.store.fair_shares import excesses
from pdp.store.hash_chain import Batch
from pdp.store.sqlite import audit_holdings
from pdp.store.sqlite.audit_queries import BATCH_COLUMNS, batch_of
from pdp.store.sqlite.audit_removal import MAX_BYTES, RecordToRemove, RemovalStep

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from pdp.domain.audit_log import Retention

MAX_BATCHES: Final = 1000
"""The most batches to remove in one step. Appends wait during a step."""

MAX_RECORDS: Final = 2000
"""The most records to remove with their batches in one step, unless the oldest batch alone holds
more."""

MAX_PAGES: Final = 2000
"""The most pages to return to the file system in one step."""

COUNTING_SHARE: Final = 0.8
"""What the tenants hold is counted when the log has this share of its size limit."""

_OLDEST: Final = f"""
    SELECT {BATCH_COLUMNS} FROM batches
    WHERE sequence < (SELECT max(sequence) FROM batches) ORDER BY sequence LIMIT ?
"""  # noqa: S608 - no input
_OLDEST_RECORDS: Final = """
    SELECT sequence, CAST(body AS BLOB) FROM records WHERE tenant_id = ? ORDER BY sequence LIMIT ?
"""
_LAST_BELOW: Final = f"""
    SELECT {BATCH_COLUMNS} FROM (
        SELECT * FROM batches WHERE sequence < ? ORDER BY sequence LIMIT {MAX_BATCHES}
    ) ORDER BY sequence DESC LIMIT 1
"""  # noqa: S608 - no input


def retain(
    connection: sqlite3.Connection, retention: Retention, now: float, used: int, key: bytes
) -> Removal:
    """Removes a bounded number of expired records. The newest batch always stays.

    Args:
        connection: is in a transaction that may write.
        retention: the limits of age and size.
        now: in seconds since the epoch.
        used: the size of the log in bytes.
        key: the key of the chain.
    """
    max_bytes = retention.max_bytes
    counted = (
        max_bytes is None or used <= max_bytes * COUNTING_SHARE or audit_holdings.count(connection)
    )
    step = RemovalStep(connection, key)
    oldest = [Batch(*row) for row in connection.execute(_OLDEST, (MAX_BATCHES,))]
    too_old = _first_step(oldest[: _too_old(oldest, retention.max_age_s, now)])
    early = 0
    if too_old:
        step.remove_front(too_old[-1], "age")
    elif max_bytes is not None and used > max_bytes and counted:
        if not _remove_excess(connection, step, used, max_bytes) and oldest:
            # Nothing that the tenants hold can be removed, for instance in a log without tenants.
            step.remove_front(_first_step(oldest)[-1], "size")
        early = step.records
    else:
        return Removal(0 if counted else 1)
    if not step.has_removed:
        return Removal()
    step.append_note(int(now * 1e6))
    return Removal(step.records or 1, early)


def _remove_excess(
    connection: sqlite3.Connection, step: RemovalStep, used: int, max_bytes: int
) -> bool:
    """Removes the oldest records of the tenants above their share.

    Returns:
        Whether it removed any.
    """
    holdings = audit_holdings.read(connection)
    for tenant_id, excess in excesses(holdings, used, max_bytes).items():
        if not step.room:
            break
        rows = connection.execute(_OLDEST_RECORDS, (tenant_id, step.room))
        records = list(_up_to(min(excess, MAX_BYTES), rows))
        if records:
            step.remove_records(tenant_id, "size", records)
        else:
            audit_holdings.forget(connection, tenant_id)
    if not step.has_removed:
        return False
    _remove_empty_front(connection, step)
    step.remove_empty_batches()
    return True


def _up_to(size: int, rows: sqlite3.Cursor) -> Iterator[RecordToRemove]:
    """Yields records until they have this size together."""
    for sequence, body in rows:
        yield RecordToRemove(sequence, body)
        size -= len(body) + audit_holdings.RECORD_OVERHEAD
        if size <= 0:
            return


def _remove_empty_front(connection: sqlite3.Connection, step: RemovalStep) -> None:
    """Removes the batches before the oldest record."""
    [(oldest, newest_batch)] = connection.execute(
        "SELECT (SELECT min(sequence) FROM records), (SELECT max(sequence) FROM batches)"
    ).fetchall()
    first = batch_of(connection, oldest) if oldest is not None else None
    end = first.sequence if first else newest_batch
    row = connection.execute(_LAST_BELOW, (end,)).fetchone()
    if row:
        step.remove_front(Batch(*row), "size")


def _too_old(oldest: list[Batch], max_age_s: float | None, now: float) -> int:
    """Returns how many of the oldest batches are too old, up to the first that is not."""
    if max_age_s is None:
        return 0
    cutoff = (now - max_age_s) * 1e6
    return next((n for n, batch in enumerate(oldest) if batch.at >= cutoff), len(oldest))


def _first_step(batches: list[Batch]) -> list[Batch]:
    """Returns the first batches that one step may remove, at least one if there is one."""
    totals = accumulate(batch.records for batch in batches)
    within = [batch for batch, total in zip(batches, totals, strict=True) if total <= MAX_RECORDS]
    return within or batches[:1]
