"""Counts and removes approvals through an open transaction. They are rows of `records`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pdp.store.sql.dialect import Rows

    Execute = Callable[..., Rows]

STEP: Final = 200
"""Rows of a kind that one step removes, so that other writers hardly wait."""

TENANTS: Final = 10
"""Tenants with too many approvals that one step looks at."""

# The indices in the migrations of each database have these conditions.
_IS_OPEN: Final = """kind = 'approval' AND deleted_at IS NULL
    AND TEXT_FIELD(state) IN ('pending', 'approved')"""
_IS_CLOSED: Final = """kind IN ('approval', 'confirmation')
    AND TEXT_FIELD(state) NOT IN ('pending', 'approved')"""

_COUNT_OPEN: Final = f"""
    SELECT count(*) FROM records USING_INDEX(approvals_open) WHERE tenant_id = ? AND {_IS_OPEN}
"""  # noqa: S608 - the conditions are constants, here and below
_COUNT_OF_SUBJECT: Final = f"{_COUNT_OPEN} AND TEXT_FIELD(subject) = ?"
_DUE: Final = f"""
    SELECT kind, tenant_id, id, body, name, revision, created_at, updated_at FROM records
    WHERE {_IS_OPEN} AND NUMBER_FIELD(expires_at) <= ?
    ORDER BY NUMBER_FIELD(expires_at) LIMIT ?
"""  # noqa: S608 - as above
_FORGET: Final = f"""
    DELETE FROM records WHERE (tenant_id, kind, id) IN (
        SELECT tenant_id, kind, id FROM records
        WHERE {_IS_CLOSED} AND kind = ? AND NUMBER_FIELD(expires_at) < ? LIMIT ?
    ) RETURNING id
"""  # noqa: S608 - as above
_CROWDED: Final = """
    SELECT tenant_id, count(*) FROM records WHERE kind = 'approval'
    GROUP BY tenant_id HAVING count(*) > ?
"""
_TRIM: Final = f"""
    DELETE FROM records WHERE (tenant_id, kind, id) IN (
        SELECT tenant_id, kind, id FROM records
        WHERE tenant_id = ? AND kind = 'approval' AND {_IS_CLOSED}
        ORDER BY seq LIMIT ?
    ) RETURNING id
"""  # noqa: S608 - as above


def count_open(execute: Execute, tenant_id: str, subject: str) -> int:
    """See `Reader.count_open_approvals`."""
    if subject:
        [(count,)] = execute(_COUNT_OF_SUBJECT, tenant_id, subject)
    else:
        [(count,)] = execute(_COUNT_OPEN, tenant_id)
    return int(count)


def due(execute: Execute, now: float, limit: int) -> Rows:
    """Returns the rows of `Reader.due_approvals`."""
    return execute(_DUE, now, limit)


def forget(execute: Execute, before: float, used_before: float, most: int) -> int:
    """See `Transaction.forget_approvals`."""
    removed = len(execute(_FORGET, "approval", before, STEP))
    removed += len(execute(_FORGET, "confirmation", used_before, STEP))
    for tenant_id, count in execute(_CROWDED, most)[:TENANTS]:
        removed += len(execute(_TRIM, tenant_id, min(count - most, STEP)))
    return removed
