"""The queries of the audit log, as SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pdp.store.hash_chain import NO_BATCH, Batch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from pdp.domain.audit_log import RecordFilter

BATCH_COLUMNS: Final = (
    "sequence, first_record, records, at, note, previous, hash, version, converted"
)
"""The columns of a `Batch`."""

_HEAD: Final = f"SELECT {BATCH_COLUMNS} FROM batches ORDER BY sequence DESC LIMIT 1"  # noqa: S608 - no input
_NEXT_WITH_RECORDS: Final = f"""
    SELECT {BATCH_COLUMNS} FROM batches WHERE sequence > ? AND records > 0 ORDER BY sequence LIMIT 1
"""  # noqa: S608 - no input
_UP_TO: Final = f"""
    SELECT {BATCH_COLUMNS} FROM batches WHERE sequence <= ? AND sequence >= ?
    ORDER BY sequence DESC LIMIT 1
"""  # noqa: S608 - no input
LAST_RECORD: Final = "SELECT first_record + records - 1 FROM batches ORDER BY sequence DESC LIMIT 1"
"""SQL for the number of the newest record."""

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


def read_state(
    connection: sqlite3.Connection, name: Literal["counted_through", "checkpoint"]
) -> int:
    """Returns a value of the retention's state; 0 if there is none."""
    row = connection.execute(f"SELECT {name} FROM retention").fetchone()  # noqa: S608 - no input
    return int(row[0]) if row else 0


def batch_of(
    connection: sqlite3.Connection, record: int, earlier: Batch | None = None
) -> Batch | None:
    """Returns the newest batch that begins at or before a record; None if there is none.

    Args:
        connection: the connection.
        record: the number of the record.
        earlier: if known, a batch that begins before the record.
    """
    if earlier is not None:
        row = connection.execute(_NEXT_WITH_RECORDS, (earlier.sequence,)).fetchone()
        if row and row[1] <= record < row[1] + row[2]:
            return Batch(*row)
    # The number of the first record grows with the number of the batch.
    (low, high) = connection.execute("SELECT min(sequence), max(sequence) FROM batches").fetchone()
    low, found = (earlier.sequence if earlier else low or 0), earlier
    while low <= (high or 0):
        middle = (low + high + 1) // 2
        row = connection.execute(_UP_TO, (middle, low)).fetchone()
        if row is None:
            low = middle + 1
        elif row[1] <= record:
            found, low = Batch(*row), middle + 1
        else:
            high = row[0] - 1
    return found


def conditions(filter_: RecordFilter) -> Iterator[Condition]:
    """Yields the conditions of a filter, as SQL that contains no input, and their parameters."""
    yield "+tenant_id = ?", (filter_.tenant_id,)
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
