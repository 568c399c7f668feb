"""Answers of the HTTP transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pdp.adapters.mcp.messages import error_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from uvicorn._types import ASGISendCallable

    from pdp.adapters.mcp.headers import Headers
    from pdp.adapters.mcp.messages import MessageId

_JSON: Final = ("content-type", "application/json")
_EVENTS: Final = (
    ("content-type", "text/event-stream"),
    ("cache-control", "no-store"),
    ("x-accel-buffering", "no"),
)


class HttpReply:
    """The response to one HTTP request.

    Attributes:
        started: whether the status has been sent.
    """

    def __init__(self, send: ASGISendCallable) -> None:
        self._send = send
        self.started = False

    async def json(self, status: int, text: str, headers: Headers = ()) -> None:
        """Sends a JSON text.

        Args:
            status: the HTTP status.
            text: the body.
            headers: beside those of the body.
        """
        body = text.encode()
        await self._start(status, [_JSON, ("content-length", str(len(body))), *headers])
        await self._body(body)

    async def empty(self, status: int, headers: Headers = ()) -> None:
        """Sends a response without a body."""
        length = [] if status in (204, 304) else [("content-length", "0")]
        await self._start(status, [*length, *headers])
        await self._body(b"")

    async def error(
        self,
        status: int,
        message_id: MessageId | None,
        code: int,
        message: str,
        *,
        data: Any = None,
        headers: Headers = (),
    ) -> None:
        """Sends a JSON-RPC error; see `error_answer`."""
        await self.json(status, error_answer(message_id, code, message, data), headers)

    async def start_events(self, headers: Headers = ()) -> None:
        """Starts a stream of events."""
        await self._start(200, [*_EVENTS, *headers])

    async def event(self, data: bytes) -> None:
        """Sends an event of the stream."""
        await self._body(data, more=True)

    async def end_events(self) -> None:
        """Ends the stream of events."""
        await self._body(b"")

    async def _start(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        self.started = True
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self._send(
            {"type": "http.response.start", "status": status, "headers": raw, "trailers": False}
        )

    async def _body(self, body: bytes, *, more: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
