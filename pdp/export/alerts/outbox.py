"""Alerts on their way: in the spool, so that they outlive the process, each told once a window."""

from __future__ import annotations

import hashlib
import time
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from cachetools import LRUCache

from pdp.export.alerts.messages import alert_message, summary_message
from pdp.export.alerts.rules import alerts_for, compile_alerts

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence

    from pdp.domain.decision_record import DecisionRecord, Recorded
    from pdp.domain.org_policy import OrgPolicy
    from pdp.export.alerts.rules import AlertRule
    from pdp.export.spool import Spool


MAX_WAITING: Final = 10_000
"""Alerts that may wait; more of them are no alert to anyone, and are counted as dropped."""

MAX_TENANTS: Final = 4096
"""Tenants whose rules are held compiled."""

DROPPED: Final = "alerts_dropped"
"""The spool's mark of how many were."""


class Alert(NamedTuple):
    """An alert that is due.

    Attributes:
        attempts: how often it was tried.
        at: when it came to be.
        destination: the tenant and the name of the rule.
        address: the webhook.
        uid: of the decision.
        body: the message.
    """

    id: int
    attempts: int
    at: float
    destination: str
    address: str
    uid: str
    body: bytes


class Matcher:
    """Finds the rules that recorded decisions meet; a tenant's are compiled when they change."""

    def __init__(self) -> None:
        self._compiled: LRUCache[str, tuple[OrgPolicy, tuple[AlertRule, ...]]]
        self._compiled = LRUCache(maxsize=MAX_TENANTS)

    def met(self, batch: Iterable[Recorded]) -> list[tuple[AlertRule, DecisionRecord]]:
        """Returns each rule that a decision of the batch meets, with the decision."""
        return [
            (rule, record)
            for record, policy in batch
            if policy.alert_rules
            for rule in alerts_for(self._rules(record.tenant_id, policy), record)
        ]

    def _rules(self, tenant_id: str, policy: OrgPolicy) -> tuple[AlertRule, ...]:
        held = self._compiled.get(tenant_id)
        if held is None or held[0] is not policy:
            held = self._compiled[tenant_id] = (policy, compile_alerts(policy.alert_rules))
        return held[1]


def enqueue(spool: Spool, met: Sequence[tuple[AlertRule, DecisionRecord]], window_s: float) -> None:
    """Puts alerts into the spool. Of decisions alike, the first of a window is told of; the others
    are counted, and the number is told when the window is over.

    Args:
        spool: where they wait.
        met: rules, and the decisions that meet them.
        window_s: how long decisions alike are told of once.
    """
    with spool.transaction() as connection:
        room = MAX_WAITING - count_waiting(spool)
        for rule, record in met:
            told = _told_before(connection, rule, record, window_s)
            if told is None:
                continue
            if room <= 0:
                spool.count(DROPPED)
                continue
            room -= 1
            body = alert_message(rule.name, record, told)
            _insert(connection, rule.webhook, f"{record.tenant_id}/{rule.name}", body, record)


def _told_before(
    connection: sqlite3.Connection, rule: AlertRule, record: DecisionRecord, window_s: float
) -> int | None:
    """Returns how many alike were not told of since the last one that was; None where this one is
    not to be told of either.
    """
    now = time.time()
    key, destination = _key(rule, record), f"{record.tenant_id}/{rule.name}"
    row = connection.execute(
        "SELECT ends_at, suppressed FROM windows WHERE key = ?", (key,)
    ).fetchone()
    if row and now < row[0]:
        connection.execute("UPDATE windows SET suppressed = suppressed + 1 WHERE key = ?", (key,))
        return None
    if window_s > 0:
        connection.execute(
            "INSERT OR REPLACE INTO windows VALUES (?, ?, 0, ?, ?)",
            (key, now + window_s, destination, rule.webhook),
        )
    return row[1] if row else 0


