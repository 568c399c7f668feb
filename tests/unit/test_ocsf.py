"""Events are valid OCSF and describe the decision or the change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.domain.decision import Match, Obligation, ObligationType, Outcome
from pdp.domain.decision_record import RecordedEntity, RecordedSubject, RecordedTarget
from pdp.domain.stored_entity import Change
from pdp.export.ocsf import schema
from pdp.export.ocsf.changes import change_event
from pdp.export.ocsf.decisions import decision_events
from pdp.export.siem.directory import make_test_event
from pdp.export.siem.text import compact
from tests.support.ocsf_schema import faults
from tests.support.records import NOW, card, record

if TYPE_CHECKING:
    from pdp.domain.decision_record import DecisionRecord


def events(decision: DecisionRecord) -> dict[int, dict[str, Any]]:
    """Returns the events of a decision by class."""
    all_events = list(decision_events(decision))
    by_class = {each["class_uid"]: each for each in all_events}
    assert len(by_class) == len(all_events)
    return by_class


def test_the_checker_of_the_tests_detects_violations() -> None:
    event = events(record())[6003]
    assert faults(event) == []
    broken: list[dict[str, Any]] = [
        {key: value for key, value in event.items() if key != "api"},
        {**event, "type_uid": 600301},
        {**event, "disposition_id": 77},
        {**event, "time": 1.5},
        {**event, "actor": {"groups": []}},
        {**event, "api": {"operation": "x", "service": {}}},
        {**event, "metadata": {**event["metadata"], "profiles": []}},
        {**event, "metadata": {"product": {}, "profiles": ["security_control"]}},
    ]
    assert all(faults(each) for each in broken)


def test_a_decision_is_an_api_activity() -> None:
    event = events(record())[6003]
    assert event["type_uid"] == 600304, "a drop is a Delete"
    assert event["time"] == round((NOW + 1) * 1000)
    assert event["metadata"] == {
        "version": "1.8.0",
        "product": schema.PRODUCT,
        "uid": "decision-1",
        "profiles": ["security_control", "ai_operation"],
        "tenant_uid": "acme",
        "log_name": "pdp",
        "correlation_uid": "request-1",
    }
    assert event["actor"] == {
        "user": {"uid": "u1", "name": "u1", "groups": [{"name": "staff"}]},
        "app_uid": "claude-code",
        "app_name": "claude-code",
    }
    assert event["api"]["operation"] == "database:table:drop"
    assert event["ai_model"] == {"ai_provider": "openai", "name": "gpt-4o"}
    assert event["resources"] == [{"type": "table", "uid": "users", "labels": ["PII"]}]
    assert (event["risk_score"], event["risk_level_id"], event["severity_id"]) == (65, 3, 4)
    assert event["policy"]["uid"] == "sys_sqli_union"
    assert (event["status_id"], event["status_code"]) == (2, "STATIC_POLICY_BLOCKED")


@pytest.mark.parametrize(
    ("outcome", "disposition", "action"),
    [
        (Outcome.ALLOW, 1, 1),
        (Outcome.WARN, 17, 3),
        (Outcome.ALLOW_WITH_OVERRIDE, 1, 1),
        (Outcome.ROUTE_TO, 11, 4),
        (Outcome.REDACT, 11, 4),
        (Outcome.PROMPT, 23, 2),
        (Outcome.ESCALATE, 23, 2),
        (Outcome.CANCEL, 2, 2),
        (Outcome.BLOCK, 2, 2),
    ],
)
def test_every_outcome_has_a_disposition(outcome: Outcome, disposition: int, action: int) -> None:
    for event in decision_events(record(outcome=outcome)):
        assert (event["disposition_id"], event["action_id"]) == (disposition, action)
        assert faults(event) == []


def test_a_request_that_waits_for_an_approval_names_it_without_its_token() -> None:
    waiting = Obligation(
        ObligationType.APPROVAL,
        message="May it?",
        approval_id="01A",
        expires_at=NOW,
        token="s3cret-t0ken",
        approval_state="pending",
    )
    event = events(record(outcome=Outcome.ESCALATE, obligations=(waiting,)))[6003]
    assert event["unmapped"]["outcome"] == "ESCALATE"
    assert event["unmapped"]["approval"] == {
        "uid": "01A",
        "state": "pending",
        "expires_at": "2026-09-21T14:13:20.250Z",
    }
    assert "s3cret-t0ken" not in str(event)
    prompt = Obligation(ObligationType.PROMPT, message="Sure?", token="s3cret-t0ken")
    event = events(record(outcome=Outcome.PROMPT, obligations=(prompt,)))[6003]
    assert "approval" not in event["unmapped"]
    assert "s3cret-t0ken" not in str(event)


def test_a_match_that_was_approved_says_by_which_approval() -> None:
    passed = Match("chain", "p", "Deleting", "ESCALATE", "high", "matched", approved_by="01A")
    other = Match("chain", "q", "Reading", "ALLOW", "low", "matched")
    event = events(record(outcome=Outcome.ALLOW, matches=(passed, other)))[6003]
    assert [each.get("approved_by") for each in event["unmapped"]["matches"]] == ["01A", None]


def test_every_outcome_is_an_alert_if_it_does_not_let_the_request_pass() -> None:
    for outcome in Outcome:
        event = events(record(score=0, outcome=outcome, matches=()))[6003]
        assert event["is_alert"] is (outcome >= Outcome.PROMPT)
        assert event["status_id"] == (2 if outcome >= Outcome.PROMPT else 1)


def test_detected_data_is_a_data_security_finding() -> None:
    by_class = events(card())
    assert by_class.keys() == {6003, 2006}
    event = by_class[2006]
    assert event["finding_info"]["uid"] == event["metadata"]["uid"] == "decision-1/data"
    assert event["finding_info"]["title"] == "Data found: CREDIT_CARD"
    assert event["finding_info"]["related_events"] == [{"uid": "decision-1", "type_uid": 600304}]
    assert event["data_security"]["category_id"] == 3, "financial"
    assert event["data_security"]["policy"]["uid"] == "dlp_card"
    assert event["unmapped"]["entities"] == [
        {"entity_type": "CREDIT_CARD", "category": "financial", "confidence": 0.9}
    ]


def test_an_attack_is_a_detection_finding() -> None:
    by_class = events(record())
    assert by_class.keys() == {6003, 2004}
    event = by_class[2004]
    assert event["metadata"]["uid"] == "decision-1/attack"
    assert (event["severity_id"], event["is_alert"]) == (5, True)
    [attack] = event["finding_info"]["attacks"]
    assert (attack["technique"]["uid"], attack["tactic"]["uid"]) == ("T1190", "TA0001")
    assert event["attacks"] == event["finding_info"]["attacks"]


def test_a_match_of_a_tenants_policy_is_an_attack_unless_it_detects_data() -> None:
    own = Match("static", "pol_1", "No rivals", "block", "high", "matched")
    assert events(record(matches=(own,))).keys() == {6003, 2004}
    entity = RecordedEntity("EMPLOYEE_ID", "pii", "pol_1")
    assert events(record(matches=(own,), entities=(entity,))).keys() == {6003, 2006}


def test_a_decision_without_findings_is_one_event() -> None:
    decision = record(score=0, outcome=Outcome.ALLOW, matches=(), provider="", model="", action="")
    by_class = events(decision._replace(subject=RecordedSubject(), target=RecordedTarget()))
    assert by_class.keys() == {6003}
    event = by_class[6003]
    assert event["metadata"]["profiles"] == ["security_control"]
    assert (event["status_id"], event["is_alert"], event["type_uid"]) == (1, False, 600399)
    assert faults(event) == []


TEXTS = st.sampled_from(["", "a", "database:table:select", "x" * 300, 'q"\n\\', "\ud800"])
MATCHES = st.lists(
    st.builds(
        Match,
        st.sampled_from(["static", "dlp", "chain", "customer"]),
        st.sampled_from(["sys_sqli_union", "sys_command_rm", "sys_pii_ssn", "pol_1"]),
        TEXTS,
        st.just("block"),
        st.sampled_from(["low", "medium", "high", "critical", ""]),
        TEXTS,
    ),
    max_size=3,
).map(tuple)
ENTITIES = st.lists(
    st.builds(
        RecordedEntity,
        st.sampled_from(["SSN", "EMAIL"]),
        st.sampled_from(["", "pii", "medical", "financial", "secret", "infrastructure"]),
        st.sampled_from(["", "pol_1"]),
    ),
    max_size=3,
).map(tuple)


DECISIONS = st.builds(
    record,
    score=st.integers(0, 100),
    outcome=st.sampled_from(Outcome),
    matches=MATCHES,
    entities=ENTITIES,
    subject=st.builds(RecordedSubject, TEXTS, st.just(()), TEXTS),
    action=TEXTS,
    tool=TEXTS,
    provider=TEXTS,
    model=TEXTS,
)


@given(DECISIONS)
def test_the_events_of_every_decision_are_valid(decision: DecisionRecord) -> None:
    uids = set()
    for event in decision_events(decision):
        assert faults(event) == []
        uids.add(event["metadata"]["uid"])
        assert json.loads(compact(event))["class_uid"] == event["class_uid"]
    assert len(uids) == len(list(decision_events(decision)))


def change(op: str = "update", **fields: Any) -> Change:
    values: dict[str, Any] = {
        "revision": 42,
        "tenant_id": "acme",
        "kind": "static_policy",
        "entity_id": "pol_1",
        "op": op,
        "before": {"name": "No rivals", "pattern": "rival", "action": "warn"},
        "after": {"name": "No rivals", "pattern": "secret-word", "action": "block"},
        "actor": "alice",
        "at": NOW,
        "summary": "Updated pattern, action",
        **fields,
    }
    return Change(**values)


def test_an_admin_change_is_entity_management() -> None:
    event = change_event(change())
    assert faults(event) == []
    assert event["type_uid"] == 300403
    assert event["actor"]["user"]["name"] == "alice"
    assert event["entity"] == {
        "uid": "pol_1",
        "name": "No rivals",
        "type_id": 5,
        "type": "Policy",
        "version": "42",
    }
    assert event["unmapped"]["changed_fields"] == ["action", "pattern"]
    assert "secret-word" not in str(event), "values are for admins only"


@pytest.mark.parametrize(
    ("op", "fields", "expected"),
    [
        ("create", {"before": None}, 300401),
        ("delete", {"after": None}, 300404),
        (
            "update",
            {
                "kind": "model_config",
                "before": {"kill_switch_disabled_at": None},
                "after": {"kill_switch_disabled_at": 1.0},
            },
            300409,
        ),
        (
            "update",
            {
                "kind": "model_config",
                "before": {"kill_switch_disabled_at": 1.0},
                "after": {"kill_switch_disabled_at": None},
            },
            300408,
        ),
    ],
)
def test_the_activity_is_that_of_the_change(op: str, fields: dict[str, Any], expected: int) -> None:
    event = change_event(change(op, **fields))
    assert faults(event) == []
    assert event["type_uid"] == expected


def approval_change(before: str | None, after: str, **fields: Any) -> Change:
    record_ = {"redacted_text": "raw-looking"}
    bodies = [
        None if state is None else {"state": state, "record": record_, "answer_reason": "quiet"}
        for state in (before, after)
    ]
    return change(
        "create" if before is None else "update",
        kind="approval",
        entity_id="01A",
        before=bodies[0],
        after=bodies[1],
        summary="ann did it",
        **fields,
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, "pending", 300401),
        ("pending", "pending", 300403),
        ("pending", "approved", 300410),
        ("approved", "used", 300411),
        ("pending", "denied", 300411),
        ("approved", "cancelled", 300411),
        ("pending", "expired", 300411),
    ],
)
def test_a_change_of_an_approval_is_named_by_its_new_state(
    before: str | None, after: str, expected: int
) -> None:
    event = change_event(approval_change(before, after))
    assert faults(event) == []
    assert event["type_uid"] == expected
    entity = event["entity"]
    assert (entity["uid"], entity["type_id"], entity["type"]) == ("01A", 99, "approval")
    assert event["unmapped"]["approval_state"] == after
    for absent in ("raw-looking", "quiet"):
        assert absent not in str(event)


def test_a_used_confirmation_is_created_and_has_no_values() -> None:
    body = {"state": "used", "expires_at": NOW, "input_hash": "ab12"}
    event = change_event(
        change("create", kind="confirmation", entity_id="01C", before=None, after=body)
    )
    assert faults(event) == []
    assert (event["type_uid"], event["entity"]["type"]) == (300401, "confirmation")
    assert event["unmapped"]["approval_state"] == "used"
    assert "ab12" not in str(event)


def test_a_state_of_other_entities_is_not_that_of_an_approval() -> None:
    event = change_event(change(before={"state": "pending"}, after={"state": "approved"}))
    assert event["type_uid"] == 300403
    assert "approval_state" not in event["unmapped"]


def test_the_event_of_a_test_delivery_is_valid() -> None:
    event = make_test_event("alice")
    assert faults(event.document) == []
    assert event.document["metadata"]["labels"] == ["test"]
