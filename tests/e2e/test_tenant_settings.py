"""The settings of a tenant for cases that no policy covers: over HTTP and in decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    import httpx2

PATH: Final = "/v1/tenant/settings"
SAFE: Final = {"failure_mode": "closed", "unknown_customer": "block"}
UNKNOWN: Final = {"customer_id": "nobody"}


def decide(client: httpx2.Client, request: dict[str, Any]) -> dict[str, Any]:
    """Returns the decision on a request."""
    answer: dict[str, Any] = client.post("/v1/decide", json=request).json()
    return answer


def test_the_defaults_are_the_safe_settings(client: httpx2.Client) -> None:
    """A new tenant has the safe defaults, in the order of the contract."""
    answer = client.get(PATH)
    assert (answer.status_code, answer.json()) == (200, SAFE)
    assert list(answer.json()) == list(SAFE)


def test_an_update_changes_only_its_fields(client: httpx2.Client) -> None:
    """Only fields in the request change; null means that the field is not sent."""
    warned = client.put(PATH, json={"unknown_customer": "warn", "failure_mode": None})
    assert (warned.status_code, warned.json()) == (200, {**SAFE, "unknown_customer": "warn"})
    opened = client.put(PATH, json={"failure_mode": "open"})
    assert opened.json() == {"failure_mode": "open", "unknown_customer": "warn"}
    assert client.get(PATH).json() == opened.json()
    assert client.get(PATH).headers["etag"] == opened.headers["etag"]


def test_a_change_is_in_force_for_the_next_decision_of_its_tenant(
    client: httpx2.Client,
) -> None:
    """A change applies to the next decision of its tenant only, and can be undone."""
    assert decide(client, UNKNOWN)["outcome"] == "BLOCK"
    assert client.put(PATH, json={"unknown_customer": "warn"}).status_code == 200
    warned = decide(client, UNKNOWN)
    assert (warned["outcome"], warned["reason_code"]) == ("WARN", "CUSTOMER_UNKNOWN")
    other = client.post("/v1/decide", json=UNKNOWN, headers={"X-Tenant-ID": "another"})
    assert other.json()["outcome"] == "BLOCK"
    assert client.put(PATH, json=SAFE).json() == SAFE
    assert decide(client, UNKNOWN)["outcome"] == "BLOCK"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"failure_mode": "ajar"}, "failure_mode"),
        ({"unknown_customer": "allow"}, "unknown_customer"),
        ({"failure_mode": ""}, "failure_mode"),
        ({"failure_mode": True}, "failure_mode"),
        ({"failures": "open"}, "failures"),
    ],
    ids=["unknown mode", "unknown outcome", "empty", "of another type", "unknown setting"],
)
def test_invalid_settings_are_refused(
    client: httpx2.Client, body: dict[str, Any], field: str
) -> None:
    """The error names the field, and no setting changes."""
    answer = client.put(PATH, json={"unknown_customer": "warn", **body})
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["error"]["details"]] == [field]
    assert client.get(PATH).json() == SAFE


def test_an_update_with_a_stale_etag_is_refused(client: httpx2.Client) -> None:
    """The server checks If-Match."""
    etag = client.get(PATH).headers["etag"]
    assert client.put(PATH, json={"failure_mode": "open"}).status_code == 200
    answer = client.put(PATH, json={"failure_mode": "open"}, headers={"If-Match": etag})
    assert answer.status_code == 412


def test_a_change_is_in_the_audit_trail(client: httpx2.Client) -> None:
    """The trail shows who changed the settings; a request without an effect adds no entry."""
    for _ in range(2):
        client.put(PATH, json={"failure_mode": "open"})
    page = client.get("/api/admin/audit/changes", params={"kind": "tenant_settings"}).json()
    (change,) = page["changes"]
    assert (change["actor"], change["summary"]) == ("dev-admin", "Set failure_mode to open")
