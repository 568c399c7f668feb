"""Which alert rules match a decision: all conditions must hold, a missing one always holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.domain.decision import Outcome, Risk
from pdp.domain.decision_record import DecisionRecord, RecordedSubject
from pdp.domain.org_policy import RISK_LEVELS
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.export.alerts.rules import alerts_for, compile_alerts

WEBHOOK = "https://hooks.slack.com/services/T/B/x"


def rule(condition: dict[str, Any] | None, name: str = "Rule") -> dict[str, Any]:
    document: dict[str, Any] = {"name": name, "notify": {"slack_webhook_url": WEBHOOK}}
    return document if condition is None else {**document, "condition": condition}


def decision(
    score: int = 0,
    *,
    pii: bool = False,
    action: str = "",
    agent: str = "",
    outcome: Outcome = Outcome.ALLOW,
) -> DecisionRecord:
    return DecisionRecord(
        decision_id="d",
        request_id="r",
        time=0.0,
        tenant_id="t",
        outcome=outcome,
        risk=Risk(score, DEFAULT_RISK_TABLE.level(score)),
        subject=RecordedSubject(agent_id=agent),
        action=action,
        pii_detected=pii,
    )


def matches(condition: dict[str, Any] | None, record: DecisionRecord) -> bool:
    return bool(alerts_for(compile_alerts([rule(condition)]), record))


@pytest.mark.parametrize("condition", [None, {}])
def test_a_rule_without_conditions_matches_every_decision(condition: dict[str, Any] | None) -> None:
    assert matches(condition, decision())
    assert matches(condition, decision(100, pii=True, action="shell:run:now", agent="claude-code"))


@pytest.mark.parametrize(
    ("lowest", "score", "expected"),
    [
        ("none", 0, True),
        ("low", 10, False),
        ("low", 11, True),
        ("medium", 30, False),
        ("medium", 31, True),
        ("high", 55, False),
        ("high", 56, True),
        ("high", 100, True),
        ("critical", 80, False),
        ("critical", 81, True),
    ],
)
def test_a_level_matches_from_its_lowest_score(lowest: str, score: int, expected: bool) -> None:
    assert matches({"risk_level_gte": lowest}, decision(score)) is expected


@pytest.mark.parametrize(
    ("part", "action", "expected"),
    [
        ("shell", "os:shell:run", True),
        ("SHELL", "os:shell:run", True),
        ("l:r", "os:shell:run", True),
        ("shell", "os:file:read", False),
        ("shell", "", False),
        ("STRASSE", "straße", True),
    ],
)
def test_part_of_an_action_matches_in_any_case(part: str, action: str, expected: bool) -> None:
    assert matches({"action_contains": part}, decision(action=action)) is expected


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("detected", [True, False])
def test_a_rule_can_require_personal_data_or_its_absence(required: bool, detected: bool) -> None:
    assert matches({"pii_detected": required}, decision(pii=detected)) is (required is detected)


@pytest.mark.parametrize(
    ("agent", "expected"),
    [("claude-code", True), ("Claude-Code", False), ("claude-code-2", False), ("", False)],
)
def test_an_agent_matches_exactly(agent: str, expected: bool) -> None:
    assert matches({"agent_id_eq": "claude-code"}, decision(agent=agent)) is expected


@pytest.mark.parametrize("outcome", Outcome)
def test_a_rule_can_require_a_request_for_an_approval_or_none(outcome: Outcome) -> None:
    is_request = outcome is Outcome.ESCALATE
    assert matches({"approval_requested": True}, decision(outcome=outcome)) is is_request
    assert matches({"approval_requested": False}, decision(outcome=outcome)) is not is_request
    assert matches({}, decision(outcome=outcome))


FULL = {
    "risk_level_gte": "high",
    "action_contains": "shell",
    "pii_detected": True,
    "agent_id_eq": "claude-code",
    "approval_requested": True,
}


def test_all_conditions_must_hold() -> None:
    full = decision(
        65, pii=True, action="os:shell:run", agent="claude-code", outcome=Outcome.ESCALATE
    )
    assert matches(FULL, full)
    assert not matches(FULL, full._replace(outcome=Outcome.PROMPT))
    assert not matches(FULL, full._replace(risk=Risk(40, "medium")))
    assert not matches(FULL, full._replace(pii_detected=False))
    assert not matches(FULL, full._replace(action="os:file:run"))
    assert not matches(FULL, full._replace(subject=RecordedSubject(agent_id="other")))


def test_all_matching_rules_are_returned_in_order() -> None:
    documents = [rule(None, "a"), rule({"pii_detected": True}, "b"), rule({}, "c")]
    rules = alerts_for(compile_alerts(documents), decision())
    assert [(each.name, each.webhook) for each in rules] == [("a", WEBHOOK), ("c", WEBHOOK)]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "risk_level_gte": st.sampled_from(RISK_LEVELS),
            "action_contains": st.sampled_from(["shell", "SH", "os:", "x"]),
            "pii_detected": st.booleans(),
            "agent_id_eq": st.sampled_from(["claude-code", "other"]),
            "approval_requested": st.booleans(),
        },
    ),
    st.builds(
        decision,
        st.integers(0, 100),
        pii=st.booleans(),
        action=st.sampled_from(["", "os:shell:run"]),
        agent=st.sampled_from(["", "claude-code"]),
        outcome=st.sampled_from(Outcome),
    ),
)
def test_a_rule_matches_if_each_of_its_conditions_matches(
    condition: dict[str, Any], record: DecisionRecord
) -> None:
    one_by_one = all(matches({name: value}, record) for name, value in condition.items())
    assert matches(condition, record) is one_by_one
