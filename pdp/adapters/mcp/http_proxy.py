"""The streamable HTTP transport: an HTTP application in front of an MCP server."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

import structlog

from pdp.adapters.mcp.event_relay import EventRelay
from pdp.adapters.mcp.exchange import McpExchange, McpSide
from pdp.adapters.mcp.headers import VERSION_HEADER, HeaderFault, check_headers, headers_for
from pdp.adapters.mcp.http_reply import HttpReply
from pdp.adapters.mcp.messages import (
    DENIED,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    MAX_MESSAGE_BYTES,
    MalformedMessage,
    McpMessage,
    read_aside,
)
from pdp.adapters.mcp.methods import FROM_CLIENT, MODERN, TOOLS_CALL, version_of
from pdp.adapters.mcp.upstream import Upstream, UpstreamFault, UpstreamResponse
from pdp.errors import HostRefused
from pdp.transport.http.loopback import check_loopback

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

    from pdp.adapters.mcp.headers import Headers
    from pdp.adapters.mcp.judge import McpCaller

PATH: Final = "/mcp"

MAX_IN_FLIGHT: Final = 256
"""HTTP requests that are served at a time, open streams among them."""

SESSION_HEADER: Final = "mcp-session-id"

_SESSION: Final = re.compile(r"[\x21-\x7E]{1,256}")
_PASSED_ON: Final = frozenset({"accept", "authorization", SESSION_HEADER, "last-event-id"})
"""Headers of a client that the server gets, beside those that repeat the body."""

_SINGLE: Final = (_PASSED_ON - {"accept"}) | {VERSION_HEADER}
"""Headers of which a request has one at most."""

_log: Final = structlog.get_logger("pdp.mcp")


class _McpHttpFault(Exception):
    """A request is answered by an HTTP error."""

    def __init__(self, status: int, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


class McpHttpProxy:
    """An ASGI application. It serves the MCP endpoint at `PATH`, to this machine only."""

    def __init__(
        self,
        exchange: McpExchange,
        caller: McpCaller,
        upstream: Upstream,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        """Args:
        exchange: judges the messages.
        caller: for whom the clients work.
        upstream: the server.
        max_in_flight: requests that are served at a time.
        """
        self._exchange = exchange
        self._caller = caller
        self._upstream = upstream
        self._free = max_in_flight

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Serves one HTTP request."""
        if scope["type"] != "http":
            return
        reply = HttpReply(send)
        if self._free <= 0:
            await reply.error(503, None, INTERNAL_ERROR, "Too many requests are in progress.")
            return
        self._free -= 1
        try:
            await self._answer(scope, receive, reply)
        except Exception as error:
            # The words of the error may hold parts of a message, so only its type is logged.
            _log.error("request failed", error=type(error).__name__)
            if not reply.started:
                await reply.error(500, None, INTERNAL_ERROR, "The proxy has failed.")
        finally:
            self._free += 1

    async def _answer(
        self, scope: HTTPScope, receive: ASGIReceiveCallable, reply: HttpReply
    ) -> None:
        headers = [
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in scope["headers"]
        ]
        message: McpMessage | None = None
        try:
            _check_request(scope, headers)
            if scope["method"] == "POST":
                message = await _read_body(headers, receive)
                work = self._post(message, headers, reply)
            else:
                work = self._without_body(scope["method"], headers, reply)
            await _until_gone(work, receive)
        except _McpHttpFault as fault:
            await reply.error(
                fault.status, None, INVALID_REQUEST, fault.message, headers=fault.headers
            )
        except MalformedMessage as fault:
            await reply.error(400, fault.id, fault.code, fault.message)
        except HeaderFault as fault:
            message_id = message.id if message else None
            await reply.error(400, message_id, fault.code, fault.message, data=fault.data)
        except UpstreamFault as fault:
            message_id = message.id if message else None
            await reply.error(502, message_id, INTERNAL_ERROR, str(fault))

    async def _post(self, message: McpMessage, headers: Headers, reply: HttpReply) -> None:
        caller = self._caller_of(headers)
        schema = None
        if message.method == TOOLS_CALL:
            schema = self._exchange.tools.schema_of(str(message.params.get("name")))
        check_headers(message, headers, schema)
        passing = await self._passing(message, caller, reply)
        if passing is None:
            return
        sent = [*_passed_on(headers), *headers_for(passing, headers, schema)]
        async with self._upstream.open("POST", sent, passing.text.encode()) as response:
            if message.is_request:
                await self._pass_on(response, message, headers, reply)
            elif response.is_success:
                await reply.empty(202, response.headers)
            else:
                await _status_only(response, message, reply)

    async def _passing(
        self, message: McpMessage, caller: McpCaller, reply: HttpReply
    ) -> McpMessage | None:
        """Returns what the server gets; None if the client was answered."""
        if message.is_request:
            passage = await self._exchange.request(message, McpSide.CLIENT, caller)
            if passage.answer is not None:
                await reply.json(_status_of_denial(message), passage.answer)
            return passage.forward
        if message.is_notification:
            passing = await self._exchange.notification(message, caller)
            if passing is None:
                await reply.error(403, None, DENIED, "A policy does not allow this notification.")
            return passing
        return await self._exchange.answer(message, "", McpSide.CLIENT, caller)

    async def _pass_on(
        self, response: UpstreamResponse, message: McpMessage, headers: Headers, reply: HttpReply
    ) -> None:
        """Passes the answer to a request on."""
        if response.is_stream:
            await self._events(response, message, headers, reply)
            return
        if not response.is_json:
            await _status_only(response, message, reply)
            return
        try:
            answer = await read_aside(await response.read())
        except MalformedMessage as fault:
            _log.warning("malformed message", sender="server", reason=fault.message)
            await _status_only(response, message, reply)
            return
        fits = answer.id == message.id or (answer.id is None and response.is_error)
        if answer.method or not fits:
            await _status_only(response, message, reply)
            return
        caller = self._caller_of(headers)
        judged = await self._exchange.answer(answer, message.method, McpSide.SERVER, caller)
        await reply.json(response.status, judged.text, response.headers)

    async def _without_body(self, method: str, headers: Headers, reply: HttpReply) -> None:
        """Serves GET and DELETE, which the versions with sessions have."""
        version = [(name, value) for name, value in headers if name == VERSION_HEADER]
        async with self._upstream.open(method, [*_passed_on(headers), *version]) as response:
            if method == "GET" and response.is_stream:
                await self._events(response, None, headers, reply)
            elif method == "GET" and not response.is_error:
                await _status_only(response, None, reply)
            else:
                await reply.empty(response.status, response.headers)

    async def _events(
        self,
        response: UpstreamResponse,
        message: McpMessage | None,
        headers: Headers,
        reply: HttpReply,
    ) -> None:
        known = {
            name: value
            for name, value in (*headers, *response.headers)
            if name in ("authorization", SESSION_HEADER, VERSION_HEADER)
        }

        async def answer_server(text: str) -> None:
            sent = [("accept", "application/json, text/event-stream")]
            sent += known.items()
            try:
                async with self._upstream.open("POST", sent, text.encode()):
                    pass  # its answer has no content
            except UpstreamFault as fault:
                _log.warning("a request of the server has no answer", reason=str(fault))

        relay = EventRelay(self._exchange, self._caller_of(headers), message, answer_server)
        await relay.run(response, reply)

    def _caller_of(self, headers: Headers) -> McpCaller:
        """Returns for whom a request is judged: its session is that of the protocol, if any."""
        session = dict(headers).get(SESSION_HEADER, "")
        if self._caller.session or not _SESSION.fullmatch(session):
            return self._caller
        return self._caller._replace(session=session)


