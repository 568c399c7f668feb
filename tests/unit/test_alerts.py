"""Which alert rules a decision meets: conditions AND, an absent one filters nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.domain.decision import Decision, Outcome, Risk
from pdp.domain.org_policy import RISK_LEVELS
from pdp.domain.request import Request, Subject
from pdp.domain.risk import DEFAULT_RISK_TABLE
from pdp.engine.alerts import alerts_for, compile_alerts

WEBHOOK = "https://hooks.slack.com/services/T/B/x"


def rule(condition: dict[str, Any] | None, name: str = "Rule") -> dict[str, Any]:
    document: dict[str, Any] = {"name": name, "notify": {"slack_webhook_url": WEBHOOK}}
    return document if condition is None else {**document, "condition": condition}


def decision(score: int = 0, *, pii: bool = False) -> Decision:
    risk = Risk(score, DEFAULT_RISK_TABLE.level(score))
    return Decision("d", "r", Outcome.ALLOW, "", "", 200, risk, 1, pii_detected=pii)


def request(action: str = "", agent: str = "") -> Request:
    return Request(action=action, subject=Subject(agent_id=agent))


def met(condition: dict[str, Any] | None, asked: Request, decided: Decision) -> bool:
    return bool(alerts_for(compile_alerts([rule(condition)]), asked, decided))


@pytest.mark.parametrize("condition", [None, {}])
def test_a_rule_without_conditions_is_met_by_everything(condition: dict[str, Any] | None) -> None:
    assert met(condition, request(), decision())
    assert met(condition, request("shell:run:now", "claude-code"), decision(100, pii=True))


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
    assert met({"risk_level_gte": lowest}, request(), decision(score)) is expected


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
    assert met({"action_contains": part}, request(action), decision()) is expected


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("found", [True, False])
def test_personal_data_is_asked_for_either_way(wanted: bool, found: bool) -> None:
    assert met({"pii_detected": wanted}, request(), decision(pii=found)) is (wanted is found)


@pytest.mark.parametrize(
    ("agent", "expected"),
    [("claude-code", True), ("Claude-Code", False), ("claude-code-2", False), ("", False)],
)
def test_an_agent_is_met_exactly(agent: str, expected: bool) -> None:
    assert met({"agent_id_eq": "claude-code"}, request(agent=agent), decision()) is expected


FULL = {
    "risk_level_gte": "high",
    "action_contains": "shell",
    "pii_detected": True,
    "agent_id_eq": "claude-code",
}


def test_all_conditions_together() -> None:
    asked = request("os:shell:run", "claude-code")
    assert met(FULL, asked, decision(65, pii=True))
    assert not met(FULL, asked, decision(40, pii=True))
    assert not met(FULL, asked, decision(65))
    assert not met(FULL, request("os:file:run", "claude-code"), decision(65, pii=True))
    assert not met(FULL, request("os:shell:run", "other"), decision(65, pii=True))


def test_every_rule_that_is_met_is_named_in_order() -> None:
    documents = [rule(None, "a"), rule({"pii_detected": True}, "b"), rule({}, "c")]
    found = alerts_for(compile_alerts(documents), request(), decision())
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
    st.builds(request, st.sampled_from(["", "os:shell:run"]), st.sampled_from(["", "claude-code"])),
    st.builds(decision, st.integers(0, 100), pii=st.booleans()),
)
def test_a_rule_is_met_where_each_of_its_conditions_is(
    condition: dict[str, Any], asked: Request, decided: Decision
) -> None:
    one_by_one = all(met({name: value}, asked, decided) for name, value in condition.items())
    assert met(condition, asked, decided) is one_by_one
