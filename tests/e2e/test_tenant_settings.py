"""The settings of a tenant for cases that no policy covers: over HTTP and in decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1.decide_pb2_grpc import DecideServiceStub

if TYPE_CHECKING:
    import grpc
    import httpx2

PATH: Final = "/v1/tenant/settings"
SAFE: Final = {
    "failure_mode": "closed",
    "unknown_customer": "block",
    "unknown_model": "allow",
    "max_timestamp_skew_s": 0,
    "require_customer": False,
}
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
    assert opened.json() == {**SAFE, "failure_mode": "open", "unknown_customer": "warn"}
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
        ({"unknown_model": "warn"}, "unknown_model"),
        ({"max_timestamp_skew_s": -1}, "max_timestamp_skew_s"),
        ({"max_timestamp_skew_s": 86401}, "max_timestamp_skew_s"),
        ({"max_timestamp_skew_s": 0.5}, "max_timestamp_skew_s"),
        ({"require_customer": "yes"}, "require_customer"),
    ],
)
def test_invalid_settings_are_refused(
    client: httpx2.Client, body: dict[str, Any], field: str
) -> None:
    """The error names the field, and no setting changes."""
    answer = client.put(PATH, json={"unknown_customer": "warn", **body})
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["error"]["details"]] == [field]
    assert client.get(PATH).json() == SAFE


@pytest.mark.parametrize("skew", [0, 1, 86400])
def test_a_skew_within_its_bounds(client: httpx2.Client, skew: int) -> None:
    """The bounds themselves are valid, and 0 removes the bound."""
    body = {"max_timestamp_skew_s": skew, "require_customer": True}
    assert client.put(PATH, json=body).json() == {**SAFE, **body}
    old = {"customer_id": "nobody", "timestamp": "2020-01-01T00:00:00Z"}
    assert client.post("/v1/decide", json=old).status_code == (400 if skew else 200)


def test_a_request_without_what_the_tenant_requires_is_refused(client: httpx2.Client) -> None:
    """The error names all fields."""
    client.put(PATH, json={"max_timestamp_skew_s": 300, "require_customer": True})
    answer = client.post("/v1/decide", json={"timestamp": "2020-01-01T00:00:00Z"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "INVALID_ARGUMENT"
    assert [each["field"] for each in error["details"]] == ["timestamp", "customer_id"]
    assert decide(client, UNKNOWN)["reason_code"] == "CUSTOMER_UNKNOWN"


def test_an_item_of_a_batch_is_refused_in_its_place(client: httpx2.Client) -> None:
    """The other items are decided."""
    client.put(PATH, json={"max_timestamp_skew_s": 300, "unknown_customer": "warn"})
    items = [UNKNOWN, {**UNKNOWN, "timestamp": "2999-01-01T00:00:00Z"}, UNKNOWN]
    first, refused, last = client.post("/v1/decide/batch", json={"requests": items}).json()[
        "responses"
    ]
    assert first["outcome"] == last["outcome"] == "WARN"
    assert (refused["outcome"], refused["incomplete"]) == ("BLOCK", True)
    assert (refused["reason_code"], refused["status_hint"]) == ("INVALID_ARGUMENT", 400)
    assert "requests[1].timestamp" in refused["message"]


def test_a_message_of_a_stream_is_refused_in_its_place(
    client: httpx2.Client, channel: grpc.Channel, tenant: str
) -> None:
    """The stream goes on. A text is refused at its first decision."""
    client.put(PATH, json={"require_customer": True, "unknown_customer": "warn"})
    without = pb.DecideRequest(tenant_id=tenant)
    having = pb.DecideRequest(tenant_id=tenant, customer_id="nobody")
    messages = [
        pb.DecideStreamRequest(request=without),
        pb.DecideStreamRequest(request=having),
        pb.DecideStreamRequest(
            request=without, chunk=pb.StreamChunk(stream_id="a", text="Hello", last=True)
        ),
        pb.DecideStreamRequest(
            request=having, chunk=pb.StreamChunk(stream_id="b", text="Hello", last=True)
        ),
    ]
    stub = DecideServiceStub(channel)
    refused, decided, ended, released = stub.DecideStream(iter(messages), timeout=30.0)
    for answer in (refused, ended):
        assert answer.response.reason_code == "INVALID_ARGUMENT"
        assert "request.customer_id" in answer.response.message
        assert not answer.response.allowed
    assert (ended.release.closed, ended.release.released_text) == (True, "")
    assert decided.response.reason_code == "CUSTOMER_UNKNOWN"
    assert released.release.released_text == "Hello"


def test_simulations_take_any_request(client: httpx2.Client) -> None:
    """They ask about the policies, and not for a decision now."""
    client.put(PATH, json={"max_timestamp_skew_s": 300, "require_customer": True})
    request = {"timestamp": "2020-01-01T00:00:00Z"}
    answer = client.post("/v1/simulate", json={"request": request})
    assert answer.status_code == 200
    assert answer.json()["decision"]["outcome"] == "ALLOW"


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
