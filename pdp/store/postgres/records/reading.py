"""Reads the log of records in PostgreSQL: its bounds, its days, and the records of a replica."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pdp.domain.audit_log import StoredRecord
from pdp.store.postgres.records.positions import (
    DAY_S,
    day_of,
    first_position,
    first_record,
    last_record,
    position_of,
)
from pdp.store.postgres.session import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

TABLES: Final = ("batches", "records", "matches", "nodes")
"""The tables that have a partition for each day."""

_PARTITIONS: Final = """
    SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'records'::regclass
"""
_CHAINS: Final = "SELECT chain FROM chains WHERE replica = %s AND chain >= %s"
_BATCHES: Final = """
    SELECT position FROM batches
    WHERE chain = ANY(%s) AND position >= %s AND position <= %s AND records > 0
    ORDER BY position LIMIT %s
"""
_RECORDS: Final = """
    SELECT sequence, body FROM records
    WHERE sequence > %s AND sequence <= %s AND sequence >> 10 = ANY(%s)
    ORDER BY sequence LIMIT %s
"""


def read_horizon(connection: psycopg.Connection) -> int:
    """Returns the position up to which nothing can appear any more; see `positions`."""
    [(position,)] = run(connection, "SELECT horizon()")
    return int(position)


def read_days(connection: psycopg.Connection) -> list[int]:
    """Returns the days that have partitions, in order."""
    names = [name for (name,) in run(connection, _PARTITIONS)]
    return sorted(
        int(datetime.strptime(name.rpartition("_")[2], "%Y%m%d").replace(tzinfo=UTC).timestamp())
        // DAY_S
        for name in names
    )


def partition(table: str, day: int) -> str:
    """Returns the name of the partition of a day."""
    return f"{table}_{datetime.fromtimestamp(day * DAY_S, UTC):%Y%m%d}"


def read_of_replica(
    connection: psycopg.Connection, replica: str, after: int, limit: int
) -> Sequence[StoredRecord]:
    """Returns the records that a replica has appended after a place, oldest first.

    Args:
        connection: commits each statement by itself.
        replica: its name.
        after: the place.
        limit: the most records.
    """
    end = read_horizon(connection)
    start = position_of(after)
    found: list[StoredRecord] = []
    while len(found) < limit:
        begin = first_position(day_of(start))
        chains = [chain for (chain,) in run(connection, _CHAINS, (replica, begin))]
        start = max(start, min(chains, default=start))
        rows = connection.execute(_BATCHES, (chains, start, end, limit)).fetchall()
        positions = [position for (position,) in rows]
        if not positions:
            break
        # The retention may have removed some of their records.
        last, room = last_record(positions[-1]), limit - len(found)
        bounds = max(after, first_record(start) - 1), last
        rows = connection.execute(_RECORDS, (*bounds, positions, room)).fetchall()
        found += [StoredRecord(*row) for row in rows]
        start, after = positions[-1] + 1, last
    return found
