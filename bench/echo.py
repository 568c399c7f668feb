"""An empty echo server on the same stack as the PDP: no guards, no work.

It parses a DecideRequest and returns a constant DecideResponse. Run it as `python -m bench.echo`;
it prints its port. With `--coalesce`, it coalesces calls as the PDP does. Compare the PDP with that
server to see the cost of the decision itself. With `--native`, it runs on the native front.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any

import grpc
import uvloop

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.transport.coalescing import Coalescer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    Context = grpc.aio.ServicerContext[pb.DecideRequest, pb.DecideResponse]

_ANSWER = pb.DecideResponse(outcome=pb.OUTCOME_ALLOW, allowed=True, status_hint=200)
_STREAM_ANSWER = pb.DecideStreamResponse(response=_ANSWER)
_COALESCER = Coalescer()


async def _decide(request: pb.DecideRequest, context: Context) -> pb.DecideResponse:
    return _ANSWER


async def _decide_coalesced(request: pb.DecideRequest, context: Context) -> pb.DecideResponse:
    await _COALESCER.join_batch()
    await asyncio.sleep(0)
    return _ANSWER


async def _decide_stream(
    messages: AsyncIterator[pb.DecideStreamRequest], context: Any
) -> AsyncIterator[pb.DecideStreamResponse]:
    async for _ in messages:
        yield _STREAM_ANSWER


async def _serve(*, coalesce: bool) -> None:
    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(
        _decide_coalesced if coalesce else _decide,
        request_deserializer=pb.DecideRequest.FromString,
        response_serializer=pb.DecideResponse.SerializeToString,
    )
    stream: Any = grpc.stream_stream_rpc_method_handler(
        _decide_stream,
        request_deserializer=pb.DecideStreamRequest.FromString,
        response_serializer=pb.DecideStreamResponse.SerializeToString,
    )
    service = grpc.method_handlers_generic_handler(
        "pdp.v1.DecideService", {"Decide": handler, "DecideStream": stream}
    )
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


async def _serve_native() -> None:
    from pygrpc_native import EVENT_CALL, NativeGrpcFront  # noqa: PLC0415 - not always installed

    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    front = NativeGrpcFront(
        "127.0.0.1:0", [("/pdp.v1.DecideService/Decide", False)], call_details=True
    )

    async def answer(call_id: int, raw: bytes) -> None:
        pb.DecideRequest.FromString(raw)
        front.respond(call_id, _ANSWER.SerializeToString())

    def handle(events: list[Any]) -> None:
        for kind, call_id, _, raw, _, _ in events:
            if kind == EVENT_CALL:
                task = loop.create_task(answer(call_id, raw))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

    def receive() -> None:
        while (events := front.recv_batch_details(64)) is not None:
            loop.call_soon_threadsafe(handle, events)

    front.start()
    threading.Thread(target=receive, daemon=True).start()
    print(front.bound_port, flush=True)
    await loop.create_future()


if __name__ == "__main__":
    if "--native" in sys.argv:
        uvloop.run(_serve_native())
    else:
        uvloop.run(_serve(coalesce="--coalesce" in sys.argv))
