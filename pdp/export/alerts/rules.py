"""Compiles alert rules and matches recorded decisions against them. Pure functions.

A rule matches if all its conditions hold. A missing condition matches every decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pdp.domain.decision import Outcome
from pdp.domain.org_policy import levels_from

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pdp.domain.decision_record import DecisionRecord


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A compiled alert rule.

    Attributes:
        name: for people.
        webhook: the URL that gets the alerts.
        levels: the matching risk levels; None for all.
        action: a substring of the action, case-folded; empty for any action.
        pii_detected: whether personal data was detected; None for either.
        agent_id: the exact id of the agent; None for any agent.
        expression: a condition that the request must meet; None for none.
        approval_requested: whether the request is held until a second person has approved it; None
            for either.
    """

    name: str
    webhook: str
    levels: frozenset[str] | None = None
    action: str = ""
    pii_detected: bool | None = None
    agent_id: str | None = None
    expression: str | None = None
    approval_requested: bool | None = None

    def matches(self, record: DecisionRecord, met_expressions: Collection[str] = ()) -> bool:
        """Returns whether a decision meets all conditions.

        Args:
            record: the record of the decision.
            met_expressions: the expressions of alert rules that its request meets.
        """
        return (
            (self.levels is None or record.risk.level in self.levels)
            and (self.pii_detected is None or record.pii_detected is self.pii_detected)
            and (
                self.approval_requested is None
                or self.approval_requested is (record.outcome is Outcome.ESCALATE)
            )
            and (self.expression is None or self.expression in met_expressions)
            and (self.agent_id is None or record.subject.agent_id == self.agent_id)
            and (not self.action or self.action in record.action.casefold())
        )


def compile_alerts(documents: Iterable[Mapping[str, Any]]) -> tuple[AlertRule, ...]:
    """Compiles the `alert_rules` of an org policy."""
    return tuple(map(_compile, documents))


def alerts_for(
    rules: Iterable[AlertRule], record: DecisionRecord, met_expressions: Collection[str] = ()
) -> tuple[AlertRule, ...]:
    """Returns the rules that a decision matches, in their order; see `AlertRule.matches`."""
    return tuple(rule for rule in rules if rule.matches(record, met_expressions))


def _compile(document: Mapping[str, Any]) -> AlertRule:
    condition = document.get("condition") or {}
    lowest = condition.get("risk_level_gte")
    return AlertRule(
        name=document["name"],
        webhook=document["notify"]["slack_webhook_url"],
        levels=None if lowest is None else levels_from(lowest),
        action=condition.get("action_contains", "").casefold(),
        pii_detected=condition.get("pii_detected"),
        agent_id=condition.get("agent_id_eq"),
        expression=condition.get("expression"),
        approval_requested=condition.get("approval_requested"),
    )
