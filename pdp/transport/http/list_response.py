"""The HTTP response with a long list, written page by page as it is read."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import structlog

from pdp.errors import PdpError
from pdp.transport.http.responses import (
    reply_headers,
    to_json,
    waiting_for_disconnect,
)
from pdp.transport.response_streams import stream_messages

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from google.protobuf.message import Message
    from starlette.types import Receive, Send

    from pdp.transport.call import Call
    from pdp.transport.http.json_forms import JsonForm

_log = structlog.get_logger("pdp.http")


class ListResponse:
    """A response whose list is longer than one page. It ends early if the client is gone."""

    def __init__(  # noqa: PLR0917 - what a response is made of
        self,
        call: Call,
        first: Message,
        status: int,
        response_body: str,
        receive: Receive,
        form: JsonForm,
    ) -> None:
        """Takes a call whose endpoint has returned.

        Args:
            call: the call, with the rest of the list in its stream.
            first: the answer with the first page.
            status: the status of the response.
            response_body: the field that makes the whole body; empty for the whole message.
            receive: the ASGI function that reports when the client closes the connection.
            form: the form of the body.
        """
        self._call = call
        self._status = status
        self._receive = receive
        self._form = form
        self._name = form.name(first, call.list_field)
        value = form.encode(first)
        value.setdefault(self._name, [])
        self._begin, self._end = _around(value, self._name, response_body)

    async def send(self, send: Send, *, head: bool) -> None:
        """Sends the response, without its body if `head` is set.

        If the list cannot be read to its end, the connection is closed within the body, so that no
        client takes a part for the whole.
        """
        headers = [*self._form.headers, *reply_headers(self._call.reply)]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        if not head:
            async with waiting_for_disconnect(self._receive) as disconnect:
                if not await self._send_body(send, disconnect):
                    return
        await send({"type": "http.response.body", "body": b""})

    async def _send_body(self, send: Send, disconnect: asyncio.Task[None]) -> bool:
        """Sends the body. Returns whether it is complete."""
        await send({"type": "http.response.body", "body": self._begin, "more_body": True})
        encode, name = self._form.encode, self._name
        try:
            async with aclosing(stream_messages(self._call)) as parts:  # type: ignore[type-var] # a generator
                async for part in parts:
                    if disconnect.done():
                        return False
                    body = b"," + to_json(encode(part)[name])[1:-1]
                    await send({"type": "http.response.body", "body": body, "more_body": True})
        except PdpError as error:
            _log.error("a list ended early", method=self._call.method.path, reason=error.message)
            return False
        await send({"type": "http.response.body", "body": self._end, "more_body": True})
        return True


def _around(value: Mapping[str, Any], field: str, response_body: str) -> tuple[bytes, bytes]:
    """Returns the text up to the last item of the first page, and the text after the list."""
    items = to_json(value[field])[:-1]
    if response_body:
        return items, b"]"
    names = list(value)
    index = names.index(field)
    before = (to_json(name) + b":" + to_json(value[name]) + b"," for name in names[:index])
    after = (b"," + to_json(name) + b":" + to_json(value[name]) for name in names[index + 1 :])
    return b"{%b%b:%b" % (b"".join(before), to_json(field), items), b"]%b}" % b"".join(after)
