"""What serves a path: a route takes a request and the path's variables and gives the answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pdp.errors import PdpError
from pdp.transport.call import Call, Endpoint, new_id
from pdp.transport.chain import MAX_REQUEST_ID_LENGTH, REQUEST_ID_HEADER
from pdp.transport.http.binding import Binding, bind
from pdp.transport.http.exchange import Answer, Exchange, check_json, error_answer, json_answer
from pdp.transport.jsonpb import encode

if TYPE_CHECKING:
    from pdp.transport.metrics import Metrics

Route = Callable[[Exchange, tuple[bytes, ...]], Awaitable[Answer]]


def rpc(binding: Binding, endpoint: Endpoint, metrics: Metrics) -> Route:
    """Returns the route of an RPC: it binds the request, runs the endpoint, writes the answer."""
    method = binding.method
    success, invalid = method.success_status, method.invalid_status
    answered = binding.response_body

    async def route(exchange: Exchange, variables: tuple[bytes, ...]) -> Answer:
        begin = time.perf_counter()
        call = Call(method, exchange.headers, "http")
        try:
            body = await exchange.body()
            if body and binding.body:
                check_json(exchange.headers)
            message = bind(binding, variables, exchange.query, body)
        except PdpError as error:
            # The chain counts and names what reaches it; this did not.
            metrics.call("http", method.name, error.reason, time.perf_counter() - begin)
            return error_answer(error, {REQUEST_ID_HEADER: request_id(exchange)}, invalid)
        try:
            response = await endpoint(call, message)
        except PdpError as error:
            return error_answer(error, {REQUEST_ID_HEADER: call.request_id, **call.reply}, invalid)
        value = encode(response)
        return json_answer(success, value.get(answered) if answered else value, call.reply)

    return route


def request_id(exchange: Exchange) -> str:
    """Returns the caller's id for the request, as long as an id may be, or a new one."""
    return exchange.headers.get(REQUEST_ID_HEADER, "")[:MAX_REQUEST_ID_LENGTH] or new_id()
