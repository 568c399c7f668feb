"""The counts of decisions in the audit log: by the minute for a day, and by the hour after it.

Maintenance writes them in short steps. No append and no decision waits for one of its commits.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pdp.domain.decision_counts import CountedPeriod, DecisionCount

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from pdp.domain.decision_counts import CountKey

MINUTE_S: Final = 60
HOUR_S: Final = 3_600

MINUTES_KEPT_S: Final = 86_400
"""How long counts are kept by the minute."""

MAX_ROWS: Final = 1_000_000
"""The most rows of counts of all tenants. The oldest are removed; then the log says from when on
decisions are counted."""

STEP: Final = 500
"""The rows that one step of maintenance changes. Appends wait meanwhile, for some milliseconds."""

_ADD: Final = """
    INSERT INTO decision_counts (tenant_id, at, width, level, outcome, recorded, decisions)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET decisions = decisions + excluded.decisions
"""
_OLD_MINUTES: Final = """
    SELECT tenant_id, at, level, outcome, recorded, decisions FROM decision_counts
    WHERE width = 60 AND at < ? LIMIT ?
"""
_REMOVE_MINUTE: Final = """
    DELETE FROM decision_counts
    WHERE tenant_id = ? AND at = ? AND width = 60 AND level = ? AND outcome = ? AND recorded = ?
"""
_READ: Final = """
    SELECT level, outcome, sum(decisions), coalesce(sum(decisions) FILTER (WHERE recorded), 0),
           coalesce(sum(decisions) FILTER (WHERE recorded AND at + width <= ?), 0),
           min(at), max(at + width)
    FROM decision_counts
    WHERE tenant_id = ? AND at > ? - 3600 AND at + width > ? AND at < ?
    GROUP BY level, outcome ORDER BY level, outcome
"""
_OLDEST_RECORD: Final = "SELECT time FROM records WHERE tenant_id = ? ORDER BY sequence LIMIT 1"
_COUNTED_FROM: Final = "SELECT value FROM progress WHERE name = 'counted_from'"
_RAISE_COUNTED_FROM: Final = "UPDATE progress SET value = ? WHERE name = 'counted_from'"
_EXCESS: Final = "SELECT at FROM decision_counts ORDER BY at DESC LIMIT 1 OFFSET ?"
_OLDEST: Final = """
    DELETE FROM decision_counts WHERE (tenant_id, at, width, level, outcome, recorded) IN (
        SELECT tenant_id, at, width, level, outcome, recorded
        FROM decision_counts WHERE at <= ? LIMIT ?
    )
"""
_NO_END: Final = 1 << 53


def add(connection: sqlite3.Connection, counts: Mapping[CountKey, int], at: float) -> None:
    """Adds decisions to the counts of the minute of `at`; all of them, or none.

    Args:
        connection: has no transaction open.
        counts: how many decisions were made.
        at: when they were made, in seconds since the epoch.
    """
    minute = int(at) // MINUTE_S * MINUTE_S
    with _transaction(connection):
        connection.executemany(
            _ADD,
            (
                (tenant_id, minute, MINUTE_S, level, outcome, recorded, decisions)
                for (tenant_id, level, outcome, recorded), decisions in counts.items()
                if decisions
            ),
        )


def shorten_step(connection: sqlite3.Connection, now: float) -> bool:
    """Merges some counts of minutes into hours, or removes some if there are too many.

    Args:
        connection: has no transaction open.
        now: in seconds since the epoch.

    Returns:
        Whether there may be more to do.
    """
    end = (int(now) - MINUTES_KEPT_S) // HOUR_S * HOUR_S
    if connection.execute(_OLD_MINUTES, (end, 1)).fetchone():
        with _transaction(connection):
            for tenant_id, at, *key, decisions in connection.execute(
                _OLD_MINUTES, (end, STEP)
            ).fetchall():
                connection.execute(_REMOVE_MINUTE, (tenant_id, at, *key))
                hour = at // HOUR_S * HOUR_S
                connection.execute(_ADD, (tenant_id, hour, HOUR_S, *key, decisions))
        return True
    excess = connection.execute(_EXCESS, (MAX_ROWS,)).fetchone()
    if excess is None:
        return False
    with _transaction(connection):
        connection.execute(_OLDEST, (excess[0], STEP))
        connection.execute(_RAISE_COUNTED_FROM, (excess[0] + HOUR_S,))
    return True


def read(
    connection: sqlite3.Connection,
    tenant_id: str,
    since: float | None,
    until: float | None,
    outcomes: Sequence[str],
) -> CountedPeriod:
    """Returns the counts of a tenant; see `AuditLog.counts`."""
    start, end = since or 0, _NO_END if until is None else until
    oldest = connection.execute(_OLDEST_RECORD, (tenant_id,)).fetchone()
    held_from = oldest[0] if oldest else _NO_END
    rows = [
        row
        for row in connection.execute(_READ, (held_from, tenant_id, start, start, end))
        if not outcomes or row[1] in outcomes
    ]
    [(counted_from,)] = connection.execute(_COUNTED_FROM)
    return CountedPeriod(
        [DecisionCount(*row[:4]) for row in rows],
        None if since is None else min((row[5] for row in rows), default=since),
        None if until is None else max((row[6] for row in rows), default=until),
        removed=sum(row[4] for row in rows),
        uncounted_before=float(counted_from) if start < counted_from else None,
    )


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
