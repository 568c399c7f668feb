"""The index of decision records by request id and by policy id.

Appends do not write it: maintenance indexes new records in short steps, and then the records that
are older than the index. Searches scan the records that are not indexed yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import sqlite3

STEP: Final = 100
"""The records that one step indexes, in about 2 ms. Appends wait meanwhile."""

_PROGRESS: Final = "SELECT name, value FROM progress WHERE name IN ('indexed_from', 'indexed_to')"
_NEWER: Final = """
    SELECT min(sequence), max(sequence) FROM (
        SELECT sequence FROM records WHERE sequence >= ? ORDER BY sequence LIMIT ?
    )
"""
_OLDER: Final = """
    SELECT min(sequence), max(sequence) FROM (
        SELECT sequence FROM records WHERE sequence < ? ORDER BY sequence DESC LIMIT ?
    )
"""
# Someone may have damaged a body. It may not keep the others from being indexed.
_INDEX: Final = """
    WITH added AS MATERIALIZED (
        SELECT tenant_id, sequence, CASE WHEN json_valid(body) THEN body ELSE '{}' END AS body
        FROM records WHERE sequence BETWEEN ? AND ?
    )
    INSERT OR IGNORE INTO lookups (tenant_id, value, sequence)
    SELECT tenant_id, 'r' || json_extract(body, '$.request_id') AS value, sequence FROM added
    UNION ALL
    SELECT tenant_id, 'p' || json_extract(value, '$.policy_id'), sequence
    FROM added, json_each(body, '$.matches')
    ORDER BY 1, 2, 3
"""
_SET: Final = "UPDATE progress SET value = ? WHERE name = ?"


class Indexed(NamedTuple):
    """The records that are indexed: from `start`, and before `end`."""

    start: int
    end: int


def read_indexed(connection: sqlite3.Connection) -> Indexed:
    """Returns which records are indexed."""
    values: dict[str, int] = dict(connection.execute(_PROGRESS).fetchall())
    return Indexed(values["indexed_from"], values["indexed_to"])


def index_step(connection: sqlite3.Connection) -> bool:
    """Indexes some records, the newest first. Returns whether there may be more.

    Args:
        connection: has no transaction open.
    """
    if not _next(connection):
        return False
    connection.execute("BEGIN IMMEDIATE")
    try:
        step = _next(connection)  # another process may have done the first one
        if step:
            first, last, name, value = step
            connection.execute(_INDEX, (first, last))
            connection.execute(_SET, (value, name))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return True


def _next(connection: sqlite3.Connection) -> tuple[int, int, str, int] | None:
    """Returns the first and last record to index, and the bound that this moves, and to where."""
    start, end = read_indexed(connection)
    first, last = connection.execute(_NEWER, (end, STEP)).fetchone()
    if first is not None:
        return first, last, "indexed_to", last + 1
    first, last = connection.execute(_OLDER, (start, STEP)).fetchone()
    if first is not None:
        return first, last, "indexed_from", first
    return None
