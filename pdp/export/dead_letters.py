"""What nobody would take, kept until someone looks at it and has it sent again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pdp.export.spool import Spool


class DeadLetter(NamedTuple):
    """An event or an alert that was given up.

    Attributes:
        id: to name it by.
        kind: `siem` or `alert`.
        destination: the connector, or the tenant and the name of the alert rule.
        uid: of the event, or of the decision.
        at: of the event, or of the alert.
        died_at: when it was given up.
        reason: why.
        body: what was to be delivered.
    """

    id: int
    kind: str
    destination: str
    uid: str
    at: float
    died_at: float
    reason: str
    body: bytes


def dead_letters(
    spool: Spool, destination: str | None = None, limit: int = 100
) -> Sequence[DeadLetter]:
    """Returns the oldest dead letters, of all destinations or of one."""
    rows = spool.connection.execute(
        "SELECT id, kind, destination, uid, at, died_at, reason, body FROM dead_letters "
        "WHERE ?1 IS NULL OR destination = ?1 ORDER BY id LIMIT ?2",
        (destination, limit),
    )
    return [DeadLetter(*row) for row in rows]


def count_dead(spool: Spool) -> int:
    """Returns how many dead letters there are."""
    row = spool.connection.execute("SELECT COUNT(*) FROM dead_letters").fetchone()
    return int(row[0])


def resend(spool: Spool, ids: Sequence[int] | None = None, destination: str | None = None) -> int:
    """Has dead letters delivered again, behind all that waits; returns how many.

    Args:
        spool: where they are.
        ids: which ones; None for all.
        destination: only those of it; None for all.
    """
    now = time.time()
    with spool.transaction() as connection:
        rows = connection.execute(
            "SELECT id, kind, destination, uid, at, address, body FROM dead_letters "
            "WHERE ?1 IS NULL OR destination = ?1 ORDER BY id",
            (destination,),
        ).fetchall()
        chosen = [row for row in rows if ids is None or row[0] in ids]
        for number, kind, target, uid, at, address, body in chosen:
            if kind == "siem":
                connection.execute(
                    "INSERT INTO events (connector, uid, at, queued_at, body) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (target, uid, at, now, body),
                )
                spool.add_held(len(body))
            else:
                connection.execute(
                    "INSERT INTO alerts (due_at, at, destination, address, uid, body) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    (now, at, target, address, uid, body),
                )
            connection.execute("DELETE FROM dead_letters WHERE id = ?", (number,))
    return len(chosen)
