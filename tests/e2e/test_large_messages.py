"""Messages that a thread converts are decided and refused as others are."""

from __future__ import annotations

from typing import Any, Final

import grpc
import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1 import decide_pb2_grpc, simulate_pb2, simulate_pb2_grpc
from pdp.transport.servicers.request_conversion import LARGE
from tests.e2e.test_grpc import error_details

TIMEOUT_S: Final = 30.0
CARD: Final = "4539578763621486"
SIDEWAYS: Final = "sideways"
"""A direction that there is not."""

SIZES: Final = pytest.mark.parametrize("bytes_beyond", [0, 1], ids=["loop", "thread"])


@pytest.fixture
def stub(channel: grpc.Channel) -> decide_pb2_grpc.DecideServiceStub:
    return decide_pb2_grpc.DecideServiceStub(channel)


def request_of(
    tenant: str, bytes_beyond: int, direction: str = "", **arguments: Any
) -> pb.DecideRequest:
    """Returns a request of just as many bytes as the event loop converts, or more."""
    request = pb.DecideRequest(tenant_id=tenant, request_id="r1", direction=direction)
    request.content.text = "a" * (LARGE // 2)
    request.arguments.update(arguments)
    request.content.text += "a" * (LARGE + bytes_beyond - request.ByteSize())
    assert request.ByteSize() - LARGE == bytes_beyond
    return request


@SIZES
class TestLargeMessages:
    def test_a_request(
        self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str, bytes_beyond: int
    ) -> None:
        request = request_of(tenant, bytes_beyond, card=CARD)
        answer = stub.Decide(request, timeout=TIMEOUT_S)
        assert (answer.outcome, answer.request_id) == (pb.OUTCOME_REDACT, "r1")
        assert answer.redacted_arguments["card"] != CARD

    def test_an_invalid_request(
        self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str, bytes_beyond: int
    ) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            stub.Decide(request_of(tenant, bytes_beyond, SIDEWAYS), timeout=TIMEOUT_S)
        expected = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", ["direction"])
        assert error_details(caught) == expected

    def test_an_item_of_a_batch(
        self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str, bytes_beyond: int
    ) -> None:
        items = [
            pb.DecideRequest(request_id="r0"),
            request_of(tenant, bytes_beyond, card=CARD),
            request_of(tenant, bytes_beyond, SIDEWAYS),
            request_of("another", bytes_beyond),
        ]
        batch = pb.DecideBatchRequest(tenant_id=tenant, requests=items)
        answers = stub.DecideBatch(batch, timeout=TIMEOUT_S).responses
        assert [(each.request_id, each.outcome, each.reason_code) for each in answers] == [
            ("r0", pb.OUTCOME_ALLOW, ""),
            ("r1", pb.OUTCOME_REDACT, answers[1].reason_code),
            ("r1", pb.OUTCOME_BLOCK, "INVALID_ARGUMENT"),
            ("r1", pb.OUTCOME_BLOCK, "TENANT_MISMATCH"),
        ]
        assert "requests[2].direction" in answers[2].message

    def test_a_message_of_a_stream(
        self, stub: decide_pb2_grpc.DecideServiceStub, tenant: str, bytes_beyond: int
    ) -> None:
        requests = [
            request_of(tenant, bytes_beyond, card=CARD),
            request_of(tenant, bytes_beyond, SIDEWAYS),
        ]
        messages = iter([pb.DecideStreamRequest(request=each) for each in requests])
        answers = [each.response for each in stub.DecideStream(messages, timeout=TIMEOUT_S)]
        assert [each.outcome for each in answers] == [pb.OUTCOME_REDACT, pb.OUTCOME_BLOCK]
        assert "request.direction" in answers[1].message

    def test_a_simulation(self, channel: grpc.Channel, tenant: str, bytes_beyond: int) -> None:
        stub = simulate_pb2_grpc.SimulateServiceStub(channel)
        request = request_of(tenant, bytes_beyond, card=CARD)
        answer = stub.Simulate(simulate_pb2.SimulateRequest(request=request), timeout=TIMEOUT_S)
        assert answer.decision.outcome == pb.OUTCOME_REDACT
