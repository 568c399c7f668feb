"""Calls on a real gRPC server whose endpoints are the test's (pdp.transport.grpc.server)."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.errors import InvalidArgument, Violation
from pdp.transport.grpc.server import GrpcServer
from pdp.transport.methods import methods
from tests.support.servers import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.message import Message

    from pdp.transport.call import Call, Endpoint

DECIDE = "/pdp.v1.DecideService/Decide"


@asynccontextmanager
async def served(endpoint: Endpoint) -> AsyncIterator[tuple[GrpcServer, Any]]:
    """Gives a server with one RPC, and what calls that."""
    method = next(each for each in methods() if each.path == DECIDE)
    server = GrpcServer({DECIDE: method}, {DECIDE: endpoint})
    port = await server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield (
            server,
            channel.unary_unary(
                DECIDE,
                request_serializer=pb.DecideRequest.SerializeToString,
                response_deserializer=pb.DecideResponse.FromString,
            ),
        )
    await server.stop(0)


def answer(message: Message) -> pb.DecideResponse:
    """Returns an answer that says which request it is to."""
    asked: pb.DecideRequest = message  # type: ignore[assignment] # the contract says so
    if asked.tool == "fault":
        raise InvalidArgument.of(Violation("tool", asked.request_id))
    return pb.DecideResponse(request_id=asked.request_id)


async def test_calls_of_one_turn_are_answered_each_for_itself() -> None:
    """One that is refused, and one whose caller goes away, change nothing for the others."""

    async def endpoint(_call: Call, message: Message) -> Message:
        return answer(message)

    async with served(endpoint) as (_, decide):
        calls = [
            decide(
                pb.DecideRequest(request_id=str(number), tool="fault" if number % 3 == 1 else ""),
                timeout=PATIENCE_S,
            )
            for number in range(99)
        ]
        for call in calls[2::3]:
            call.cancel()
        answers = await asyncio.gather(*calls[::3])
        assert [each.request_id for each in answers] == [str(number) for number in range(0, 99, 3)]
        for number, call in enumerate(calls[1::3]):
            assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert await call.details() == f"tool: {number * 3 + 1}"


async def test_a_server_that_ends_answers_what_it_has_begun() -> None:
    """No call that waits for its turn, or for its answer, is lost between two rounds."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    judged: list[str] = []

    async def endpoint(_call: Call, message: Message) -> Message:
        begun.set()
        await go_on.wait()
        response = answer(message)
        judged.append(response.request_id)
        return response

    async with served(endpoint) as (server, decide):
        calls = [
            decide(pb.DecideRequest(request_id=str(number)), timeout=PATIENCE_S)
            for number in range(20)
        ]
        await begun.wait()
        ending = asyncio.create_task(server.stop(PATIENCE_S))
        go_on.set()
        codes = await asyncio.gather(*(call.code() for call in calls))
        await ending
    # What had not begun yet was not judged, and may be sent again (docs/faults.md).
    answered = [str(at) for at, code in enumerate(codes) if code is grpc.StatusCode.OK]
    assert answered
    assert sorted(answered) == sorted(judged)
