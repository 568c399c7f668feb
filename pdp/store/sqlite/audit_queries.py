"""What is asked of a SQLite store of decision records, as SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.store.hash_chain import NO_BATCH, Batch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from pdp.domain.audit_log import RecordFilter

_HEAD: Final = """
    SELECT sequence, first_record, records, at, note, previous, hash FROM batches
    ORDER BY sequence DESC LIMIT 1
"""
_HIGHEST: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'batches'"

_POLICY: Final = (
    "EXISTS (SELECT 1 FROM json_each(body, '$.matches')"
    " WHERE json_extract(value, '$.policy_id') = ?)"
)
_MODEL: Final = (
    "? IN (json_extract(body, '$.model'),"
    " json_extract(body, '$.provider') || '/' || json_extract(body, '$.model'))"
)

Condition = tuple[str, tuple[str | float, ...]]


def read_head(connection: sqlite3.Connection) -> Batch:
    """Returns what the next batch comes after.

    The numbers of batches that someone has cut off at the end are not given again: however the log
    grows, it goes on to lack them.
    """
    # The counter first: what another process appends in between is then no batch that is missing.
    highest = read_highest(connection)
    row = connection.execute(_HEAD).fetchone()
    head = Batch(*row) if row else NO_BATCH
    return head._replace(sequence=max(head.sequence, highest))


def read_highest(connection: sqlite3.Connection) -> int:
    """Returns the highest number that a batch has ever had."""
    row = connection.execute(_HIGHEST).fetchone()
    return int(row[0]) if row else 0


def select(wanted: RecordFilter, before: int | None, limit: int) -> Condition:
    """Returns the statement for the newest records, and its parameters."""
    place: list[Condition] = [] if before is None else [("sequence < ?", (before,))]
    return _statement([*_conditions(wanted), *place], "DESC", limit)


def follow(wanted: RecordFilter, after: int, limit: int) -> Condition:
    """Returns the statement for the records after a place, and its parameters."""
    return _statement([*_conditions(wanted), ("sequence > ?", (after,))], "ASC", limit)


def _statement(conditions: list[Condition], order: str, limit: int) -> Condition:
    where = " AND ".join(condition for condition, _ in conditions)
    # Nothing of the caller's is in the text: conditions come from the list below.
    sql = f"SELECT sequence, body FROM records WHERE {where} ORDER BY sequence {order} LIMIT ?"  # noqa: S608 - as above
    return sql, (*(each for _, values in conditions for each in values), limit)


def _conditions(wanted: RecordFilter) -> Iterator[Condition]:
    yield "tenant_id = ?", (wanted.tenant_id,)
    if wanted.since is not None:
        yield "time >= ?", (wanted.since,)
    if wanted.until is not None:
        yield "time < ?", (wanted.until,)
    for column, values in (("outcome", wanted.outcomes), ("risk_level", wanted.risk_levels)):
        if values:
            yield f"{column} IN ({', '.join('?' * len(values))})", values
    equal = {
        "user_id": wanted.user_id,
        "customer_id": wanted.customer_id,
        "json_extract(body, '$.subject.agent_id')": wanted.agent_id,
        "json_extract(body, '$.provider')": wanted.provider,
        "json_extract(body, '$.action')": wanted.action,
        "json_extract(body, '$.reason_code')": wanted.reason_code,
        "json_extract(body, '$.request_id')": wanted.request_id,
    }
    for column, value in equal.items():
        if value:
            yield f"{column} = ?", (value,)
    if wanted.model:
        yield _MODEL, (wanted.model,)
    if wanted.policy_id:
        yield _POLICY, (wanted.policy_id,)
    if wanted.pii_detected is not None:
        yield "json_extract(body, '$.pii_detected') = ?", (int(wanted.pii_detected),)
