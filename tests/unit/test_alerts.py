"""Which alert rules a decision meets: conditions AND, an absent one filters nothing."""

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
    score: int = 0, *, pii: bool = False, action: str = "", agent: str = ""
) -> DecisionRecord:
    return DecisionRecord(
        decision_id="d",
        request_id="r",
        time=0.0,
        tenant_id="t",
        outcome=Outcome.ALLOW,
        risk=Risk(score, DEFAULT_RISK_TABLE.level(score)),
        subject=RecordedSubject(agent_id=agent),
        action=action,
        pii_detected=pii,
    )


def met(condition: dict[str, Any] | None, decided: DecisionRecord) -> bool:
    return bool(alerts_for(compile_alerts([rule(condition)]), decided))


@pytest.mark.parametrize("condition", [None, {}])
def test_a_rule_without_conditions_is_met_by_everything(condition: dict[str, Any] | None) -> None:
    assert met(condition, decision())
    assert met(condition, decision(100, pii=True, action="shell:run:now", agent="claude-code"))


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
def test_a_level_is_met_from_its_first_point_on(lowest: str, score: int, expected: bool) -> None:
    assert met({"risk_level_gte": lowest}, decision(score)) is expected


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
def test_part_of_an_action_is_met_in_any_case(part: str, action: str, expected: bool) -> None:
    assert met({"action_contains": part}, decision(action=action)) is expected


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("found", [True, False])
def test_personal_data_is_asked_for_either_way(wanted: bool, found: bool) -> None:
    assert met({"pii_detected": wanted}, decision(pii=found)) is (wanted is found)


@pytest.mark.parametrize(
    ("agent", "expected"),
    [("claude-code", True), ("Claude-Code", False), ("claude-code-2", False), ("", False)],
)
def test_an_agent_is_met_exactly(agent: str, expected: bool) -> None:
    assert met({"agent_id_eq": "claude-code"}, decision(agent=agent)) is expected


FULL = {
    "risk_level_gte": "high",
    "action_contains": "shell",
    "pii_detected": True,
    "agent_id_eq": "claude-code",
}


def test_all_conditions_together() -> None:
    whole = decision(65, pii=True, action="os:shell:run", agent="claude-code")
    assert met(FULL, whole)
    assert not met(FULL, whole._replace(risk=Risk(40, "medium")))
    assert not met(FULL, whole._replace(pii_detected=False))
    assert not met(FULL, whole._replace(action="os:file:run"))
    assert not met(FULL, whole._replace(subject=RecordedSubject(agent_id="other")))


def test_every_rule_that_is_met_is_named_in_order() -> None:
    documents = [rule(None, "a"), rule({"pii_detected": True}, "b"), rule({}, "c")]
    found = alerts_for(compile_alerts(documents), decision())
    assert [(each.name, each.webhook) for each in found] == [("a", WEBHOOK), ("c", WEBHOOK)]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "risk_level_gte": st.sampled_from(RISK_LEVELS),
            "action_contains": st.sampled_from(["shell", "SH", "os:", "x"]),
            "pii_detected": st.booleans(),
            "agent_id_eq": st.sampled_from(["claude-code", "other"]),
        },
    ),
    st.builds(
        decision,
        st.integers(0, 100),
        pii=st.booleans(),
        action=st.sampled_from(["", "os:shell:run"]),
        agent=st.sampled_from(["", "claude-code"]),
    ),
)
def test_a_rule_is_met_where_each_of_its_conditions_is(
    condition: dict[str, Any], decided: DecisionRecord
) -> None:
    one_by_one = all(met({name: value}, decided) for name, value in condition.items())
    assert met(condition, decided) is one_by_one
