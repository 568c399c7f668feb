"""Answers of a stream on a real gRPC server, whose endpoint is under the test's control."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.errors import InternalError, PdpError
from pdp.transport.grpc.ordered_answers import MAX_WAITING, MAX_WAITING_BYTES
from pdp.transport.grpc.server import GrpcServer
from pdp.transport.methods import methods

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.message import Message

    from pdp.transport.call import Call

STREAM = "/pdp.v1.DecideService/DecideStream"
TIMEOUT_S = 30.0

Request = pb.DecideStreamRequest
Response = pb.DecideStreamResponse


class Records:
    """An endpoint whose answers wait until the test lets them go.

    Attributes:
        begun: the names of the messages that were handled, in their order.
    """

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._changed = asyncio.Event()
        self.written: dict[str, asyncio.Future[None]] = {}

    async def answer(self, call: Call, message: Message) -> Message:
        name = cast("Request", message).request.request_id
        self.begun.append(name)
        self._changed.set()
        if name == "refused":
            raise InternalError("refused")
        call.note_decided(waits=not name.startswith("plain"))
        if not name.startswith("plain"):
            await self.written.setdefault(name, asyncio.get_running_loop().create_future())
        return Response(response=pb.DecideResponse(request_id=name))

    async def wait_for(self, *names: str) -> None:
        """Waits until exactly these messages were handled."""
        async with asyncio.timeout(TIMEOUT_S):
            while self.begun != list(names):
                self._changed.clear()
                await self._changed.wait()

    def write(self, *names: str, error: PdpError | None = None) -> None:
        for name in names:
            if error is None:
                self.written[name].set_result(None)
            else:
                self.written[name].set_exception(error)


class Stream:
    """A client's call."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.call: Any = channel.stream_stream(
            STREAM,
            request_serializer=Request.SerializeToString,
            response_deserializer=Response.FromString,
        )(timeout=TIMEOUT_S)

    async def send(self, *names: str, text: str = "") -> None:
        for name in names:
            request = pb.DecideRequest(request_id=name)
            request.content.text = text
            await self.call.write(Request(request=request))

    async def answers(self) -> list[str]:
        """Returns the names of the answers up to the end of the call."""
        names = []
        while (answer := await self.call.read()) is not grpc.aio.EOF:
            names.append(answer.response.request_id)
        return names

    async def next(self) -> str:
        answer = await self.call.read()
        name: str = answer.response.request_id
        return name


@asynccontextmanager
async def streaming(records: Records) -> AsyncIterator[Stream]:
    """Starts a server and a call whose first answer has waited."""
    known = {method.path: method for method in methods()}
    server = GrpcServer(known, dict.fromkeys(known, records.answer))
    port = await server.start("127.0.0.1:0")
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stream = Stream(channel)
            await stream.send("first")
            await records.wait_for("first")
            records.write("first")
            assert await stream.next() == "first"
            records.begun.clear()
            yield stream
    finally:
        await server.stop(0)


async def answered_elsewhere(records: Records, channel: grpc.aio.Channel) -> None:
    """Checks that a message of another stream is answered, and none of this one is handled."""
    other = Stream(channel)
    await other.send("plain")
    assert await other.next() == "plain"
    assert records.begun.pop() == "plain"


@pytest.fixture
def records() -> Records:
    return Records()


async def test_answers_come_in_the_order_of_the_messages(records: Records) -> None:
    async with streaming(records) as stream:
        await stream.send("a", "b", "plain c", "d")
        await records.wait_for("a", "b", "plain c", "d")
        records.write("d", "b", "a")
        await stream.call.done_writing()
        assert await stream.answers() == ["a", "b", "plain c", "d"]


async def test_a_bounded_number_of_answers_waits(records: Records) -> None:
    names = [str(number) for number in range(MAX_WAITING + 1)]
    async with streaming(records) as stream:
        await stream.send(*names)
        await records.wait_for(*names[:-1])
        await answered_elsewhere(records, stream.channel)
        records.write(*names[:-1])
        await records.wait_for(*names)
        records.write(names[-1])
        await stream.call.done_writing()
        assert await stream.answers() == names


async def test_answers_to_large_messages_wait_in_smaller_numbers(records: Records) -> None:
    async with streaming(records) as stream:
        await stream.send("a", "b", "c", text="x" * (MAX_WAITING_BYTES // 2))
        await records.wait_for("a", "b")
        await answered_elsewhere(records, stream.channel)
        records.write("a", "b")
        await records.wait_for("a", "b", "c")
        records.write("c")
        await stream.send("d", "e")
        await records.wait_for("a", "b", "c", "d", "e")
        records.write("e", "d")
        await stream.call.done_writing()
        assert await stream.answers() == ["a", "b", "c", "d", "e"]


async def test_an_error_while_an_answer_waits_ends_the_call_at_once(records: Records) -> None:
    """The client sends nothing more, so that the server waits for its next message."""
    async with streaming(records) as stream:
        await stream.send("a", "b", "c")
        await records.wait_for("a", "b", "c")
        records.write("a")
        records.write("b", error=InternalError("broken"))
        assert await stream.next() == "a"
        assert await stream.call.code() is grpc.StatusCode.INTERNAL
        assert await stream.call.details() == "broken"


async def test_a_message_that_is_refused_is_answered_in_its_place(records: Records) -> None:
    async with streaming(records) as stream:
        await stream.send("a", "refused", "never")
        await records.wait_for("a", "refused")
        records.write("a")
        assert await stream.next() == "a"
        assert await stream.call.code() is grpc.StatusCode.INTERNAL
    assert records.begun == ["a", "refused"]


async def test_a_client_that_leaves_ends_what_waits(records: Records) -> None:
    async with streaming(records) as stream:
        await stream.send("a", "b")
        await records.wait_for("a", "b")
        stream.call.cancel()
        waiting = [records.written[name] for name in ("a", "b")]
        await asyncio.wait(waiting, timeout=TIMEOUT_S)
        assert all(each.cancelled() for each in waiting)


async def test_a_stream_whose_answers_do_not_wait_is_answered_one_by_one(records: Records) -> None:
    async with streaming(records) as stream:
        for number in range(40):
            await stream.send(f"plain {number}")
            assert await stream.next() == f"plain {number}"
        await stream.send("a", "plain")
        await records.wait_for(*[f"plain {number}" for number in range(40)], "a")
        records.write("a")
        await stream.call.done_writing()
        assert await stream.answers() == ["a", "plain"]
