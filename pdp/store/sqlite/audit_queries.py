"""The queries of the audit log, as SQL."""

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
    """Returns the batch that the next batch follows.

    The numbers of batches that someone cut off at the end are never used again: verification
    reports them as missing, however long the log grows.
    """
    # Read the counter first. Otherwise a batch that another process appends in between would count
    # as missing.
    highest = read_highest(connection)
    row = connection.execute(_HEAD).fetchone()
    head = Batch(*row) if row else NO_BATCH
    return head._replace(sequence=max(head.sequence, highest))


def read_highest(connection: sqlite3.Connection) -> int:
    """Returns the highest batch number that was ever used."""
    row = connection.execute(_HIGHEST).fetchone()
    return int(row[0]) if row else 0


def select(filter_: RecordFilter, before: int | None, limit: int) -> Condition:
    """Returns the statement that selects the newest records, and its parameters."""
    cursor: list[Condition] = [] if before is None else [("sequence < ?", (before,))]
    return _statement([*_conditions(filter_), *cursor], "DESC", limit)


def follow(filter_: RecordFilter, after: int, limit: int) -> Condition:
    """Returns the statement that selects the records after a cursor, and its parameters."""
    return _statement([*_conditions(filter_), ("sequence > ?", (after,))], "ASC", limit)


def _statement(conditions: list[Condition], order: str, limit: int) -> Condition:
    where = " AND ".join(condition for condition, _ in conditions)
    # The text contains no input: the conditions come from the list below.
    sql = f"SELECT sequence, body FROM records WHERE {where} ORDER BY sequence {order} LIMIT ?"  # noqa: S608 - as above
    return sql, (*(each for _, values in conditions for each in values), limit)


def _conditions(filter_: RecordFilter) -> Iterator[Condition]:
    yield "tenant_id = ?", (filter_.tenant_id,)
    if filter_.since is not None:
        yield "time >= ?", (filter_.since,)
    if filter_.until is not None:
        yield "time < ?", (filter_.until,)
    for column, values in (("outcome", filter_.outcomes), ("risk_level", filter_.risk_levels)):
        if values:
            yield f"{column} IN ({', '.join('?' * len(values))})", values
    equal = {
        "user_id": filter_.user_id,
        "customer_id": filter_.customer_id,
        "json_extract(body, '$.subject.agent_id')": filter_.agent_id,
        "json_extract(body, '$.provider')": filter_.provider,
        "json_extract(body, '$.action')": filter_.action,
        "json_extract(body, '$.reason_code')": filter_.reason_code,
        "json_extract(body, '$.request_id')": filter_.request_id,
    }
    for column, value in equal.items():
        if value:
            yield f"{column} = ?", (value,)
    if filter_.model:
        yield _MODEL, (filter_.model,)
    if filter_.policy_id:
        yield _POLICY, (filter_.policy_id,)
    if filter_.pii_detected is not None:
        yield "json_extract(body, '$.pii_detected') = ?", (int(filter_.pii_detected),)
