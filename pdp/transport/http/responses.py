"""HTTP responses: JSON, errors, and streams of NDJSON lines or of text."""

from __future__ import annotations

import asyncio
import math
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import msgspec
import structlog

from pdp.errors import PdpError, RateLimited
from pdp.transport.http.headers import JSON_HEADERS, UNCACHED, Header
from pdp.transport.response_streams import stream_messages
from pdp.transport.status import envelope, http_status

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

    from google.protobuf.message import Message
    from starlette.types import Receive, Send

    from pdp.transport.call import Call
    from pdp.transport.http.json_forms import JsonForm

NO_CONTENT: Final = 204
NOT_MODIFIED: Final = 304

_BODILESS: Final = frozenset({NO_CONTENT, NOT_MODIFIED})

TEXT: Final = "text"
CONTENT_TYPE: Final = "content_type"
"""Fields of a response message that is sent as plain text: the text and its media type."""

_log = structlog.get_logger("pdp.http")

to_json: Final[Callable[[Any], bytes]] = msgspec.json.Encoder().encode
"""Returns a value as JSON. Messages hold neither NaN nor infinity once they are encoded."""


class HttpResponse(NamedTuple):
    """A response with a complete body."""

    status: int
    headers: tuple[Header, ...] = ()
    body: bytes = b""

    async def send(self, send: Send, *, head: bool) -> None:
        """Sends the response, without its body if `head` is set."""
        headers = [*self.headers]
        if self.status not in _BODILESS:
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head else self.body})


def json_response(
    status: int,
    value: object,
    reply: Mapping[str, str] = {},
    headers: tuple[Header, ...] = JSON_HEADERS,
) -> HttpResponse:
    """Returns a response with `value` as JSON and the headers in `reply` and `headers`."""
    if reply:
        headers += reply_headers(reply)
    if status == NO_CONTENT:
        return HttpResponse(status, headers[1:])
    return HttpResponse(status, headers, to_json(value))


def error_response(
    error: PdpError, reply: Mapping[str, str], invalid_status: int = 400
) -> HttpResponse:
    """Returns a response with the envelope of `error` and the headers in `reply`."""
    if isinstance(error, RateLimited):
        reply = {**reply, "retry-after": str(math.ceil(error.retry_after_s))}
    return json_response(http_status(error, invalid_status), envelope(error), reply)


def reply_headers(reply: Mapping[str, str]) -> tuple[Header, ...]:
    """Returns the headers in a reply."""
    return tuple((name.encode(), header_value(text)) for name, text in reply.items())


def header_value(text: str) -> bytes:
    """Returns a text as the value of a header, percent-encoded if it is not printable ASCII."""
    # Ids come from callers. A line break in an id must not start a new header.
    if not (text.isascii() and text.isprintable()):
        text = quote(text, safe=" !#$&'()*+,/:;=?@[]")
    return text.encode()


class StreamingResponse:
    """A streamed response. It ends early if the client closes the connection."""

    def __init__(
        self, call: Call, first: Message, field: str, receive: Receive, form: JsonForm
    ) -> None:
        """Takes a call whose endpoint has returned.

        Args:
            call: the call, with its stream.
            first: the message that the endpoint returned. It has the media type of a text.
            field: the field of each message that makes a line; empty for the whole message.
            receive: the ASGI function that reports when the client closes the connection.
            form: the form of the lines.
        """
        self._call = call
        self._receive = receive
        is_text = CONTENT_TYPE in type(first).DESCRIPTOR.fields_by_name
        self._content_type: str = getattr(first, CONTENT_TYPE) if is_text else form.line_type
        self._line: Callable[[Message], bytes] = _text if is_text else _json_line(field, form)

    async def send(self, send: Send, *, head: bool) -> None:
        """Sends the response, without its body if `head` is set."""
        await send({"type": "http.response.start", "status": 200, "headers": self._headers()})
        if not head:
            async with waiting_for_disconnect(self._receive) as disconnect:
                await self._send_body(send, disconnect)
        await send({"type": "http.response.body", "body": b""})

    async def _send_body(self, send: Send, disconnect: asyncio.Task[None]) -> None:
        async with aclosing(_lines(self._call, self._line)) as lines:
            while True:
                next_line = asyncio.ensure_future(anext(lines, None))
                await asyncio.wait([next_line, disconnect], return_when=asyncio.FIRST_COMPLETED)
                if not next_line.done():
                    next_line.cancel()
                    with suppress(asyncio.CancelledError):
                        await next_line
                    return
                line = next_line.result()
                if line is None:
                    return
                await send({"type": "http.response.body", "body": line, "more_body": True})

    def _headers(self) -> list[Header]:
        content_type = (b"content-type", self._content_type.encode())
        return [content_type, *UNCACHED, *reply_headers(self._call.reply)]


async def _lines(call: Call, line: Callable[[Message], bytes]) -> AsyncGenerator[bytes]:
    try:
        async for message in stream_messages(call):
            yield line(message)
    except PdpError as error:
        # The status was sent already. A last line reports that the stream is incomplete.
        _log.error("a stream ended early", method=call.method.path, reason=error.message)
        yield to_json(envelope(error)) + b"\n"


@asynccontextmanager
async def waiting_for_disconnect(receive: Receive) -> AsyncIterator[asyncio.Task[None]]:
    """Returns a task that is done when the client closes the connection."""
    disconnect = asyncio.create_task(_wait_for_disconnect(receive))
    try:
        yield disconnect
    finally:
        disconnect.cancel()
        with suppress(asyncio.CancelledError):
            await disconnect


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _text(message: Message) -> bytes:
    text: str = getattr(message, TEXT)
    return text.encode()


def _json_line(field: str, form: JsonForm) -> Callable[[Message], bytes]:
    def line(message: Message) -> bytes:
        return to_json(form.body(message, field)) + b"\n"

    return line
