"""Requests of the decision API and the customer policy API, for their tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import httpx2


JSON: Final = {"Content-Type": "application/json"}
CUSTOMER: Final = "cust_8f2e4a91-bb3c-4d17-a1e0-6c9f3d5b7e82"
POLICIES: Final[dict[str, Any]] = {
    "sensitive_fields": [
        "ssn",
        "credit_card",
        "api_key",
        "password",
        "date_of_birth",
        "bank_account",
    ],
    "allowed_tools": [
        "read_file",
        "search_code",
        "create_pull_request",
        "list_issues",
        "send_message",
    ],
    "blocked_actions": [
        "database:table:drop",
        "filesystem:file:delete",
        "cloud:iam:modify",
        "cloud:secrets:read",
    ],
    "custom_rules": {
        "max_sensitivity_for_batch": {
            "condition": "batch_size > 100 AND target.sensitivity_level >= 3",
            "score_impact": 30,
            "description": "Flag large batch operations on sensitive resources",
        },
        "after_hours_penalty": {
            "condition": "hour(timestamp) < 6 OR hour(timestamp) > 22",
            "score_impact": 15,
            "description": "Elevate risk for actions outside business hours",
        },
    },
    "allowed_action_patterns": ["github:pull_request:*", "slack:message:send", "jira:issue:*"],
    "blocked_action_patterns": ["*:*:delete", "cloud:iam:*", "database:schema:*"],
    "sensitive_classifications": ["PII", "PHI", "financial", "secret", "restricted"],
}
_is_time: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z").fullmatch


def decide(client: httpx2.Client, **request: Any) -> dict[str, Any]:
    """Returns the decision on a request of the customer at noon."""
    body = {"customer_id": CUSTOMER, "timestamp": "2026-02-26T12:00:00Z", **request}
    decision: dict[str, Any] = client.post("/v1/decide", json=body).json()
    return decision


def error_of(answer: httpx2.Response, status: int) -> dict[str, Any]:
    """Returns the error of a response, which must have the status and the error format."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) == {"code", "message", "details"}
    return error
