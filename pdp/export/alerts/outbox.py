"""Queues alerts in the spool, so that they survive the process. Similar alerts are sent once per
window.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache

from pdp.domain.decision import Outcome
from pdp.export.alerts.messages import alert_message, summary_message
from pdp.export.alerts.rules import alerts_for, compile_alerts
from pdp.export.spool import ALERTS_DROPPED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pdp.domain.decision_record import DecisionRecord, Recorded
    from pdp.domain.org_policy import OrgPolicy
    from pdp.export.alerts.rules import AlertRule
    from pdp.export.spool import Spool


MAX_WAITING: Final = 10_000
"""The most queued alerts. Further alerts are dropped and counted."""

MAX_TENANTS: Final = 4096
"""The most tenants with compiled rules in the cache."""


class AlertMatcher:
    """Finds the alert rules that recorded decisions match.

    It compiles the rules of a tenant when they change, and caches them.
    """

    def __init__(self) -> None:
        self._compiled: LRUCache[str, tuple[OrgPolicy, tuple[AlertRule, ...]]]
        self._compiled = LRUCache(maxsize=MAX_TENANTS)

    def match(self, batch: Iterable[Recorded]) -> list[tuple[AlertRule, DecisionRecord]]:
        """Returns each rule that a decision of the batch matches, with the decision."""
        return [
            (rule, record)
            for record, policy, met_expressions in batch
            if policy.alert_rules
            for rule in alerts_for(self._rules(record.tenant_id, policy), record, met_expressions)
        ]

    def _rules(self, tenant_id: str, policy: OrgPolicy) -> tuple[AlertRule, ...]:
        entry = self._compiled.get(tenant_id)
        if entry is None or entry[0] is not policy:
            entry = self._compiled[tenant_id] = (policy, compile_alerts(policy.alert_rules))
        return entry[1]


def enqueue(
    spool: Spool,
    matches: Sequence[tuple[AlertRule, DecisionRecord]],
    window_s: float,
    public_url: str = "",
) -> None:
    """Queues alerts. Of similar decisions, only the first in a window is sent.

    The others are counted; the number is sent when the window ends.

    Args:
        spool: the queue.
        matches: rules and the decisions that match them.
        window_s: the length of a window; 0 to send every alert.
        public_url: the URL of the server, for links; empty for messages without links.
    """
    with spool.transaction():
        room = MAX_WAITING - spool.count_alerts()
        for rule, record in matches:
            destination = f"{record.tenant_id}/{rule.name}"
            key = _window_key(rule, record)
            suppressed = spool.open_window(key, destination, rule.webhook, window_s)
            if suppressed is None:
                continue
            if room <= 0:
                spool.count(ALERTS_DROPPED)
                continue
            room -= 1
            body = alert_message(rule.name, record, suppressed, public_url)
            spool.add_alert(destination, rule.webhook, record.decision_id, body)


def close_windows(spool: Spool) -> None:
    """Queues a summary for each ended window that suppressed alerts, and deletes the window."""
    if not spool.expired_windows():
        return
    with spool.transaction():
        for window in spool.expired_windows():
            if window.suppressed:
                rule_name = window.destination.partition("/")[2]
                body = summary_message(rule_name, window.suppressed)
                spool.add_alert(window.destination, window.address, "", body)
            spool.delete_window(window.key)


def _window_key(rule: AlertRule, record: DecisionRecord) -> str:
    """Returns what similar alerts have in common.

    This is the rule, user, agent, outcome, reason and risk, and the approval that the request waits
    for, if it does.
    """
    parts = [
        record.tenant_id,
        rule.name,
        rule.webhook,
        record.subject.user_id,
        record.subject.agent_id,
        record.outcome.name,
        record.reason_code,
        record.risk.level,
    ]
    if record.outcome is Outcome.ESCALATE:
        # A record that could not be searched for secrets has no obligations.
        ids = [each.approval_id for each in record.obligations if each.approval_id]
        parts += ids or [record.decision_id]
    joined = "".join(f"{len(each)}:{each}" for each in parts)
    return hashlib.sha256(joined.encode("utf-8", "replace")).hexdigest()
