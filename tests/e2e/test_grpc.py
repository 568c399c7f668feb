"""The gRPC API: decisions, batches, streams, errors, health."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from pdp._gen.pdp.v1 import (
    decide_pb2,
    decide_pb2_grpc,
    simulate_pb2,
    simulate_pb2_grpc,
    static_policy_pb2,
    static_policy_pb2_grpc,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support import servers

ATTACK = "1 UNION SELECT password FROM users"
TIMEOUT_S = 30.0


def request(text: str = "", **fields: Any) -> decide_pb2.DecideRequest:
    content = decide_pb2.Content(text=text) if text else None
    return decide_pb2.DecideRequest(content=content, **fields)


@pytest.fixture
def stub(channel: grpc.Channel) -> decide_pb2_grpc.DecideServiceStub:
    return decide_pb2_grpc.DecideServiceStub(channel)


@pytest.fixture
def policies(channel: grpc.Channel) -> static_policy_pb2_grpc.StaticPolicyServiceStub:
    return static_policy_pb2_grpc.StaticPolicyServiceStub(channel)


def error_details(
    error: pytest.ExceptionInfo[grpc.RpcError],
) -> tuple[grpc.StatusCode, str, list[str]]:
    """Returns the status, the reason and the fields of an error."""
    metadata = {each.key: each.value for each in error.value.trailing_metadata()}
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    assert info.domain == "pdp.v1"
    return error.value.code(), info.reason, [each.field for each in bad.field_violations]


class TestDecide:
    def test_a_policy_created_over_rest_changes_the_next_decision_over_grpc(
        self, server: servers.Server, stub: decide_pb2_grpc.DecideServiceStub, tenant: str
    ) -> None:
        message = request("our rival", tenant_id=tenant)
        assert stub.Decide(message, timeout=TIMEOUT_S).outcome == decide_pb2.OUTCOME_ALLOW
        body = {"name": "Rivals", "category": "custom", "pattern": "rival", "action": "block"}
        with server.client(tenant) as client:
            answer = client.post("/api/v1/static-policies", json=body)
        revision = int(answer.headers["x-pdp-revision"])
        decision = stub.Decide(message, timeout=TIMEOUT_S)
        assert decision.outcome == decide_pb2.OUTCOME_BLOCK
        assert decision.revision >= revision

    def test_a_response_has_the_id_of_its_request(
        self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str
    ) -> None:
        answer = stub.Decide(request("x", request_id="mine", tenant_id=tenant), timeout=TIMEOUT_S)
        assert answer.request_id == "mine"
        response = stub.Decide(request("x"), timeout=TIMEOUT_S)
        assert response.request_id
        assert response.decision_id not in {"", response.request_id}

    def test_the_tenant_can_be_in_the_metadata(
        self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str
    ) -> None:
        with pytest.raises(grpc.RpcError) as error:
            stub.Decide(
                request("x", tenant_id="another"),
                metadata=(("x-tenant-id", tenant),),
                timeout=TIMEOUT_S,
            )
        assert error_details(error) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "TENANT_MISMATCH",
            ["tenant_id"],
        )

    def test_a_revision_that_does_not_arrive_is_unavailable(
        self, stub: decide_pb2_grpc.DecideServiceStub
    ) -> None:
        with pytest.raises(grpc.RpcError) as error:
            stub.Decide(request("x", min_revision=10**9), timeout=TIMEOUT_S)
        assert error_details(error)[:2] == (grpc.StatusCode.UNAVAILABLE, "REVISION_UNAVAILABLE")

    def test_a_deadline_that_has_passed_is_an_error(
        self, stub: decide_pb2_grpc.DecideServiceStub
    ) -> None:
        with pytest.raises(grpc.RpcError) as error:
            stub.Decide(request("x", min_revision=10**9), timeout=0.02)
        code = error.value.code()
        assert code in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE}

    def test_a_large_text_is_evaluated(
        self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str
    ) -> None:
        text = "word " * 200_000 + ATTACK
        answer = stub.Decide(request(text, tenant_id=tenant), timeout=TIMEOUT_S)
        assert answer.outcome == decide_pb2.OUTCOME_BLOCK

    def test_a_text_over_a_mebibyte_is_refused(
        self, stub: decide_pb2_grpc.DecideServiceStub
    ) -> None:
        with pytest.raises(grpc.RpcError) as error:
            stub.Decide(request("x" * 1_048_577), timeout=TIMEOUT_S)
        assert error_details(error) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_ARGUMENT",
            ["content.text"],
        )

    def test_a_message_over_eight_mebibytes_is_refused(
        self, stub: decide_pb2_grpc.DecideServiceStub
    ) -> None:
        with pytest.raises(grpc.RpcError) as error:
            stub.Decide(request("x" * 10 * 1024 * 1024), timeout=TIMEOUT_S)
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert stub.Decide(request("x"), timeout=TIMEOUT_S).allowed

    @pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe"])
    def test_malformed_messages_are_refused(self, channel: grpc.Channel, raw: bytes) -> None:
        """One of them has invalid UTF-8 in a text."""
        send: Any = channel.unary_unary("/pdp.v1.DecideService/Decide")
        with pytest.raises(grpc.RpcError) as error:
            send(raw, timeout=TIMEOUT_S)
        assert error_details(error) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "MALFORMED_REQUEST",
            ["body"],
        )

    @pytest.mark.parametrize(
        "message",
        [
            request(entities=[decide_pb2.Entity(entity_type="x" * 300, confidence=7)] * 100),
            request(tenant_id="x" * 40_000),
        ],
        ids=["many faults", "a tenant of many letters"],
    )
    def test_an_error_fits_into_the_metadata_of_a_response(
        self, stub: decide_pb2_grpc.DecideServiceStub, message: decide_pb2.DecideRequest
    ) -> None:
        """Otherwise clients would report RESOURCE_EXHAUSTED and retry."""
        with pytest.raises(grpc.RpcError) as error:
            stub.Decide(message, timeout=TIMEOUT_S, metadata=(("x-tenant-id", "acme"),))
        status, _, fields = error_details(error)
        assert status in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED}
        assert fields
        sizes = (len(each.key) + len(each.value) for each in error.value.trailing_metadata())
        assert len(error.value.details() or "") + sum(sizes) < 6 * 1024

    @pytest.mark.parametrize(("depth", "fits"), [(32, True), (33, False)])
    def test_the_depth_of_arguments_is_limited(
        self, stub: decide_pb2_grpc.DecideServiceStub, depth: int, fits: bool
    ) -> None:
        message = request()
        inside = message.arguments
        for _ in range(depth - 1):
            inside = inside.fields["a"].struct_value
        inside.fields["a"].string_value = ATTACK
        if fits:
            assert stub.Decide(message, timeout=TIMEOUT_S).outcome == decide_pb2.OUTCOME_BLOCK
            return
        with pytest.raises(grpc.RpcError) as error:
            stub.Decide(message, timeout=TIMEOUT_S)
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


class TestBatch:
    def test_items_are_answered_in_order_by_their_own_attributes(
        self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str
    ) -> None:
        items = [request(ATTACK if n % 3 == 0 else "fine", request_id=str(n)) for n in range(100)]
        batch = decide_pb2.DecideBatchRequest(tenant_id=tenant, requests=items)
        answer = stub.DecideBatch(batch, timeout=TIMEOUT_S)
        assert [each.request_id for each in answer.responses] == [str(n) for n in range(100)]
        assert [each.allowed for each in answer.responses] == [n % 3 != 0 for n in range(100)]
        assert {each.revision for each in answer.responses} == {answer.revision}

    def test_an_invalid_item_is_answered_in_its_place(
        self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str
    ) -> None:
        items = [
            request("fine"),
            request(action="BAD"),
            request("x", tenant_id="another"),
            request("x", min_revision=1 << 53),
        ]
        batch = decide_pb2.DecideBatchRequest(tenant_id=tenant, requests=items)
        fine, invalid, foreign, future = stub.DecideBatch(batch, timeout=TIMEOUT_S).responses
        assert fine.allowed
        assert not fine.incomplete
        for answer, code in (
            (invalid, "INVALID_ARGUMENT"),
            (foreign, "TENANT_MISMATCH"),
            (future, "INVALID_ARGUMENT"),
        ):
            assert answer.outcome == decide_pb2.OUTCOME_BLOCK
            assert answer.incomplete
            assert answer.reason_code == code
        assert "requests[1].action" in invalid.message

    def test_a_batch_has_at_most_a_thousand_items(
        self, stub: decide_pb2_grpc.DecideServiceStub
    ) -> None:
        batch = decide_pb2.DecideBatchRequest(requests=[request("x")] * 1001)
        with pytest.raises(grpc.RpcError) as error:
            stub.DecideBatch(batch, timeout=TIMEOUT_S)
        assert error_details(error)[1:] == ("INVALID_ARGUMENT", ["requests"])


class TestStream:
    def test_messages_and_errors_are_answered_in_order(
        self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str
    ) -> None:
        texts = ["fine", ATTACK, None, "fine again"]

        def messages() -> Iterator[decide_pb2.DecideStreamRequest]:
            for text in texts:
                message = request(text, tenant_id=tenant) if text else request(action="BAD")
                yield decide_pb2.DecideStreamRequest(request=message)

        answers = [each.response for each in stub.DecideStream(messages(), timeout=TIMEOUT_S)]
        assert [answer.allowed for answer in answers] == [True, False, False, True]
        assert [answer.incomplete for answer in answers] == [False, False, True, False]

    def test_a_policy_is_in_force_in_open_streams(
        self,
        stub: decide_pb2_grpc.DecideServiceStub,
        policies: static_policy_pb2_grpc.StaticPolicyServiceStub,
        tenant: str,
    ) -> None:
        message = decide_pb2.DecideStreamRequest(request=request("our rival", tenant_id=tenant))
        policy = static_policy_pb2.CreateStaticPolicyRequest(
            name="Rivals", category="custom", pattern="rival", action="block"
        )

        def messages() -> Iterator[decide_pb2.DecideStreamRequest]:
            yield message
            policies.CreateStaticPolicy(
                policy, metadata=(("x-tenant-id", tenant),), timeout=TIMEOUT_S
            )
            yield message

        answers = [
            each.response.allowed for each in stub.DecideStream(messages(), timeout=TIMEOUT_S)
        ]
        assert answers == [True, False]


def test_simulate_applies_candidates_and_stores_nothing(
    channel: grpc.Channel, stub: decide_pb2_grpc.DecideServiceStub, tenant: str
) -> None:
    message = request("Ship PROJ-1234", tenant_id=tenant)
    candidate = simulate_pb2.OverlayStaticPolicy(name="Codes", pattern="PROJ-", action="block")
    overlay = simulate_pb2.Overlay(static_policies=[candidate])
    answer = simulate_pb2_grpc.SimulateServiceStub(channel).Simulate(
        simulate_pb2.SimulateRequest(request=message, overlay=overlay), timeout=TIMEOUT_S
    )
    assert answer.decision.outcome == decide_pb2.OUTCOME_BLOCK
    assert [layer.layer for layer in answer.layers] == [
        "kill_switch", "limits", "customer", "static", "chain", "dlp", "org",
    ]  # fmt: skip
    assert not answer.decision.trace
    assert stub.Decide(message, timeout=TIMEOUT_S).allowed


def test_metadata_has_the_revision_and_the_request_id(
    policies: static_policy_pb2_grpc.StaticPolicyServiceStub, tenant: str
) -> None:
    policy = static_policy_pb2.CreateStaticPolicyRequest(
        name="P", category="custom", pattern="p", action="log"
    )
    _, call = policies.CreateStaticPolicy.with_call(
        policy, metadata=(("x-tenant-id", tenant), ("x-request-id", "r-7")), timeout=TIMEOUT_S
    )
    metadata = dict(call.trailing_metadata())
    assert metadata["x-request-id"] == "r-7"
    assert int(metadata["x-pdp-revision"]) > 0


def test_health_covers_the_server_and_each_service(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    for service in ("", "pdp.v1.DecideService", "pdp.v1.StaticPolicyService"):
        message = health_pb2.HealthCheckRequest(service=service)
        assert stub.Check(message, timeout=TIMEOUT_S).status == 1
    with pytest.raises(grpc.RpcError) as error:
        stub.Check(health_pb2.HealthCheckRequest(service="nothing"), timeout=TIMEOUT_S)
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


def test_health_list_has_every_service(channel: grpc.Channel, server: servers.Server) -> None:
    """The log has no traceback of it."""
    statuses = (
        health_pb2_grpc.HealthStub(channel)
        .List(health_pb2.HealthListRequest(), timeout=TIMEOUT_S)
        .statuses
    )
    assert {"", "pdp.v1.DecideService", "pdp.v1.StaticPolicyService"} <= set(statuses)
    assert {each.status for each in statuses.values()} == {1}
    assert not [line for line in server.lines if "Traceback" in line]


VERSIONS = ("grpc.reflection.v1", "grpc.reflection.v1alpha")


def reflect(channel: grpc.Channel, version: str, **request: str) -> Any:
    """Returns the answer of one version of reflection."""
    call = channel.stream_stream(
        f"/{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    message = reflection_pb2.ServerReflectionRequest(**request)
    [answer] = call(iter([message]), timeout=TIMEOUT_S)
    return answer


@pytest.mark.parametrize("version", VERSIONS)
def test_reflection_describes_all_services(channel: grpc.Channel, version: str) -> None:
    """Tools ask for the contract of every service in the list, reflection among them."""
    answer = reflect(channel, version, list_services="")
    names = {service.name for service in answer.list_services_response.service}
    assert {"pdp.v1.DecideService", "pdp.v1.SimulateService", "grpc.health.v1.Health"} <= names
    assert {f"{each}.ServerReflection" for each in VERSIONS} <= names
    for name in names:
        answer = reflect(channel, version, file_containing_symbol=name)
        for raw in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(raw)
            if name.rpartition(".")[0] == file.package:
                break
        else:
            raise AssertionError(f"{name} is not described: {answer}")
    answer = reflect(channel, version, file_by_filename="grpc/reflection/v1/reflection.proto")
    assert answer.file_descriptor_response.file_descriptor_proto
    answer = reflect(channel, version, file_containing_symbol="pdp.v1.Nothing")
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_an_unknown_rpc_is_unimplemented(channel: grpc.Channel) -> None:
    unknown: Any = channel.unary_unary("/pdp.v1.DecideService/Nothing")
    with pytest.raises(grpc.RpcError) as error:
        unknown(b"", timeout=TIMEOUT_S)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
