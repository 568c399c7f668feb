"""Seeds 001 and 004 from top to bottom, over HTTP: every field, status and error."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import httpx2
import pytest

from pdp._gen.pdp.v1 import customer_policy_pb2 as pb
from pdp.callers import CallFailed
from pdp.transport.jsonpb import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdp.callers.remote import Remote
    from tests.running import Server

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


@pytest.fixture
def client(server: Server, tenant: str) -> Iterator[httpx2.Client]:
    """Calls the server as a tenant that nobody has used."""
    headers = {"X-Tenant-ID": tenant, "X-API-Key": "your-api-key"}
    with httpx2.Client(
        base_url=server.http_url, headers=headers, timeout=60.0, trust_env=False
    ) as client:
        yield client


def decide(client: httpx2.Client, **request: Any) -> dict[str, Any]:
    """Returns the decision on a request of the customer at noon."""
    asked = {"customer_id": CUSTOMER, "timestamp": "2026-02-26T12:00:00Z", **request}
    decision: dict[str, Any] = client.post("/v1/decide", json=asked).json()
    return decision


def error_of(answer: httpx2.Response, status: int) -> dict[str, Any]:
    """Returns the error that an answer must be."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) == {"code", "message", "details"}
    return error


def test_post_answers_with_what_was_posted(client: httpx2.Client) -> None:
    answer = client.post(f"/policies/{CUSTOMER}", json=POLICIES)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"customer_id", "policies", "updated_at"}
    assert body["customer_id"] == CUSTOMER
    assert body["policies"] == POLICIES
    assert _is_time(body["updated_at"])


def test_get_reads_it_back(client: httpx2.Client) -> None:
    posted = client.post(f"/policies/{CUSTOMER}", json=POLICIES)
    answer = client.get(f"/policies/{CUSTOMER}")
    assert answer.status_code == 200
    assert answer.json() == posted.json()
    assert answer.headers["etag"] == posted.headers["etag"]


def test_it_is_in_force_on_the_next_decision(client: httpx2.Client) -> None:
    assert decide(client)["reason_code"] == "CUSTOMER_UNKNOWN"
    client.post(f"/policies/{CUSTOMER}", json=POLICIES)
    assert decide(client)["outcome"] == "ALLOW"
    blocked = decide(client, action="database:table:drop")
    assert (blocked["outcome"], blocked["reason_code"]) == ("BLOCK", "CUSTOMER_ACTION_BLOCKED")
    large = decide(client, context={"batch_size": 101}, target={"sensitivity_level": 3})
    assert large["risk"]["score"] == 30
    late = decide(client, timestamp="2026-02-26T23:00:00Z")
    assert late["risk"]["factors"] == [
        {"layer": "customer", "id": "after_hours_penalty", "points": 15}
    ]


def test_a_policy_is_replaced_as_a_whole(client: httpx2.Client) -> None:
    client.post(f"/policies/{CUSTOMER}", json=POLICIES)
    answer = client.post(f"/policies/{CUSTOMER}", json={"allowed_tools": []})
    assert answer.json()["policies"] == {"allowed_tools": []}
    assert client.get(f"/policies/{CUSTOMER}").json()["policies"] == {"allowed_tools": []}
    assert decide(client, action="database:table:drop")["outcome"] == "ALLOW"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"allowed_tools": [], "custom_rules": {}},
        {"custom_rules": {"r": {"condition": "a > 1", "score_impact": 0}}},
        {"custom_rules": {"r": {"condition": "a > 1", "score_impact": 100, "description": ""}}},
        {"sensitive_fields": ["ssn", "ssn", "größe", " "], "timezone": "Europe/Berlin"},
    ],
)
def test_absent_stays_absent_and_empty_stays_empty(
    client: httpx2.Client, document: dict[str, Any]
) -> None:
    assert client.post(f"/policies/{CUSTOMER}", json=document).json()["policies"] == document
    assert client.get(f"/policies/{CUSTOMER}").json()["policies"] == document


def test_an_unknown_customer_is_404(client: httpx2.Client) -> None:
    for answer in (
        client.get("/policies/cust_nobody"),
        client.delete("/policies/cust_nobody"),
        client.get("/policies/cust_nobody/versions"),
    ):
        error = error_of(answer, 404)
        assert error["code"] == "CUSTOMER_NOT_FOUND"
        assert "cust_nobody" in error["message"]