def _check_request(scope: HTTPScope, headers: Headers) -> None:
    """Checks what is known before the body is read.

    Raises:
        _McpHttpFault: the request is not for this endpoint, or cannot be read.
    """
    values = dict(headers)
    try:
        check_loopback(values)
    except HostRefused as error:
        raise _McpHttpFault(403, error.message) from None
    if scope["path"] != PATH:
        raise _McpHttpFault(404, f"The endpoint is {PATH}.")
    if scope["method"] not in ("GET", "POST", "DELETE"):
        raise _McpHttpFault(405, "Use POST, GET or DELETE.", [("allow", "GET, POST, DELETE")])
    names = [name for name, _ in headers if name in _SINGLE]
    if len(names) != len(set(names)):
        raise _McpHttpFault(400, "A header stands there twice.")
    if not all(values[name].isascii() and values[name].isprintable() for name in names):
        raise _McpHttpFault(400, "A header has characters that are not visible ASCII.")
    if scope["method"] != "POST":
        return
    if values.get("content-encoding", "identity").lower() != "identity":
        raise _McpHttpFault(415, "The body must not be compressed.")
    if values.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _McpHttpFault(415, "Content-Type must be application/json.")


async def _read_body(headers: Headers, receive: ASGIReceiveCallable) -> McpMessage:
    """Returns the message in a body.

    Raises:
        _McpHttpFault: it is too large, or the client has gone.
        MalformedMessage: it is no message.
    """
    too_large = _McpHttpFault(413, f"The message is larger than {MAX_MESSAGE_BYTES} bytes.")
    length = dict(headers).get("content-length", "0")
    if length.isdecimal() and int(length) > MAX_MESSAGE_BYTES:
        raise too_large
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise _McpHttpFault(400, "The body has not arrived.")
        body += event["body"]
        if len(body) > MAX_MESSAGE_BYTES:
            raise too_large
        if not event["more_body"]:
            return await read_aside(body)


async def _until_gone(work: Coroutine[Any, Any, None], receive: ASGIReceiveCallable) -> None:
    """Does `work` until the client has gone, which cancels its request."""
    task = asyncio.create_task(work)
    watch = asyncio.create_task(_wait_until_gone(receive))
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)
    if not task.cancelled():
        task.result()


async def _wait_until_gone(receive: ASGIReceiveCallable) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _status_only(
    response: UpstreamResponse, message: McpMessage | None, reply: HttpReply
) -> None:
    """Passes a status on, without its body, which was not judged."""
    status = response.status if response.is_error else 502
    text = f"The server has answered with HTTP {response.status} and no message of MCP."
    message_id = message.id if message else None
    await reply.error(status, message_id, INTERNAL_ERROR, text, headers=response.headers)


def _status_of_denial(message: McpMessage) -> int:
    """Returns the HTTP status of a request that is denied: as a server of its version has it."""
    if version_of(message) >= MODERN and message.method not in FROM_CLIENT:
        return 404
    return 200


def _passed_on(headers: Headers) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name in _PASSED_ON]
