"""Reads and writes counters through an open SQLite transaction."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final

from pdp.domain.usage import MAX_COUNT, Counter, CounterId, Counts
from pdp.store import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Rows = list[tuple[Any, ...]]
    Execute = Callable[..., Rows]

_INT64_MAX: Final = 2**63 - 1

_READ: Final = """
    SELECT tenant_id, scope, subject_id, window, start, requests, tokens, cost, stamp FROM counters
    WHERE stamp > ? ORDER BY stamp LIMIT ?
"""
_STAMP: Final = "UPDATE counter_stamps SET last = last + ? RETURNING last"
_ADD: Final = """
    INSERT INTO counters
        (tenant_id, scope, subject_id, window, start, requests, tokens, cost, stamp)
    VALUES (?1, ?2, ?3, ?4, ?5, max(0, ?6), max(0, ?7), max(0, ?8), ?9)
    ON CONFLICT DO UPDATE SET
        requests = max(0, min(?10, requests + ?6)),
        tokens = max(0, min(?10, tokens + ?7)),
        cost = max(0, min(?10, cost + ?8)),
        stamp = ?9
"""
_FORGET: Final = "DELETE FROM counters WHERE window = ? AND start < ?"


def read_counters(execute: Execute, since: int, limit: int) -> Sequence[Counter]:
    """See `Reader.counters`."""
    rows = execute(_READ, min(since, _INT64_MAX), min(max(limit, 0), _INT64_MAX))
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
        bounded = (max(-MAX_COUNT, min(MAX_COUNT, each)) for each in counts)
        execute(_ADD, *counter, *bounded, stamp, MAX_COUNT)


def forget_counters(execute: Execute, window: str, before: int) -> None:
    """See `Transaction.forget_counters`."""
    execute(_FORGET, window, before)
