"""The OpenAPI document declares the error code of each fault in a pattern or an expression.

These faults are inside JSON documents, so no bound of a contract implies their codes.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.rest.packs import BLOCK, PACKS, pack, rule

if TYPE_CHECKING:
    import httpx2

DOCUMENT: Final = json.loads(
    (resources.files("pdp._gen") / "openapi.json").read_text(encoding="utf-8")
)
BAD_CONDITION = "batch_size >"
BAD_PATTERN = "("
IMPORT = "/v1/policy-file/import"
CONDITION = "INVALID_CONDITION"
PATTERN = "INVALID_PATTERN"

ALERT = {
    "name": "n",
    "condition": {"expression": BAD_CONDITION},
    "notify": {"slack_webhook_url": "https://localhost/x"},
}
STATIC = {"name": "n", "category": "custom", "pattern": "a", "action": "block"}
CUSTOM = {"custom_rules": {"r": {"condition": BAD_CONDITION, "score_impact": 5}}}
EXCEPTION = {
    "name": "n",
    "reason": "r",
    "ticket": "T-1",
    "everyone": True,
    "valid_until": "2999-01-01T00:00:00Z",
}


def _rule(**conditions: str) -> dict[str, Any]:
    return {"name": "r", "conditions": conditions, "action": BLOCK}


RULES = [
    (_rule(expression=BAD_CONDITION), CONDITION),
    (_rule(content_regex=BAD_PATTERN), PATTERN),
    (_rule(content_regex=BAD_PATTERN, expression=BAD_CONDITION), PATTERN),
]


def _check(
    answer: httpx2.Response, method: str, template: str, code: str, status: int = 400
) -> None:
    """Checks that an answer has an error code that the document declares for it."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    reference = DOCUMENT["paths"][template][method]["responses"][str(status)]["$ref"]
    response = DOCUMENT["components"]["responses"][reference.rpartition("/")[2]]
    schema = response["content"]["application/json"]["schema"]
    assert code in schema["allOf"][1]["properties"]["error"]["properties"]["code"]["enum"]


@pytest.mark.parametrize(("body", "code"), RULES)
def test_of_pack_rules(client: httpx2.Client, body: dict[str, Any], code: str) -> None:
    """A rule is created alone or with its pack, and changed."""
    pack_id = pack(client, "p")["id"]
    answer = client.post(PACKS, json={"name": "q", "rules": [body]})
    _check(answer, "post", PACKS, code)
    rules = f"{PACKS}/{pack_id}/rules"
    _check(client.post(rules, json=body), "post", f"{PACKS}/{{pack_id}}/rules", code)
    rule_id = rule(client, pack_id)["id"]
    change = {"conditions": body["conditions"]}
    template = f"{PACKS}/{{pack_id}}/rules/{{rule_id}}"
    _check(client.put(f"{rules}/{rule_id}", json=change), "put", template, code)


def test_of_alert_rules(client: httpx2.Client) -> None:
    """The org policy has expressions in its alert rules."""
    path = "/v1/org/policy"
    _check(client.put(path, json={"alert_rules": [ALERT]}), "put", path, CONDITION, 422)


def test_of_customer_policies(client: httpx2.Client) -> None:
    """The document of a customer has conditions."""
    _check(
        client.post("/policies/c", json=CUSTOM), "post", "/policies/{customer_id}", CONDITION, 422
    )


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"families": ["sql"], "expression": BAD_CONDITION}, CONDITION),
        ({"entity_types": ["EMAIL"], "value_patterns": [BAD_PATTERN]}, PATTERN),
    ],
)
def test_of_exceptions(client: httpx2.Client, fields: dict[str, Any], code: str) -> None:
    """An exception has an expression, and patterns of values."""
    path = "/v1/exceptions"
    _check(client.post(path, json={**EXCEPTION, **fields}), "post", path, code)


@pytest.mark.parametrize(
    ("section", "entry", "code", "field"),
    [
        ("static_policies", [{**STATIC, "pattern": BAD_PATTERN}], PATTERN, "[0].pattern"),
        ("static_policies", [{**STATIC, "expression": BAD_CONDITION}], CONDITION, "[0].expression"),
        ("static_policies", [{**STATIC, "action": "stop"}], "INVALID_ACTION", "[0].action"),
        (
            "packs",
            [{"name": "p", "rules": [RULES[0][0]]}],
            CONDITION,
            "[0].rules[0].conditions.expression",
        ),
        (
            "customer_policies",
            [{"customer_id": "c", "policies": CUSTOM}],
            CONDITION,
            "[0].policies.custom_rules.r.condition",
        ),
        ("org_policy", {"alert_rules": [ALERT]}, CONDITION, ".alert_rules[0].condition.expression"),
    ],
)
def test_of_policy_files(
    client: httpx2.Client, section: str, entry: Any, code: str, field: str
) -> None:
    """A file has all of them; the error names the place in the file."""
    answer = client.post(IMPORT, json={"policies": {section: entry}})
    _check(answer, "post", IMPORT, code)
    fields = [each["field"] for each in answer.json()["error"]["details"]]
    assert fields == [f"policies.{section}{field}"]
