"""The schemas of free-form values match how the server reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pdp.engine.rules.documents import CONDITION_NAMES, read_rule
from pdp.errors import InvalidArgument
from tests.unit.test_openapi import ROUTES, document_errors
from tools.openapi.free_form import CONDITIONS, FREE_FORM_SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_refused(conditions: dict[str, Any], action: dict[str, Any]) -> bool:
    """Returns whether the server refuses the conditions or the action of a rule."""
    try:
        read_rule(conditions, action)
    except InvalidArgument:
        return True
    return False


@pytest.mark.parametrize(
    ("conditions", "good"),
    [
        ({}, True),
        ({"user_groups": ["x" * 256], "channel": ["api"], "intent_complexity": ""}, True),
        ({"user_groups": None, "channel": None, "intent_complexity": None}, True),
        ({"entity_confidence_min": 1, "user_risk_score_min": -7.5, "content_regex": "a"}, True),
        ({"entity_types": ["x"] * 1000, "models": [], "providers": []}, True),
        ({"entity_types": ["x"] * 1001}, False),
        ({"user_groups": [""]}, False),
        ({"user_groups": ["x" * 257]}, False),
        ({"user_groups": "x"}, False),
        ({"entity_confidence_min": 1.1}, False),
        ({"content_regex": "x" * 1001}, False),
        ({"intent_complexity": "hard"}, False),
        ({"channel": ["phone"]}, False),
        ({"groups": ["x"]}, False),
        ({"not_user_groups": ["x"], "not_providers": ["x"], "not_models": ["gpt-*"]}, True),
        ({"tools": ["sql"], "agent_ids": ["a"], "expression": "batch_size > 1"}, True),
        ({"tools": "sql"}, False),
        ({"expression": 1}, False),
        ({"actions": ["cloud:iam:*", "*:*:delete"]}, True),
        ({"actions": ["cloud:iam"]}, False),
        ({"actions": ["Cloud:iam:read"]}, False),
        (
            {"schedule": {"days": ["mon"], "from": "22:00", "until": "06:00", "timezone": "UTC"}},
            True,
        ),
        ({"schedule": None}, True),
        ({"schedule": {"days": ["monday"]}}, False),
        ({"schedule": {"from": "25:00", "until": "06:00"}}, False),
        ({"schedule": {"at": "22:00"}}, False),
    ],
)
def test_the_schema_of_conditions_matches_the_server(
    conditions: dict[str, Any], good: bool
) -> None:
    assert (
        document_errors(conditions, {"$ref": "#/components/schemas/RuleConditions"}) == []
    ) is good
    assert is_refused(conditions, {"type": "ALLOW"}) is not good


@pytest.mark.parametrize(
    ("action", "good"),
    [
        ({"type": "ALLOW"}, True),
        ({"type": "BLOCK", "message": "x" * 2048}, True),
        ({"type": "CANCEL", "message": None}, True),
        ({"type": "REDACT", "redact_replacement": "x" * 256}, True),
        ({"type": "ROUTE_TO", "route_to_model": "m"}, True),
        ({"type": "ROUTE_TO", "route_to_tier": "haiku", "route_to_model": ""}, True),
        ({"type": "PROMPT", "prompt_message": "Sure?"}, True),
        ({"type": "ALLOW_WITH_OVERRIDE", "override_message": "Why?"}, True),
        ({"type": "ESCALATE"}, True),
        ({"type": "ESCALATE", "message": None, "approvers": None, "expires_s": None}, True),
        ({"type": "ESCALATE", "approvers": ["sre", "role:admin"], "expires_s": 604_800}, True),
        ({}, False),
        ({"type": "DENY"}, False),
        ({"type": "ALLOW", "message": "x"}, False),
        ({"type": "BLOCK", "message": "x" * 2049}, False),
        ({"type": "REDACT", "redact_replacement": "x" * 257}, False),
        ({"type": "ROUTE_TO"}, False),
        ({"type": "ROUTE_TO", "route_to_model": "m", "route_to_tier": "haiku"}, False),
        ({"type": "ROUTE_TO", "route_to_tier": "largest"}, False),
        ({"type": "PROMPT"}, False),
        ({"type": "PROMPT", "prompt_message": " "}, False),
        ({"type": "ALLOW_WITH_OVERRIDE", "override_message": None}, False),
        ({"type": "ESCALATE", "approvers": []}, False),
        ({"type": "ESCALATE", "approvers": [f"g{number}" for number in range(21)]}, False),
        ({"type": "ESCALATE", "expires_s": 0}, False),
        ({"type": "ESCALATE", "expires_s": 604_801}, False),
        ({"type": "ESCALATE", "prompt_message": "Sure?"}, False),
    ],
)
def test_the_schema_of_actions_matches_the_server(action: dict[str, Any], good: bool) -> None:
    assert (document_errors(action, {"$ref": "#/components/schemas/RuleAction"}) == []) is good
    assert is_refused({}, action) is not good


def test_the_schema_of_conditions_has_every_condition_of_the_server() -> None:
    assert set(CONDITIONS["properties"]) == set(CONDITION_NAMES)


def test_every_schema_belongs_to_a_free_form_field() -> None:
    free = {
        field.full_name
        for route in ROUTES
        for message in _reachable(route.method.request.DESCRIPTOR)
        for field in message.fields
        if field.message_type is not None
        and field.message_type.full_name in {"google.protobuf.Struct", "google.protobuf.Value"}
    }
    assert set(FREE_FORM_SCHEMAS) <= free


def _reachable(message: Any) -> Iterator[Any]:
    queue, visited = [message], set()
    while queue:
        each = queue.pop()
        if each.full_name not in visited:
            visited.add(each.full_name)
            yield each
            queue.extend(field.message_type for field in each.fields if field.message_type)
