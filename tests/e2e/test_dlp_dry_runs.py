"""Dry runs of DLP rules over HTTP: of one rule, and of all rules on a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.rest.dlp import (
    CARD_TEXT,
    RULES,
    evaluated,
    platform_rule,
    rule,
)
from tests.support.rest.packs import found, refused

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
def test_dry_run(client: httpx2.Client, body: Any, expected: Any) -> None:
    assert found(client.post(f"{RULES}/test", json=body)) == expected


def test_dry_run_of_named_entities(client: httpx2.Client) -> None:
    """Without a model, patterns answer for what they can find, and what is lacking is said."""
    body = {
        "rule_type": "ner",
        "pattern": "PERSON,EMAIL_ADDRESS",
        "sample_text": "Ann Miller can be reached at ann.miller@corp-mail.com.",
    }
    answer = found(client.post(f"{RULES}/test", json=body))
    (match,) = answer["matches"]
    assert match["matched_text"] == "ann.miller@corp-mail.com"
    assert match["entity_type"] == "EMAIL_ADDRESS"
    assert answer["valid_pattern"] is True
    assert "PERSON" in answer["error"]
    assert "EMAIL_ADDRESS" not in answer["error"]


def test_dry_run_by_free_labels(client: httpx2.Client) -> None:
    body = {"rule_type": "gliner", "pattern": "employee id,passport number", "sample_text": "x"}
    answer = found(client.post(f"{RULES}/test", json=body))
    assert (answer["rule_type"], answer["match_count"]) == ("gliner", 0)
    assert "employee id" in answer["error"]


def test_what_cannot_be_tried(client: httpx2.Client) -> None:
    body = {"rule_type": "bert", "pattern": "x", "sample_text": "x"}
    refused(client.post(f"{RULES}/test", json=body), 400, "INVALID_ARGUMENT", "rule_type")
    refused(
        client.post(f"{RULES}/test", json={"rule_type": "regex"}),
        400,
        "INVALID_ARGUMENT",
        "pattern",
    )


def test_evaluate(client: httpx2.Client, tenant: str) -> None:
    body = {"text": CARD_TEXT, "org_id": tenant, "group_id": None, "user_id": None}
    answer = found(client.post(f"{RULES}/evaluate", json=body))
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


def test_evaluate_an_orgs_own(client: httpx2.Client) -> None:
    before = evaluated(client, "nothing")
    own = rule(client, action_tier="prompt")
    answer = evaluated(client, "👍 PROJ-1234 and PROJ-5678")
    assert answer["custom_org_patterns"] == 1
    assert answer["rules_evaluated"] == before["rules_evaluated"] + 1
    assert answer["final_action"] == "prompt"
    (matched,) = [each for each in answer["matched_rules"] if each["rule_id"] == own["id"]]
    assert (matched["source"], matched["match_count"]) == ("tenant", 2)
    assert [each["matched_text"] for each in matched["matches"]] == ["PROJ-1234", "PROJ-5678"]
    assert matched["matches"][0]["start"] == 2
    assert "Loaded 1 enabled org rule(s)" in answer["decision_trace"]


def test_evaluate_nothing(client: httpx2.Client) -> None:
    answer = evaluated(client, "")
    assert (answer["text_length"], answer["rules_matched"]) == (0, 0)
    assert (answer["final_action"], answer["matched_rules"]) == ("none", [])
    assert answer["decision_trace"][-1] == "Final action determined: none"


def test_evaluate_for_another_tenant(client: httpx2.Client) -> None:
    body = {"text": "x", "org_id": "somebody-else"}
    refused(client.post(f"{RULES}/evaluate", json=body), 403, "TENANT_MISMATCH", "org_id")
