"""Dry runs of one DLP rule, and of all rules on a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.rest.dlp import (
    CARD_TEXT,
    RULES,
    evaluate,
    platform_rule,
    rule,
)
from tests.support.rest.packs import check_error, ok_json

if TYPE_CHECKING:
    import httpx2


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {
                "rule_type": "regex",
                "pattern": r"\b[A-Z]{2}[0-9]{6}\b",
                "sample_text": "Employee ID AB123456 accessed the system.",
            },
            {
                "matches": [
                    {
                        "start": 12,
                        "end": 20,
                        "matched_text": "AB123456",
                        "entity_type": None,
                        "action": "log_only",
                    }
                ],
                "match_count": 1,
                "rule_type": "regex",
                "valid_pattern": True,
                "error": None,
            },
        ),
        (
            {"rule_type": "regex", "pattern": "(x", "sample_text": "x"},
            {
                "matches": [],
                "match_count": 0,
                "rule_type": "regex",
                "valid_pattern": False,
                "error": "Invalid regex: missing ): (x",
            },
        ),
        (
            {"rule_type": "ner", "pattern": " , ", "sample_text": "x"},
            {
                "matches": [],
                "match_count": 0,
                "rule_type": "ner",
                "valid_pattern": False,
                "error": "names no entity type",
            },
        ),
    ],
)
def test_a_dry_run_returns_the_matches(client: httpx2.Client, body: Any, expected: Any) -> None:
    assert ok_json(client.post(f"{RULES}/test", json=body)) == expected


def test_a_dry_run_of_named_entities_without_a_model(client: httpx2.Client) -> None:
    """Without a model, patterns find some entities, and the response says what is missing."""
    body = {
        "rule_type": "ner",
        "pattern": "PERSON,EMAIL_ADDRESS",
        "sample_text": "Ann Miller can be reached at ann.miller@corp-mail.com.",
    }
    answer = ok_json(client.post(f"{RULES}/test", json=body))
    (match,) = answer["matches"]
    assert match["matched_text"] == "ann.miller@corp-mail.com"
    assert match["entity_type"] == "EMAIL_ADDRESS"
    assert answer["valid_pattern"] is True
    assert "PERSON" in answer["error"]
    assert "EMAIL_ADDRESS" not in answer["error"]


def test_a_dry_run_with_labels(client: httpx2.Client) -> None:
    body = {"rule_type": "gliner", "pattern": "employee id,passport number", "sample_text": "x"}
    answer = ok_json(client.post(f"{RULES}/test", json=body))
    assert (answer["rule_type"], answer["match_count"]) == ("gliner", 0)
    assert "employee id" in answer["error"]


def test_invalid_dry_runs_are_refused(client: httpx2.Client) -> None:
    body = {"rule_type": "bert", "pattern": "x", "sample_text": "x"}
    check_error(client.post(f"{RULES}/test", json=body), 400, "INVALID_ARGUMENT", "rule_type")
    check_error(
        client.post(f"{RULES}/test", json={"rule_type": "regex"}),
        400,
        "INVALID_ARGUMENT",
        "pattern",
    )


def test_evaluate_returns_the_matched_rules(client: httpx2.Client, tenant: str) -> None:
    body = {"text": CARD_TEXT, "org_id": tenant, "group_id": None, "user_id": None}
    answer = ok_json(client.post(f"{RULES}/evaluate", json=body))
    card = platform_rule(client)
    matched = answer["matched_rules"][0]
    assert list(answer) == [
        "text_length",
        "org_id",
        "rules_evaluated",
        "rules_matched",
        "final_action",
        "matched_rules",
        "suppressed_rule_ids",
        "custom_org_patterns",
        "decision_trace",
    ]
    assert (answer["text_length"], answer["org_id"]) == (49, tenant)
    assert answer["final_action"] == "redact"
    assert answer["rules_matched"] == len(answer["matched_rules"])
    assert (answer["suppressed_rule_ids"], answer["custom_org_patterns"]) == ([], 0)
    assert matched == {
        "rule_id": card["id"],
        "rule_name": "Credit Card Number",
        "detector_type": "regex",
        "entity_type": "CREDIT_CARD",
        "action_tier": "redact",
        "match_count": 1,
        "matches": [
            {
                "start": 32,
                "end": 48,
                "matched_text": "4111111111111111",
                "entity_type": "CREDIT_CARD",
                "action": "redact",
                "confidence": matched["matches"][0]["confidence"],
            }
        ],
        "source": "platform",
    }
    assert matched["matches"][0]["confidence"] >= card["confidence_threshold"]
    trace = answer["decision_trace"]
    assert trace[:2] == [
        f"Starting evaluation for org_id={tenant}, text_length=49",
        f"Loaded {answer['rules_evaluated']} enabled platform rules",
    ]
    assert "Rule 'Credit Card Number' matched 1 time(s) → action=redact" in trace
    assert trace[-1] == "Final action determined: redact"


def test_evaluate_uses_rules_of_the_tenant(client: httpx2.Client) -> None:
    before = evaluate(client, "nothing")
    own = rule(client, action_tier="prompt")
    answer = evaluate(client, "👍 PROJ-1234 and PROJ-5678")
    assert answer["custom_org_patterns"] == 1
    assert answer["rules_evaluated"] == before["rules_evaluated"] + 1
    assert answer["final_action"] == "prompt"
    (matched,) = [each for each in answer["matched_rules"] if each["rule_id"] == own["id"]]
    assert (matched["source"], matched["match_count"]) == ("tenant", 2)
    assert [each["matched_text"] for each in matched["matches"]] == ["PROJ-1234", "PROJ-5678"]
    assert matched["matches"][0]["start"] == 2
    assert "Loaded 1 enabled org rule(s)" in answer["decision_trace"]


def test_evaluate_a_text_without_matches(client: httpx2.Client) -> None:
    answer = evaluate(client, "")
    assert (answer["text_length"], answer["rules_matched"]) == (0, 0)
    assert (answer["final_action"], answer["matched_rules"]) == ("none", [])
    assert answer["decision_trace"][-1] == "Final action determined: none"


def test_evaluate_for_another_tenant_is_refused(client: httpx2.Client) -> None:
    body = {"text": "x", "org_id": "somebody-else"}
    check_error(client.post(f"{RULES}/evaluate", json=body), 403, "TENANT_MISMATCH", "org_id")
