"""How many bytes each tenant holds in the audit log, and who has to give some back.

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

FULL_SHARE: Final = 0.95
"""A log that exceeds its size limit shrinks to this share of the limit."""

LOWEST_SHARE: Final = 0.9
"""A tenant above its share keeps at least this part of the share."""

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


def excesses(connection: sqlite3.Connection, used: int, max_bytes: int) -> Mapping[str, int]:
    """Returns how many bytes each tenant above its share has to give back, the largest first.

    Args:
        connection: the connection.
        used: the size of the log.
        max_bytes: the limit of the size.
    """
    holdings: dict[str, int] = dict(connection.execute("SELECT tenant_id, bytes FROM holdings"))
    # The file also has pages, indexes and hashes: a byte of a record takes more than one of it.
    limit = sum(holdings.values()) * max_bytes / used
    share = fair_share(holdings, limit)
    above = {tenant: size for tenant, size in holdings.items() if size > share}
    within = sum(holdings.values()) - sum(above.values())
    level = fair_share(above, max(0.0, limit * FULL_SHARE - within))
    target = max(level, share * LOWEST_SHARE)
    largest_first = sorted(above.items(), key=lambda item: (-item[1], item[0]))
    return {tenant: max(1, round(size - target)) for tenant, size in largest_first}


def fair_share(holdings: Mapping[str, int], limit: float) -> float:
    """Returns the max-min fair share: what a tenant may hold if all together may hold `limit`.

    A tenant that holds less leaves the rest of its share to the others.
    """
    remaining = limit
    sizes = sorted(holdings.values())
    for position, size in enumerate(sizes):
        share = remaining / (len(sizes) - position)
        if size > share:
            return share
        remaining -= size
    return float("inf")
