"""How many bytes and records each tenant holds of each day.

Maintenance counts them in short steps, and not appends, so that no append locks a row that another
one writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.store.postgres.records.positions import (
    BATCH_BITS,
    COUNTS_LOCK,
    PLACE_BITS,
    last_record,
)
from pdp.store.postgres.records.writer import RECORD_OVERHEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Select = Callable[..., list[tuple[Any, ...]]]

MAX_COUNTED: Final = 20_000
"""The most records to count in one step."""

SIZE: Final = f"octet_length(body) + {RECORD_OVERHEAD}"
"""SQL for the size of a record."""

_STATE: Final = "SELECT counted_through, horizon() FROM log"
_END: Final = """
    SELECT max(sequence) FROM (
        SELECT sequence FROM records WHERE sequence > %s AND sequence <= %s
        ORDER BY sequence LIMIT %s
    ) AS step
"""
_COUNT: Final = f"""
    WITH counted AS (
        INSERT INTO holdings
        SELECT sequence >> {BATCH_BITS + PLACE_BITS}, coalesce(tenant_id, ''), sum({SIZE}),
               count(*), 0
        FROM records WHERE sequence > %s AND sequence <= %s GROUP BY 1, 2
        ON CONFLICT (day, tenant_id) DO UPDATE SET bytes = holdings.bytes + excluded.bytes,
            records = holdings.records + excluded.records
    )
    UPDATE log SET counted_through = %s RETURNING 1
"""  # noqa: S608 - no input
_HOLDINGS: Final = """
    SELECT tenant_id, CAST(sum(bytes) AS bigint) FROM holdings GROUP BY 1 HAVING sum(bytes) > 0
"""
_USED: Final = """
    SELECT CAST((SELECT coalesce(sum(bytes), 0) FROM chains)
        - (SELECT coalesce(sum(removed_bytes), 0) FROM holdings) AS bigint)
"""


def count_step(select: Select) -> bool:
    """Counts a bounded number of new records. Returns whether all records are counted.

    Args:
        select: runs a statement in a transaction that may write, and returns its rows.
    """
    [(is_alone,)] = select("SELECT pg_try_advisory_xact_lock(%s)", COUNTS_LOCK)
    if not is_alone:
        return False
    [(begin, horizon)] = select(_STATE)
    through = last_record(horizon)
    [(end,)] = select(_END, begin, through, MAX_COUNTED)
    if end is None:
        return True
    select(_COUNT, begin, end, end)
    [(more,)] = select(_END, end, through, 1)
    return more is None


def read_holdings(select: Select) -> Mapping[str, int]:
    """Returns how many bytes each tenant holds, as far as they are counted."""
    return dict(select(_HOLDINGS))


def used_bytes(select: Select) -> int:
    """Returns how many bytes the log has, without the free space in its tables."""
    [(used,)] = select(_USED)
    return int(used)
