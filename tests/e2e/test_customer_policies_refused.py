"""Invalid customer policies: every status and error of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.rest.customers import CUSTOMER, JSON, POLICIES, error_of

if TYPE_CHECKING:
    import httpx2


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"sensitive_fields": "ssn"}, "sensitive_fields"),
        ({"sensitive_fields": ["ssn", 7]}, "sensitive_fields[1]"),
        ({"sensitive_fields": None}, "sensitive_fields"),
        ({"allowed_tools": [""]}, "allowed_tools[0]"),
        ({"allowed_tools": ["x" * 257]}, "allowed_tools[0]"),
        ({"allowed_tools": ["x"] * 1001}, "allowed_tools"),
        ({"blocked_actions": ["database:drop"]}, "blocked_actions[0]"),
        ({"blocked_actions": ["Database:table:drop"]}, "blocked_actions[0]"),
        ({"blocked_actions": ["database:table:*"]}, "blocked_actions[0]"),
        ({"blocked_actions": ["a:b:c:d"]}, "blocked_actions[0]"),
        ({"blocked_actions": ["a:b:c\n"]}, "blocked_actions[0]"),
        ({"blocked_action_patterns": ["cloud:iam*:modify"]}, "blocked_action_patterns[0]"),
        ({"blocked_action_patterns": ["cloud:*"]}, "blocked_action_patterns[0]"),
        ({"blocked_action_patterns": ["**:a:b"]}, "blocked_action_patterns[0]"),
        ({"allowed_action_patterns": ["a:*:*", "a:b:c.*"]}, "allowed_action_patterns[1]"),
        ({"custom_rules": []}, "custom_rules"),
        ({"custom_rules": {"r": "a > 1"}}, "custom_rules.r"),
        ({"custom_rules": {"": {"condition": "a", "score_impact": 1}}}, "custom_rules['']"),
        ({"custom_rules": {"r": {"score_impact": 1}}}, "custom_rules.r.condition"),
        ({"custom_rules": {"r": {"condition": "a > 1"}}}, "custom_rules.r.score_impact"),
        (
            {"custom_rules": {"r": {"condition": "a > 1", "score_impact": 101}}},
            "custom_rules.r.score_impact",
        ),
        (
            {"custom_rules": {"r": {"condition": "a > 1", "score_impact": -1}}},
            "custom_rules.r.score_impact",
        ),
        (
            {"custom_rules": {"r": {"condition": "a > 1", "score_impact": 1.5}}},
            "custom_rules.r.score_impact",
        ),
        (
            {"custom_rules": {"r": {"condition": "a > 1", "score_impact": True}}},
            "custom_rules.r.score_impact",
        ),
        (
            {"custom_rules": {"r": {"condition": "a > 1", "score_impact": 1, "impact": 2}}},
            "custom_rules.r.impact",
        ),
        (
            {"custom_rules": {"a.b c": {"condition": 1, "score_impact": 1}}},
            "custom_rules['a.b c'].condition",
        ),
        ({"sensitive_field": ["ssn"]}, "sensitive_field"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "europe/berlin"}, "timezone"),
        ({"timezone": 1}, "timezone"),
    ],
)
def test_an_invalid_value_is_422_with_its_field(
    client: httpx2.Client, document: dict[str, Any], field: str
) -> None:
    error = error_of(client.post(f"/policies/{CUSTOMER}", json=document), 422)
    assert error["code"] == "INVALID_ARGUMENT"
    assert [detail["field"] for detail in error["details"]] == [field]
    assert error["details"][0]["reason"]
    error_of(client.get(f"/policies/{CUSTOMER}"), 404)


def test_a_condition_that_does_not_compile_is_422_with_its_place(client: httpx2.Client) -> None:
    client.post(f"/policies/{CUSTOMER}", json=POLICIES)
    rules = {
        "after_hours_penalty": {"condition": "hour(timestamp) <", "score_impact": 15},
        "max_sensitivity_for_batch": POLICIES["custom_rules"]["max_sensitivity_for_batch"],
    }
    answer = client.post(f"/policies/{CUSTOMER}", json={"custom_rules": rules})
    error = error_of(answer, 422)
    assert error["code"] == "INVALID_CONDITION"
    (detail,) = error["details"]
    assert detail["field"] == "custom_rules.after_hours_penalty.condition"
    assert "line 1, column 18" in detail["reason"]
    *_, line, caret = error["message"].split("\n")
    assert (line, caret) == ("  hour(timestamp) <", "                   ^")
    # A refused write changes nothing.
    assert client.get(f"/policies/{CUSTOMER}").json()["policies"] == POLICIES


def test_one_response_names_all_errors(client: httpx2.Client) -> None:
    document = {"blocked_actions": ["x", "a:b:c", "y"], "timezone": "x", "unknown": 1}
    error = error_of(client.post(f"/policies/{CUSTOMER}", json=document), 422)
    fields = {detail["field"] for detail in error["details"]}
    assert fields == {"blocked_actions[0]", "blocked_actions[2]", "timezone", "unknown"}


def test_a_body_that_is_not_an_object_is_refused(client: httpx2.Client) -> None:
    assert error_of(client.post(f"/policies/{CUSTOMER}", content=b"{", headers=JSON), 400)
    error = error_of(client.post(f"/policies/{CUSTOMER}", json=[]), 422)
    assert error["details"][0]["field"] == "policies"
    error = error_of(client.post(f"/policies/{CUSTOMER}", content=b"null", headers=JSON), 422)
    assert error["details"][0]["field"] == "policies"
    error_of(client.post(f"/policies/{CUSTOMER}", headers=JSON), 400)
    for customer_id in ("x" * 257, "a%00b"):
        error = error_of(client.post(f"/policies/{customer_id}", json={}), 422)
        assert error["details"][0]["field"] == "customer_id"


def test_a_document_over_the_size_limit_is_413(client: httpx2.Client) -> None:
    rules = {
        f"r{index}": {"condition": "a > 1", "score_impact": 1, "description": "x" * 4000}
        for index in range(300)
    }
    error = error_of(client.post(f"/policies/{CUSTOMER}", json={"custom_rules": rules}), 413)
    assert error["code"] == "REQUEST_TOO_LARGE"
    error_of(client.get(f"/policies/{CUSTOMER}"), 404)
