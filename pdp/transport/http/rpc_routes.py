"""The route of an RPC: it reads the request, runs the endpoint and returns the response."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pdp.domain.ids import new_id
from pdp.errors import DeadlineExceeded, PdpError, RequestTooLarge
from pdp.jsonpb import encode
from pdp.transport.admission import MAX_REQUEST_ID_LENGTH, REQUEST_ID_HEADER, admit_all
from pdp.transport.beside import run_beside
from pdp.transport.call import Call, Endpoint
from pdp.transport.http.binding import Binding, bind
from pdp.transport.http.json_forms import REST, JsonForm, form_of
from pdp.transport.http.list_response import ListResponse
from pdp.transport.http.requests import HttpRequest, check_json
from pdp.transport.http.responses import (
    HttpResponse,
    StreamingResponse,
    error_response,
    json_response,
)
from pdp.transport.write_warnings import WARNINGS, add_to_header

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pdp.transport.admission import Check
    from pdp.transport.metrics import Metrics

Route = Callable[
    [HttpRequest, tuple[bytes, ...]], Awaitable[HttpResponse | ListResponse | StreamingResponse]
]
"""Serves a request; takes the raw text of the path's variables, too."""


def rpc_route(
    binding: Binding, endpoint: Endpoint, metrics: Metrics, admit: Check = admit_all
) -> Route:
    """Returns the route of an RPC.

    Args:
        binding: the RPC, and how a request maps to its message.
        endpoint: the guarded endpoint of the RPC.
        metrics: counts the calls that never reach the endpoint.
        admit: the check before the request's body is read.
    """
    method = binding.method
    invalid = method.invalid_status
    has_pages = "page_token" in method.request.DESCRIPTOR.fields_by_name

    async def route(
        request: HttpRequest, variables: tuple[bytes, ...]
    ) -> HttpResponse | ListResponse | StreamingResponse:
        begin = time.perf_counter()
        call = Call(method, request.headers, "http", peer=request.peer)
        try:
            admit(call)
        except PdpError as error:
            return error_response(error, {**unread_headers(request, error), **call.reply}, invalid)
        try:
            body = await request.body()
            if body and binding.body:
                check_json(request.headers)
            size = len(body)
            message = await run_beside(size, bind, binding, variables, request.query, body)
        except PdpError as error:
            # The guards count calls and set their ids. This call did not reach them.
            metrics.call("http", method.name, error.reason, time.perf_counter() - begin)
            return error_response(error, unread_headers(request, error), invalid)
        if has_pages:
            call.target = request.target()
        try:
            response = await endpoint(call, message)
        except PdpError as error:
            reply = {REQUEST_ID_HEADER: call.request_id, **call.reply}
            return error_response(error, reply, invalid)
        if call.list_field or call.stream is not None:
            return _streamed(binding, request, call, response)
        form = form_of(request.headers)
        return await run_beside(size, _to_response, binding, call, response, form)

    return route


def _streamed(
    binding: Binding, request: HttpRequest, call: Call, first: Message
) -> ListResponse | StreamingResponse:
    """Returns the response of a call whose answer has further messages."""
    form, field = form_of(request.headers), binding.response_body
    if call.list_field:
        success = binding.method.success_status
        return ListResponse(call, first, success, field, request.receive, form)
    return StreamingResponse(call, first, field, request.receive, form)


def _to_response(binding: Binding, call: Call, message: Message, form: JsonForm) -> HttpResponse:
    status, field = binding.method.success_status, binding.response_body
    if form is not REST:
        if call.warnings and field and WARNINGS in message.DESCRIPTOR.fields_by_name:
            add_to_header(call, message)  # they are beside the field that makes the body
        return json_response(status, form.body(message, field), call.reply, form.headers)
    value = encode(message)
    if not field:
        return json_response(status, value, call.reply)
    body = value.get(field)
    if body and WARNINGS in value:
        body = {**body, WARNINGS: value[WARNINGS]}
    return json_response(status, body, call.reply)


def unread_headers(request: HttpRequest, error: PdpError) -> dict[str, str]:
    """Returns the headers of a response to a request whose body may not have been read."""
    reply = {REQUEST_ID_HEADER: request_id(request)}
    if "expect" in request.headers or isinstance(error, RequestTooLarge | DeadlineExceeded):
        # The client may never send the rest of its body. Its next bytes must not count as body.
        reply["connection"] = "close"
    return reply


def request_id(request: HttpRequest) -> str:
    """Returns the caller's id for the request, cut to the maximum length, or a new id."""
    return request.headers.get(REQUEST_ID_HEADER, "")[:MAX_REQUEST_ID_LENGTH] or new_id()
