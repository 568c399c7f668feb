"""The API of customer policies, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pdp._gen.pdp.v1 import customer_policy_pb2 as pb
from pdp.client import CallFailed
from pdp.jsonpb import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2

    from pdp.client.remote import RemoteClient
    from tests.support.servers import Server
from tests.support.rest.customers import CUSTOMER, POLICIES, _is_time, decide, error_of


@pytest.fixture
def client(server: Server, tenant: str) -> Iterator[httpx2.Client]:
    """An HTTP client for a new tenant."""
    with server.client(tenant, **{"X-API-Key": "your-api-key"}) as opened:
        yield opened


def test_post_returns_the_policy(client: httpx2.Client) -> None:
    answer = client.post(f"/policies/{CUSTOMER}", json=POLICIES)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"customer_id", "policies", "updated_at"}
    assert body["customer_id"] == CUSTOMER
    assert body["policies"] == POLICIES
    assert _is_time(body["updated_at"])


def test_get_returns_the_policy(client: httpx2.Client) -> None:
    posted = client.post(f"/policies/{CUSTOMER}", json=POLICIES)
    answer = client.get(f"/policies/{CUSTOMER}")
    assert answer.status_code == 200
    assert answer.json() == posted.json()
    assert answer.headers["etag"] == posted.headers["etag"]


def test_a_policy_is_in_force_for_the_next_decision(client: httpx2.Client) -> None:
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
def test_absent_and_empty_fields_stay_distinct(
    client: httpx2.Client, document: dict[str, Any]
) -> None:
    assert client.post(f"/policies/{CUSTOMER}", json=document).json()["policies"] == document
    assert client.get(f"/policies/{CUSTOMER}").json()["policies"] == document


def test_an_unknown_customer_is_not_found(client: httpx2.Client) -> None:
    for answer in (
        client.get("/policies/cust_nobody"),
        client.delete("/policies/cust_nobody"),
        client.get("/policies/cust_nobody/versions"),
    ):
        error = error_of(answer, 404)
        assert error["code"] == "CUSTOMER_NOT_FOUND"
        assert "cust_nobody" in error["message"]


def test_customers_of_another_tenant_are_not_found(client: httpx2.Client) -> None:
    client.post(f"/policies/{CUSTOMER}", json=POLICIES)
    answer = client.get(f"/policies/{CUSTOMER}", headers={"X-Tenant-ID": "somebody-else"})
    error_of(answer, 404)


def test_the_history_has_every_version(client: httpx2.Client) -> None:
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
    # A new policy of the same customer continues the history.
    client.post(f"/policies/{CUSTOMER}", json={})
    history = client.get(f"/policies/{CUSTOMER}/versions").json()
    assert [version["version"] for version in history["versions"]] == [2, 1]
    assert history["current_version"] == 2
    assert decide(client)["outcome"] == "ALLOW"


def test_an_update_with_a_stale_etag_is_refused(client: httpx2.Client) -> None:
    tag = client.post(f"/policies/{CUSTOMER}", json=POLICIES).headers["etag"]
    path = f"/policies/{CUSTOMER}"
    second = client.post(path, json={}, headers={"If-Match": tag})
    assert second.status_code == 200
    error = error_of(client.post(path, json=POLICIES, headers={"If-Match": tag}), 412)
    assert error["code"] == "PRECONDITION_FAILED"
    error_of(client.delete(path, headers={"If-Match": tag}), 412)
    assert client.get(path).json()["policies"] == {}
    assert client.delete(path, headers={"If-Match": second.headers["etag"]}).status_code == 204


def test_an_overlay_simulates_a_policy(client: httpx2.Client) -> None:
    client.post(f"/policies/{CUSTOMER}", json=POLICIES)
    body = {
        "request": {"customer_id": CUSTOMER, "action": "database:table:drop"},
        "overlay": {"customer_policy": {"customer_id": CUSTOMER, "policies": {}}},
    }
    simulated = client.post("/v1/simulate", json=body).json()
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


def test_the_response_of_get_is_a_valid_overlay(client: httpx2.Client) -> None:
    shown = client.post(f"/policies/{CUSTOMER}", json=POLICIES).json()
    body = {
        "request": {"customer_id": CUSTOMER, "tool": "shell"},
        "overlay": {"customer_policy": shown},
    }
    simulated = client.post("/v1/simulate", json=body).json()
    assert simulated["decision"]["reason_code"] == "CUSTOMER_TOOL_NOT_ALLOWED"


def test_grpc_returns_the_same(remote: RemoteClient, tenant: str) -> None:
    """Over gRPC, documents are complete, and errors have reasons and fields."""
    request = pb.PutCustomerPolicyRequest(customer_id=CUSTOMER)
    request.policies.update(POLICIES)
    remote.call("PutCustomerPolicy", request, tenant)
    answer = remote.call(
        "GetCustomerPolicy", pb.GetCustomerPolicyRequest(customer_id=CUSTOMER), tenant
    )
    assert encode(answer.message)["policy"]["policies"] == POLICIES

    request.policies["custom_rules"] = {"r": {"condition": "a >", "score_impact": 1}}
    with pytest.raises(CallFailed) as refusal:
        remote.call("PutCustomerPolicy", request, tenant)
    assert refusal.value.code == "INVALID_CONDITION"
    assert [field for field, _ in refusal.value.details] == ["custom_rules.r.condition"]
    with pytest.raises(CallFailed) as unknown:
        remote.call("GetCustomerPolicy", pb.GetCustomerPolicyRequest(customer_id="x"), tenant)
    assert unknown.value.code == "CUSTOMER_NOT_FOUND"
    with pytest.raises(CallFailed) as empty:
        remote.call("PutCustomerPolicy", pb.PutCustomerPolicyRequest(), tenant)
    assert {field for field, _ in empty.value.details} == {"customer_id", "policies"}
