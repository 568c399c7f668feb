"""The counts of decisions in the audit log: by the minute for a day, and by the hour after it.

Maintenance writes them in short steps. No append and no decision waits for one of its commits. The
functions run statements in a transaction of their caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain.decision_counts import BucketCount, CountedBuckets, CountedPeriod, DecisionCount

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.domain.decision_counts import CountKey
    from pdp.store.sql.dialect import Rows

    Execute = Callable[..., Rows]

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
    ON CONFLICT (tenant_id, at, width, level, outcome, recorded)
    DO UPDATE SET decisions = decision_counts.decisions + excluded.decisions
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
    SELECT level, outcome, CAST(sum(decisions) AS bigint),
           CAST(coalesce(sum(decisions) FILTER (WHERE recorded <> 0), 0) AS bigint),
           CAST(coalesce(sum(decisions) FILTER (WHERE recorded <> 0 AND at + width <= ?), 0)
                AS bigint),
           min(at), max(at + width)
    FROM decision_counts
    WHERE tenant_id = ? AND at > ? - 3600 AND at + width > ? AND at < ?
    GROUP BY level, outcome ORDER BY level, outcome
"""
_READ_BUCKETS: Final = """
    SELECT (at - ?) / ?, outcome, CAST(sum(decisions) AS bigint),
           CAST(coalesce(sum(decisions) FILTER (WHERE recorded <> 0), 0) AS bigint)
    FROM decision_counts WHERE tenant_id = ? AND at >= ? AND at < ?
    GROUP BY 1, 2 ORDER BY 1, 2
"""
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


def add(execute: Execute, counts: Mapping[CountKey, int], at: float) -> None:
    """Adds decisions to the counts of the minute of `at`.

    Args:
        execute: runs a statement in a transaction that may write.
        counts: how many decisions were made.
        at: when they were made, in seconds since the epoch.
    """
    minute = int(at) // MINUTE_S * MINUTE_S
    # In order, so that two processes never wait for each other's rows.
    for (tenant_id, level, outcome, recorded), decisions in sorted(counts.items()):
        if decisions:
            key = tenant_id, minute, MINUTE_S, level, outcome, int(recorded)
            execute(_ADD, *key, decisions)


def needs_shortening(execute: Execute, now: float) -> bool:
    """Returns whether `shorten` has something to do.

    Args:
        execute: runs a statement.
        now: in seconds since the epoch.
    """
    return bool(execute(_OLD_MINUTES, _hours_before(now), 1) or execute(_EXCESS, MAX_ROWS))


def shorten(execute: Execute, now: float) -> None:
    """Merges some counts of minutes into hours, or removes some if there are too many.

    Args:
        execute: runs a statement in a transaction that may write.
        now: in seconds since the epoch.
    """
    minutes = execute(_OLD_MINUTES, _hours_before(now), STEP)
    for tenant_id, at, *key, decisions in minutes:
        execute(_REMOVE_MINUTE, tenant_id, at, *key)
        execute(_ADD, tenant_id, at // HOUR_S * HOUR_S, HOUR_S, *key, decisions)
    excess = [] if minutes else execute(_EXCESS, MAX_ROWS)
    for (at,) in excess:
        execute(_OLDEST, at, STEP)
        execute(_RAISE_COUNTED_FROM, at + HOUR_S)


def _hours_before(now: float) -> int:
    """Returns the beginning of the hour before which counts are kept by the hour."""
    return (int(now) - MINUTES_KEPT_S) // HOUR_S * HOUR_S


def read(
    execute: Execute,
    tenant_id: str,
    since: float | None,
    until: float | None,
    outcomes: Sequence[str],
    *,
    oldest_time: str,
) -> CountedPeriod:
    """Returns the counts of a tenant; see `AuditLog.counts`.

    Args:
        execute: runs a statement.
        tenant_id: the tenant.
        since: see `AuditLog.counts`, as for the next ones.
        until: the end.
        outcomes: the outcomes.
        oldest_time: the statement that returns the time of a tenant's oldest record.
    """
    start, end = since or 0, _NO_END if until is None else until
    oldest = execute(oldest_time, tenant_id)
    held_from = oldest[0][0] if oldest else _NO_END
    rows = [
        row
        for row in execute(_READ, held_from, tenant_id, start, start, end)
        if not outcomes or row[1] in outcomes
    ]
    [(counted_from,)] = execute(_COUNTED_FROM)
    return CountedPeriod(
        [DecisionCount(*row[:4]) for row in rows],
        None if since is None else min((row[5] for row in rows), default=since),
        None if until is None else max((row[6] for row in rows), default=until),
        removed=sum(row[4] for row in rows),
        uncounted_before=float(counted_from) if start < counted_from else None,
    )


def read_buckets(
    execute: Execute, tenant_id: str, *, start: int, width: int, number: int
) -> CountedBuckets:
    """Returns the counts of a tenant over time; see `AuditLog.bucket_counts`."""
    rows = execute(_READ_BUCKETS, start, width, tenant_id, start, start + number * width)
    [(counted_from,)] = execute(_COUNTED_FROM)
    return CountedBuckets(
        [BucketCount(*row) for row in rows],
        uncounted_before=float(counted_from) if start < counted_from else None,
    )
