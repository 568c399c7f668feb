"""How many bytes each tenant holds in the audit log.

The bytes are counted by the retention and not by appends, so that an append does not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.store.sqlite.audit_queries import read_state

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

MAX_COUNTED: Final = 4000
"""The most records to count in one step."""

RECORD_OVERHEAD: Final = 256
"""What a record needs in addition to its body, in bytes: the columns and indexes for searches."""

SIZE: Final = f"(length(CAST(body AS BLOB)) + {RECORD_OVERHEAD})"
"""SQL for the size of a record."""

_COUNT: Final = f"""
    SELECT tenant_id, sum({SIZE}), max(sequence), count(*) FROM (
        SELECT tenant_id, body, sequence FROM records WHERE sequence > ? ORDER BY sequence LIMIT ?
    ) GROUP BY tenant_id
"""  # noqa: S608 - no input
_ADD: Final = """
    INSERT INTO holdings VALUES (?, ?)
    ON CONFLICT (tenant_id) DO UPDATE SET bytes = bytes + excluded.bytes
"""


def count(connection: sqlite3.Connection) -> bool:
    """Counts a bounded number of new records. Returns whether all records are counted."""
    rows = connection.execute(
        _COUNT, (read_state(connection, "counted_through"), MAX_COUNTED)
    ).fetchall()
    if not rows:
        return True
    # A record without a tenant is in no share; it leaves the log with its batch.
    connection.executemany(_ADD, [(tenant, size) for tenant, size, _, _ in rows if tenant])
    connection.execute("UPDATE retention SET counted_through = ?", (max(row[2] for row in rows),))
    return sum(int(row[3]) for row in rows) < MAX_COUNTED


def subtract(connection: sqlite3.Connection, sizes: Mapping[str, int]) -> None:
    """Subtracts the sizes of removed records that were counted."""
    connection.executemany(_ADD, [(tenant, -size) for tenant, size in sizes.items()])
    connection.execute("DELETE FROM holdings WHERE bytes <= 0")


def forget(connection: sqlite3.Connection, tenant_id: str) -> None:
    """Forgets a tenant without records, if another program has removed them."""
    connection.execute("DELETE FROM holdings WHERE tenant_id = ?", (tenant_id,))


def read(connection: sqlite3.Connection) -> Mapping[str, int]:
    """Returns how many bytes each tenant holds, as far as they are counted."""
    return dict(connection.execute("SELECT tenant_id, bytes FROM holdings"))
