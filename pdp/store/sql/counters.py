"""Reads and writes counters through an open transaction."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from pdp.domain.usage import MAX_COUNT, Counter, CounterId, Counts
from pdp.store import codec
from pdp.store.sql.dialect import INT64_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pdp.store.sql.dialect import Rows

    Execute = Callable[..., Rows]

# "window" is a reserved word in some dialects.
_READ: Final = """
    SELECT tenant_id, scope, subject_id, "window", start, requests, tokens, cost, stamp
    FROM counters WHERE stamp > ? ORDER BY stamp LIMIT ?
"""
_STAMP: Final = "UPDATE counter_stamps SET last = last + ? RETURNING last"
_ADD: Final = """
    INSERT INTO counters
        (tenant_id, scope, subject_id, "window", start, requests, tokens, cost, stamp)
    VALUES (?, ?, ?, ?, ?, GREATEST(0, ?), GREATEST(0, ?), GREATEST(0, ?), ?)
    ON CONFLICT (tenant_id, scope, subject_id, "window", start) DO UPDATE SET
        requests = GREATEST(0, LEAST(?, counters.requests + ?)),
        tokens = GREATEST(0, LEAST(?, counters.tokens + ?)),
        cost = GREATEST(0, LEAST(?, counters.cost + ?)),
        stamp = ?
"""
_FORGET: Final = 'DELETE FROM counters WHERE "window" = ? AND start < ?'


def read_counters(execute: Execute, since: int, limit: int) -> Sequence[Counter]:
    """See `Reader.counters`."""
    rows = execute(_READ, min(since, INT64_MAX), min(max(limit, 0), INT64_MAX))
    return tuple(
        Counter(CounterId(*row[:5]), Counts(*row[5:8]), row[8])  # in the order of the columns
        for row in rows
    )


def add_counts(execute: Execute, additions: Mapping[CounterId, Counts]) -> None:
    """See `Transaction.add_counts`."""
    for counter in additions:
        codec.check_texts(
            tenant_id=counter.tenant_id, scope=counter.scope, subject_id=counter.subject_id
        )
    if not additions:
        return
    [(last,)] = execute(_STAMP, len(additions))
    for stamp, (counter, counts) in zip(
        count(last - len(additions) + 1), additions.items(), strict=False
    ):
        bounded = [max(-MAX_COUNT, min(MAX_COUNT, each)) for each in counts]
        sums = [value for each in bounded for value in (MAX_COUNT, each)]
        execute(_ADD, *counter, *bounded, stamp, *sums, stamp)


def forget_counters(execute: Execute, window: str, before: int) -> None:
    """See `Transaction.forget_counters`."""
    execute(_FORGET, window, before)