def test_customers_belong_to_their_tenant(client: httpx2.Client) -> None:
    client.post(f"/policies/{CUSTOMER}", json=POLICIES)
    answer = client.get(f"/policies/{CUSTOMER}", headers={"X-Tenant-ID": "somebody-else"})
    error_of(answer, 404)


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
def test_an_invalid_value_is_422_and_named(
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
    # Nothing is half-written: the policy is as it was.
    assert client.get(f"/policies/{CUSTOMER}").json()["policies"] == POLICIES


def test_all_faults_are_named_at_once(client: httpx2.Client) -> None:
    document = {"blocked_actions": ["x", "a:b:c", "y"], "timezone": "x", "unknown": 1}
    error = error_of(client.post(f"/policies/{CUSTOMER}", json=document), 422)
    fields = {detail["field"] for detail in error["details"]}
    assert fields == {"blocked_actions[0]", "blocked_actions[2]", "timezone", "unknown"}


def test_what_is_no_policy_at_all(client: httpx2.Client) -> None:
    assert error_of(client.post(f"/policies/{CUSTOMER}", content=b"{", headers=JSON), 400)
    error = error_of(client.post(f"/policies/{CUSTOMER}", json=[]), 422)
    assert error["details"][0]["field"] == "policies"
    error = error_of(client.post(f"/policies/{CUSTOMER}", content=b"null", headers=JSON), 422)
    assert error["details"][0]["field"] == "policies"
    error_of(client.post(f"/policies/{CUSTOMER}", headers=JSON), 400)
    for customer_id in ("x" * 257, "a%00b"):
        error = error_of(client.post(f"/policies/{customer_id}", json={}), 422)
        assert error["details"][0]["field"] == "customer_id"


def test_a_document_over_its_bound_is_413(client: httpx2.Client) -> None:
    rules = {
        f"r{index}": {"condition": "a > 1", "score_impact": 1, "description": "x" * 4000}
        for index in range(300)
    }
    error = error_of(client.post(f"/policies/{CUSTOMER}", json={"custom_rules": rules}), 413)
    assert error["code"] == "REQUEST_TOO_LARGE"
    error_of(client.get(f"/policies/{CUSTOMER}"), 404)


def test_the_history_tells_every_version(client: httpx2.Client) -> None:
    first = {"allowed_tools": ["read_file"]}
    second = {"allowed_tools": ["read_file", "shell"], "timezone": "UTC"}
    for document in (first, second):
        client.post(f"/policies/{CUSTOMER}", json=document)
    answer = client.get(f"/policies/{CUSTOMER}/versions")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"customer_id", "versions", "current_version", "total_count"}
    assert (body["customer_id"], body["current_version"], body["total_count"]) == (CUSTOMER, 2, 2)
    newest, oldest = body["versions"]
    assert set(newest) == {
        "version",
        "policies",
        "changed_by",
        "changed_at",
        "change_summary",
    }
    assert (newest["version"], newest["policies"]) == (2, second)
    assert newest["change_summary"] == "Changed allowed_tools, timezone"
    assert _is_time(newest["changed_at"])
    assert newest["changed_by"]
    assert (oldest["version"], oldest["policies"]) == (1, first)
    assert oldest["change_summary"] == "Created"
    page = client.get(f"/policies/{CUSTOMER}/versions", params={"page": 2, "page_size": 1}).json()
    assert [version["version"] for version in page["versions"]] == [1]
    assert page["total_count"] == 2
    error_of(client.get(f"/policies/{CUSTOMER}/versions", params={"page_size": 101}), 422)


