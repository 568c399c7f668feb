"""What serves a path: a route takes a request and the path's variables and gives the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from pdp.domain.ids import new_id
from pdp.errors import DeadlineExceeded, PdpError, RequestTooLarge
from pdp.jsonpb import encode
from pdp.transport.admission import MAX_REQUEST_ID_LENGTH, REQUEST_ID_HEADER, admit_all
from pdp.transport.call import Call, Endpoint
from pdp.transport.http.binding import Binding, bind
from pdp.transport.http.exchange import (
    Exchange,
    HttpResponse,
    check_json,
    error_answer,
    json_answer,
)
from pdp.transport.http.streaming import StreamedAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from pdp.transport.admission import Check
    from pdp.transport.metrics import Metrics

LARGE_BODY: Final = 65_536
"""Bytes from which a body is read, and its answer written, off the event loop: others do not wait
for a batch of megabytes."""

P = ParamSpec("P")
T = TypeVar("T")

Route = Callable[[Exchange, tuple[bytes, ...]], Awaitable[HttpResponse | StreamedAnswer]]


def rpc(binding: Binding, endpoint: Endpoint, metrics: Metrics, admit: Check = admit_all) -> Route:
    """Returns the route of an RPC: it binds the request, runs the endpoint, writes the answer.

    Args:
        binding: what the route takes and gives.
        endpoint: the RPC's, guarded.
        metrics: counts what never reaches the endpoint.
        admit: asked before the request's body is read.
    """
    method = binding.method
    success, invalid = method.success_status, method.invalid_status
    answered = binding.response_body

    async def route(
        exchange: Exchange, variables: tuple[bytes, ...]
    ) -> HttpResponse | StreamedAnswer:
        begin = time.perf_counter()
        call = Call(method, exchange.headers, "http", peer=exchange.peer)
        try:
            admit(call)
        except PdpError as error:
            return error_answer(error, {**unread(exchange, error), **call.reply}, invalid)
        try:
            body = await exchange.body()
            if body and binding.body:
                check_json(exchange.headers)
            large = len(body) > LARGE_BODY
            message = await _aside(large, bind, binding, variables, exchange.query, body)
        except PdpError as error:
            # The chain counts and names what reaches it; this did not.
            metrics.call("http", method.name, error.reason, time.perf_counter() - begin)
            return error_answer(error, unread(exchange, error), invalid)
        try:
            response = await endpoint(call, message)
        except PdpError as error:
            return error_answer(error, {REQUEST_ID_HEADER: call.request_id, **call.reply}, invalid)
        if call.stream is not None:
            return StreamedAnswer(call, response, answered, exchange.receive)
        return await _aside(large, _written, response, success, answered, call.reply)

    return route


async def _aside(large: bool, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Does `work`, in a thread of its own where it is large."""
    if large:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)


def _written(message: Message, status: int, field: str, reply: Mapping[str, str]) -> HttpResponse:
    value = encode(message)
    return json_answer(status, value.get(field) if field else value, reply)


def unread(exchange: Exchange, error: PdpError) -> dict[str, str]:
    """Returns the headers of an answer to a request that may not have been read to its end."""
    reply = {REQUEST_ID_HEADER: request_id(exchange)}
    if "expect" in exchange.headers or isinstance(error, RequestTooLarge | DeadlineExceeded):
        # The client may keep the rest of its body back: what comes next is not to be taken for it.
        reply["connection"] = "close"
    return reply


def request_id(exchange: Exchange) -> str:
    """Returns the caller's id for the request, as long as an id may be, or a new one."""
    return exchange.headers.get(REQUEST_ID_HEADER, "")[:MAX_REQUEST_ID_LENGTH] or new_id()
