"""The change log, looked through from its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdp.store.port import ChangeFilter

_COLUMNS = "revision, tenant_id, kind, entity_id, op, before, after, actor, at, summary"


def statement(wanted: ChangeFilter, before: int | None, limit: int) -> tuple[str, list[str | int]]:
    """Returns the statement for the newest changes that are wanted, and its parameters."""
    conditions: dict[str, str | float | None] = {
        "tenant_id = ?": wanted.tenant_id,
        "kind = ?": wanted.kind or None,
        "entity_id = ?": wanted.entity_id or None,
        "actor = ?": wanted.actor or None,
        "op = ?": wanted.op or None,
        "at >= ?": wanted.since,
        "at < ?": wanted.until,
        "revision < ?": before,
    }
    given = {text: value for text, value in conditions.items() if value is not None}
    where = " AND ".join(given)
    # Nothing of the caller's is in the text: conditions come from the list above.
    sql = f"SELECT {_COLUMNS} FROM changes WHERE {where} ORDER BY revision DESC LIMIT ?"  # noqa: S608 - as above
    return sql, [*given.values(), limit]  # type: ignore[list-item] # SQLite takes floats as well