def _insert(
    connection: sqlite3.Connection,
    address: str,
    destination: str,
    body: bytes,
    record: DecisionRecord | None = None,
) -> None:
    now = time.time()
    connection.execute(
        "INSERT INTO alerts (due_at, at, destination, address, uid, body) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (now, now, destination, address, record.decision_id if record else "", body),
    )


def _key(rule: AlertRule, record: DecisionRecord) -> str:
    """Returns what decisions alike have in common: the rule, who, what came of it and why."""
    parts = (
        record.tenant_id,
        rule.name,
        rule.webhook,
        record.subject.user_id,
        record.subject.agent_id,
        record.outcome.name,
        record.reason_code,
        record.risk.level,
    )
    joined = "".join(f"{len(each)}:{each}" for each in parts)
    return hashlib.sha256(joined.encode("utf-8", "replace")).hexdigest()


def close_windows(spool: Spool) -> None:
    """Tells of what was counted in the windows that are over, and forgets them."""
    now = time.time()
    over = "SELECT COUNT(*) FROM windows WHERE ends_at <= ?"
    if not spool.connection.execute(over, (now,)).fetchone()[0]:
        return
    with spool.transaction() as connection:
        rows = connection.execute(
            "SELECT key, suppressed, destination, address FROM windows WHERE ends_at <= ?", (now,)
        ).fetchall()
        for key, suppressed, destination, address in rows:
            if suppressed:
                body = summary_message(destination.partition("/")[2], suppressed)
                _insert(connection, address, destination, body)
            connection.execute("DELETE FROM windows WHERE key = ?", (key,))


def due_addresses(spool: Spool, busy: Collection[str], limit: int) -> list[str]:
    """Returns the webhooks that alerts are due for, but for those that are busy."""
    rows = spool.connection.execute(
        "SELECT address FROM alerts WHERE due_at <= ? GROUP BY address ORDER BY MIN(due_at)",
        (time.time(),),
    )
    return list(islice((address for (address,) in rows if address not in busy), limit))


def due_alerts(spool: Spool, limit: int, address: str | None = None) -> list[Alert]:
    """Returns the alerts whose time has come, the oldest first, for one webhook or all."""
    rows = spool.connection.execute(
        "SELECT id, attempts, at, destination, address, uid, body FROM alerts "
        "WHERE due_at <= ?1 AND (?2 IS NULL OR address = ?2) ORDER BY due_at, id LIMIT ?3",
        (time.time(), address, limit),
    )
    return [Alert(*row) for row in rows]


def count_waiting(spool: Spool) -> int:
    """Returns how many alerts wait."""
    return int(spool.connection.execute("SELECT COUNT(*) FROM alerts").fetchone()[0])


def delivered(spool: Spool, alert: Alert) -> None:
    """Forgets an alert that was taken."""
    spool.connection.execute("DELETE FROM alerts WHERE id = ?", (alert.id,))


def put_off(spool: Spool, alert: Alert, wait_s: float) -> None:
    """Has an alert tried again later, and all others for its webhook not before."""
    due_at = time.time() + wait_s
    with spool.transaction() as connection:
        connection.execute("UPDATE alerts SET attempts = attempts + 1 WHERE id = ?", (alert.id,))
        connection.execute(
            "UPDATE alerts SET due_at = MAX(due_at, ?) WHERE address = ?", (due_at, alert.address)
        )


def give_up(spool: Spool, alert: Alert, reason: str) -> None:
    """Makes an alert a dead letter."""
    with spool.transaction() as connection:
        connection.execute(
            "INSERT INTO dead_letters "
            "(kind, destination, uid, at, died_at, reason, address, body) "
            "VALUES ('alert', ?, ?, ?, ?, ?, ?, ?)",
            (
                alert.destination,
                alert.uid,
                alert.at,
                time.time(),
                reason,
                alert.address,
                alert.body,
            ),
        )
        connection.execute("DELETE FROM alerts WHERE id = ?", (alert.id,))
        spool.bound_dead_letters()
