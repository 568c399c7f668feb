"""Expressions of alert rules: which decisions meet them, and how they are refused."""

from __future__ import annotations

from typing import Any

import pytest

from pdp import catalog
from pdp.decisions.record_builder import PendingRecord, RecordBuilder
from pdp.detect.validators import VALIDATORS
from pdp.domain import org_policy, user_group
from pdp.domain.org_policy import OrgPolicy
from pdp.domain.policy_set import PolicySet
from pdp.domain.request import Entity, Request, Subject
from pdp.domain.user_group import UserGroup
from pdp.engine.compiler import compile_platform, compile_tenant
from pdp.engine.evaluate import evaluate
from pdp.export.alerts.rules import alerts_for, compile_alerts

PLATFORM = compile_platform(PolicySet(), VALIDATORS, detectors=catalog.detectors())
GROUPS = {"7": UserGroup("7", "On Call", members=("ana",))}


def rule(expression: str) -> dict[str, Any]:
    notify = {"slack_webhook_url": "https://hooks.example/x"}
    return {"name": expression, "condition": {"expression": expression}, "notify": notify}


def alerts(expression: str, request: Request) -> int:
    """Returns how many alerts the recorded decision on a request sends."""
    policy = OrgPolicy(alert_rules=[rule(expression)])
    own = PolicySet({org_policy.KIND: {org_policy.ID: policy}, user_group.KIND: GROUPS})
    snapshot = compile_tenant(PLATFORM, "t", own, 1)
    decision = evaluate(snapshot, request, "d")
    recorded = RecordBuilder().make(PendingRecord(snapshot, request, decision, 0.0))
    rules = compile_alerts(recorded.policy.alert_rules)
    return len(alerts_for(rules, recorded.record, recorded.met_expressions))


@pytest.mark.parametrize(
    ("expression", "request_", "expected"),
    [
        ("'on call' IN groups", Request(subject=Subject("ana")), 1),
        ("'on call' IN groups", Request(subject=Subject("bea")), 0),
        ("'EMAIL' IN findings.types", Request(text="To ana@example.com"), 1),
        ("'EMAIL' IN findings.types", Request(text="To Ana"), 0),
        ("'SSN' IN findings.types", Request(entities=(Entity("US_SSN"),)), 1),
        ("findings.count = 0", Request(text="Nothing"), 1),
        ("arguments.force = true", Request(arguments={"force": True}), 1),
        ("arguments.force = true", Request(), 0),
        ("context.team = 'red'", Request(context={"team": "red"}), 1),
    ],
)
def test_an_alert_is_sent_if_the_expression_is_true(
    expression: str, request_: Request, expected: int
) -> None:
    assert alerts(expression, request_) == expected