def test_a_deleted_policy_is_out_of_force_and_keeps_its_history(client: httpx2.Client) -> None:
    client.post(f"/policies/{CUSTOMER}", json=POLICIES)
    answer = client.delete(f"/policies/{CUSTOMER}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["x-pdp-revision"]
    error_of(client.get(f"/policies/{CUSTOMER}"), 404)
    error_of(client.delete(f"/policies/{CUSTOMER}"), 404)
    assert decide(client)["reason_code"] == "CUSTOMER_UNKNOWN"
    history = client.get(f"/policies/{CUSTOMER}/versions").json()
    assert history["current_version"] is None
    assert [version["policies"] for version in history["versions"]] == [POLICIES]
    # Made again, it goes on in the same history.
    client.post(f"/policies/{CUSTOMER}", json={})
    history = client.get(f"/policies/{CUSTOMER}/versions").json()
    assert [version["version"] for version in history["versions"]] == [2, 1]
    assert history["current_version"] == 2
    assert decide(client)["outcome"] == "ALLOW"


def test_no_change_of_somebody_else_is_lost(client: httpx2.Client) -> None:
    tag = client.post(f"/policies/{CUSTOMER}", json=POLICIES).headers["etag"]
    path = f"/policies/{CUSTOMER}"
    second = client.post(path, json={}, headers={"If-Match": tag})
    assert second.status_code == 200
    error = error_of(client.post(path, json=POLICIES, headers={"If-Match": tag}), 412)
    assert error["code"] == "PRECONDITION_FAILED"
    error_of(client.delete(path, headers={"If-Match": tag}), 412)
    assert client.get(path).json()["policies"] == {}
    assert client.delete(path, headers={"If-Match": second.headers["etag"]}).status_code == 204


def test_an_overlay_shows_what_a_policy_would_do(client: httpx2.Client) -> None:
    client.post(f"/policies/{CUSTOMER}", json=POLICIES)
    asked = {
        "request": {"customer_id": CUSTOMER, "action": "database:table:drop"},
        "overlay": {"customer_policy": {"customer_id": CUSTOMER, "policies": {}}},
    }
    simulated = client.post("/v1/simulate", json=asked).json()
    assert simulated["decision"]["outcome"] == "ALLOW"
    (layer,) = [layer for layer in simulated["layers"] if layer["layer"] == "customer"]
    assert layer["reason"].startswith(f"judged by the policy of customer '{CUSTOMER}'")
    assert decide(client, action="database:table:drop")["outcome"] == "BLOCK"

    rules = {"r": {"condition": "a >", "score_impact": 1}}
    bad = {"customer_id": "c", "policies": {"custom_rules": rules}}
    error = error_of(client.post("/v1/simulate", json={"overlay": {"customer_policy": bad}}), 400)
    field = "overlay.customer_policy.policies.custom_rules.r.condition"
    assert [detail["field"] for detail in error["details"]] == [field]
    bad["policies"] = {"tools": []}
    error = error_of(client.post("/v1/simulate", json={"overlay": {"customer_policy": bad}}), 400)
    assert [detail["field"] for detail in error["details"]] == [
        "overlay.customer_policy.policies.tools"
    ]


def test_what_get_answers_can_be_laid_over(client: httpx2.Client) -> None:
    shown = client.post(f"/policies/{CUSTOMER}", json=POLICIES).json()
    asked = {
        "request": {"customer_id": CUSTOMER, "tool": "shell"},
        "overlay": {"customer_policy": shown},
    }
    simulated = client.post("/v1/simulate", json=asked).json()
    assert simulated["decision"]["reason_code"] == "CUSTOMER_TOOL_NOT_ALLOWED"


def test_grpc_answers_the_same(remote: Remote, tenant: str) -> None:
    """The same RPCs without HTTP: documents whole, errors with their reasons and fields."""
    request = pb.PutCustomerPolicyRequest(customer_id=CUSTOMER)
    request.policies.update(POLICIES)
    remote.call("PutCustomerPolicy", request, tenant)
    answer = remote.call(
        "GetCustomerPolicy", pb.GetCustomerPolicyRequest(customer_id=CUSTOMER), tenant
    )
    assert encode(answer.message)["policy"]["policies"] == POLICIES

    request.policies["custom_rules"] = {"r": {"condition": "a >", "score_impact": 1}}
    with pytest.raises(CallFailed) as refused:
        remote.call("PutCustomerPolicy", request, tenant)
    assert refused.value.code == "INVALID_CONDITION"
    assert [field for field, _ in refused.value.details] == ["custom_rules.r.condition"]
    with pytest.raises(CallFailed) as unknown:
        remote.call("GetCustomerPolicy", pb.GetCustomerPolicyRequest(customer_id="x"), tenant)
    assert unknown.value.code == "CUSTOMER_NOT_FOUND"
    with pytest.raises(CallFailed) as empty:
        remote.call("PutCustomerPolicy", pb.PutCustomerPolicyRequest(), tenant)
    assert {field for field, _ in empty.value.details} == {"customer_id", "policies"}
