"""A stream ends when its credential is revoked."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import grpc
import httpx2
import pytest

from pdp._gen.pdp.v1 import audit_pb2, decide_pb2, decide_pb2_grpc
from tests.support.authenticated_servers import KEYS, AuthenticatedServer, authenticated_server
from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthenticatedServer]:
    """A server that requires credentials."""
    with authenticated_server(tmp_path_factory.mktemp("streams")) as opened:
        yield opened


@pytest.fixture
def channel(server: AuthenticatedServer) -> Iterator[grpc.Channel]:
    """A gRPC channel to the server."""
    with grpc.insecure_channel(server.server.grpc_address) as opened:
        yield opened


def test_a_stream_for_several_tenants(server: AuthenticatedServer, channel: grpc.Channel) -> None:
    """Each message names its tenant; an error is returned in its place and recorded for it."""
    key = server.key("pep", "one", "two")
    requests = [
        decide_pb2.DecideRequest(tenant_id="one"),
        decide_pb2.DecideRequest(tenant_id="two", action="BAD"),
        decide_pb2.DecideRequest(tenant_id="three"),
        decide_pb2.DecideRequest(),
    ]
    messages = [
        *(decide_pb2.DecideStreamRequest(request=each) for each in requests),
        decide_pb2.DecideStreamRequest(
            request=decide_pb2.DecideRequest(tenant_id="two"),
            chunk=decide_pb2.StreamChunk(stream_id="t", text="hello"),
        ),
        decide_pb2.DecideStreamRequest(
            request=requests[0], chunk=decide_pb2.StreamChunk(stream_id="t", text=" again")
        ),
    ]
    answers = decide_pb2_grpc.DecideServiceStub(channel).DecideStream(
        iter(messages), metadata=(("x-api-key", key),), timeout=TIMEOUT_S
    )
    assert [(each.response.allowed, each.response.reason_code) for each in answers] == [
        (True, ""),
        (False, "INVALID_ARGUMENT"),
        (False, "TENANT_MISMATCH"),
        (False, "INVALID_ARGUMENT"),
        (True, ""),
        (False, "INVALID_ARGUMENT"),
    ]
    # The second message was invalid, and so was the last one, in the middle of a text.
    auditor = server.key("auditor", "two")
    recorded = server.request("GET", "/api/admin/audit/records", auditor).json()["records"]
    assert [each["reason_code"] for each in recorded] == ["INVALID_ARGUMENT"] * 2


def test_a_simulation_names_its_tenant_in_the_request(server: AuthenticatedServer) -> None:
    """A key for several tenants needs no tenant header if the request names the tenant."""
    key = server.key("auditor", "one", "two")
    body = {"request": {"tenant_id": "one"}}
    assert server.request("POST", "/v1/simulate", key, json=body).status_code == 200
    unnamed = server.request("POST", "/v1/simulate", key, json={"request": {}})
    assert unnamed.json()["error"]["details"][0]["field"] == "request.tenant_id"


def test_a_stream_of_requests_ends_when_its_key_is_revoked(
    server: AuthenticatedServer, channel: grpc.Channel
) -> None:
    """The credential is checked for each message: after the revocation, messages are refused."""
    creation = server.new_key("pep", "acme")
    answered = threading.Event()

    def messages() -> Iterator[decide_pb2.DecideStreamRequest]:
        yield decide_pb2.DecideStreamRequest()
        assert answered.wait(TIMEOUT_S)
        server.request("DELETE", f"{KEYS}/{creation['api_key']['id']}", server.admin)
        yield decide_pb2.DecideStreamRequest()

    stream = channel.stream_stream(
        "/pdp.v1.DecideService/DecideStream",
        request_serializer=decide_pb2.DecideStreamRequest.SerializeToString,
        response_deserializer=decide_pb2.DecideStreamResponse.FromString,
    )
    answers: Any = stream(messages(), metadata=(("x-api-key", creation["key"]),), timeout=TIMEOUT_S)
    assert next(answers).response.allowed
    answered.set()
    with pytest.raises(grpc.RpcError) as refusal:
        next(answers)
    error: Any = refusal.value
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


def record(server: AuthenticatedServer, tenant: str) -> None:
    """Makes a decision that is recorded."""
    blocked = {"content": {"text": "1 UNION SELECT password FROM users"}}
    server.request("POST", "/v1/decide", server.key("pep", tenant), json=blocked)


@pytest.mark.parametrize("tenant", ["written-to", "idle"])
def test_a_stream_of_responses_ends_when_its_key_is_revoked(
    server: AuthenticatedServer, channel: grpc.Channel, tenant: str
) -> None:
    """Records after the revocation are not sent; the stream also ends if there are none."""
    creation = server.new_key("auditor", tenant)
    tail = channel.unary_stream(
        "/pdp.v1.AuditService/TailRecords",
        request_serializer=audit_pb2.TailRecordsRequest.SerializeToString,
        response_deserializer=audit_pb2.TailRecordsResponse.FromString,
    )
    request = audit_pb2.TailRecordsRequest(cursor="0")
    answers: Any = tail(request, metadata=(("x-api-key", creation["key"]),), timeout=TIMEOUT_S)
    record(server, tenant)
    assert next(answers).record.outcome
    server.request("DELETE", f"{KEYS}/{creation['api_key']['id']}", server.admin)
    if tenant != "idle":
        record(server, tenant)
    with pytest.raises(grpc.RpcError) as ended:
        next(answers)
    error: Any = ended.value
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_stream_of_lines_ends_when_its_key_is_revoked(server: AuthenticatedServer) -> None:
    """Over HTTP, the last line has the error, even if there were no further records."""
    creation = server.new_key("auditor", "lines")
    record(server, "lines")
    with httpx2.stream(
        "GET",
        f"{server.server.http_url}/api/admin/audit/tail?cursor=0",
        headers={"x-api-key": creation["key"]},
        timeout=TIMEOUT_S,
        trust_env=False,
    ) as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines))["outcome"] == "BLOCK"
        server.request("DELETE", f"{KEYS}/{creation['api_key']['id']}", server.admin)
        (last,) = lines
    assert json.loads(last)["error"]["code"] == "UNAUTHENTICATED"
