"""Answers that are streams over HTTP: lines of JSON, or a text as it is."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

import structlog

from pdp.errors import PdpError
from pdp.jsonpb import encode
from pdp.transport.http.exchange import JSON_HEADERS, Header, header_value, to_json
from pdp.transport.response_streams import sent
from pdp.transport.status import envelope

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from google.protobuf.message import Message
    from starlette.types import Receive, Send

    from pdp.transport.call import Call

NDJSON: Final = "application/x-ndjson"

TEXT: Final = "text"
CONTENT_TYPE: Final = "content_type"
"""Fields of a response that is sent as it is: its text, and what that is."""

_log = structlog.get_logger("pdp.http")


class StreamedAnswer:
    """A stream, as ASGI sends it. It ends early where the client goes away."""

    def __init__(self, call: Call, first: Message, field: str, receive: Receive) -> None:
        """Takes an answered call.

        Args:
            call: with its stream.
            first: what the endpoint has returned; it says what a text is.
            field: of each message, what a line consists of; empty for the message itself.
            receive: tells when the client goes away.
        """
        self._call = call
        self._receive = receive
        as_it_is = CONTENT_TYPE in type(first).DESCRIPTOR.fields_by_name
        self._content_type: str = getattr(first, CONTENT_TYPE) if as_it_is else NDJSON
        self._line: Callable[[Message], bytes] = _text if as_it_is else _json_line(field)

    async def send(self, send: Send, *, head: bool) -> None:
        """Sends it, without its body where only the head was asked for."""
        await send({"type": "http.response.start", "status": 200, "headers": self._headers()})
        if not head:
            gone = asyncio.create_task(_until_gone(self._receive))
            try:
                await self._send_body(send, gone)
            finally:
                gone.cancel()
                with suppress(asyncio.CancelledError):
                    await gone
        await send({"type": "http.response.body", "body": b""})

    async def _send_body(self, send: Send, gone: asyncio.Task[None]) -> None:
        async with aclosing(_lines(self._call, self._line)) as lines:
            while True:
                coming = asyncio.ensure_future(anext(lines, None))
                await asyncio.wait([coming, gone], return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    coming.cancel()
                    with suppress(asyncio.CancelledError):
                        await coming
                    return
                line = coming.result()
                if line is None:
                    return
                await send({"type": "http.response.body", "body": line, "more_body": True})

    def _headers(self) -> list[Header]:
        reply = self._call.reply.items()
        return [
            (b"content-type", self._content_type.encode()),
            *JSON_HEADERS[1:],
            *((name.encode(), header_value(text)) for name, text in reply),
        ]


async def _lines(call: Call, line: Callable[[Message], bytes]) -> AsyncGenerator[bytes]:
    try:
        async for message in sent(call):
            yield line(message)
    except PdpError as error:
        # The status is sent already; a last line says that the rest is missing, and why.
        _log.error("a stream ended early", method=call.method.path, reason=error.message)
        yield to_json(envelope(error)).encode() + b"\n"


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _text(message: Message) -> bytes:
    text: str = getattr(message, TEXT)
    return text.encode()


def _json_line(field: str) -> Callable[[Message], bytes]:
    def line(message: Message) -> bytes:
        value = encode(message)
        return to_json(value.get(field) if field else value).encode() + b"\n"

    return line
