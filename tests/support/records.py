"""Decision records for tests."""

from __future__ import annotations

from typing import Any

from pdp.domain.decision import Match, Outcome, Risk, RiskFactor
from pdp.domain.decision_record import (
    DecisionRecord,
    Recorded,
    RecordedEntity,
    RecordedSubject,
    RecordedTarget,
)
from pdp.domain.org_policy import DEFAULT_ORG_POLICY, OrgPolicy
from pdp.domain.risk import DEFAULT_RISK_TABLE

NOW = 1_790_000_000.25


def record(number: int = 1, score: int = 65, **fields: Any) -> DecisionRecord:
    """Returns a record, by default of a blocked SQL injection."""
    values: dict[str, Any] = {
        "decision_id": f"decision-{number}",
        "request_id": f"request-{number}",
        "time": NOW + number,
        "tenant_id": "acme",
        "outcome": Outcome.BLOCK,
        "risk": Risk(
            score, DEFAULT_RISK_TABLE.level(score), (RiskFactor("static", "sys_sqli_union", score),)
        ),
        "revision": 7,
        "subject": RecordedSubject("u1", ("staff",), "claude-code"),
        "provider": "openai",
        "model": "gpt-4o",
        "action": "database:table:drop",
        "tool": "sql",
        "target": RecordedTarget("table", "users", 3, ("PII",)),
        "text_sha256": "ab" * 32,
        "text_length": 30,
        "redacted_text": "select …",
        "reason_code": "STATIC_POLICY_BLOCKED",
        "message": "SQL injection",
        "status_hint": 403,
        "matches": (
            Match("static", "sys_sqli_union", "UNION injection", "block", "critical", "found"),
        ),
        "duration_us": 21.0,
        "logging_level": "standard",
        **fields,
    }
    return DecisionRecord(**values)


def card(number: int = 1, **fields: Any) -> DecisionRecord:
    """Returns the record of a redacted card number."""
    return record(
        number,
        outcome=Outcome.REDACT,
        matches=(Match("dlp", "dlp_card", "Credit Card Number", "redact", "high", "1 match"),),
        entities=(RecordedEntity("CREDIT_CARD", "financial", "dlp_card", 0.9, 4, 20),),
        pii_detected=True,
        **fields,
    )


def recorded(*records: DecisionRecord, policy: OrgPolicy = DEFAULT_ORG_POLICY) -> list[Recorded]:
    """Returns records with the policy that applied to them, in the form that consumers get."""
    return [Recorded(each, policy) for each in records]
