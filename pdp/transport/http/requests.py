"""An HTTP request, as the ASGI server passes it on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pdp.errors import DeadlineExceeded, RequestTooLarge, UnsupportedMediaType
from pdp.transport.call import joined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""The largest body, enough for a batch of requests (docs/decide.md, Services)."""

MAX_DISCARDED_BYTES: Final = 4 * MAX_BODY_BYTES
"""How much of an oversized body is read and discarded, so that its sender can read the error."""

BODY_TIMEOUT_S: Final = 30.0
"""How long a body may take to arrive."""

PEER: Final = "pdp.peer"
"""The extension of an ASGI scope that holds the names in the client's certificate."""

ARRIVED: Final = "pdp.arrived"
"""The extension of an ASGI scope whose request has arrived as a whole."""

ROUNDS_PER_CHUNK: Final = 16
"""Rounds of the event loop between two chunks of a body. To take in a chunk holds it for 0.2 ms,
and another call waits for some twenty rounds before it is answered."""

_CONTENT_LENGTH_DIGITS: Final = 15


class ClientGone(Exception):
    """The client has closed the connection, so there is no one to respond to."""


@dataclass(slots=True)
class HttpRequest:
    """A request.

    Attributes:
        method: the HTTP method.
        path: the raw path, still percent-encoded.
        query: the raw query.
        headers: by lower-case name. Values of a repeated name are joined by commas.
        receive: the ASGI function that returns the body.
        peer: the names in the client's certificate; empty if the connection has none.
        scheme: `http` or `https`.
        has_arrived: whether the whole body was there when the request was passed on.
    """

    method: str
    path: bytes
    query: bytes
    headers: dict[str, str]
    receive: Receive
    peer: tuple[str, ...] = ()
    scheme: str = "http"
    has_arrived: bool = False

    @classmethod
    def from_scope(cls, scope: Scope, receive: Receive) -> HttpRequest:
        """Returns the request that an ASGI server passes on."""
        pairs: list[tuple[bytes, bytes]] = scope["headers"]
        texts = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs]
        headers = dict(texts)
        if len(headers) != len(texts):
            headers = joined(texts)
        path = scope.get("raw_path")
        if path is None:  # optional in ASGI
            path = quote(scope["path"], safe="/:@!$&'()*+,;=~").encode()
        extensions: Mapping[str, Any] = scope.get("extensions", {})
        return cls(
            scope["method"],
            path,
            scope["query_string"],
            headers,
            receive,
            extensions.get(PEER, ()),
            scope.get("scheme", "http"),
            ARRIVED in extensions,
        )

    def target(self) -> str:
        """Returns the raw path and query, for links to it."""
        raw = self.path + b"?" + self.query if self.query else self.path
        return raw.decode("latin-1")

    async def body(self) -> bytes | bytearray:
        """Reads and returns the whole body.

        Raises:
            RequestTooLarge: the body exceeds `MAX_BODY_BYTES`, regardless of its Content-Length.
            DeadlineExceeded: the body does not arrive within `BODY_TIMEOUT_S`.
            ClientGone: the client has closed the connection.
        """
        if self.has_arrived:  # a timer costs as much as to read what is there
            return await _read(self.receive)
        if "expect" in self.headers and self._content_length() > MAX_BODY_BYTES:
            raise _too_large()  # the client waits for permission to send the body
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await _read(self.receive)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the body did not arrive within {BODY_TIMEOUT_S:.0f} seconds"
            ) from None

    def _content_length(self) -> int:
        length = self.headers.get("content-length", "")
        return int(length[:_CONTENT_LENGTH_DIGITS]) if length.isdecimal() else 0


async def _read(receive: Receive) -> bytes | bytearray:
    # Most bodies arrive as one chunk. Others grow as they arrive: to join their chunks at the end
    # would hold the event loop.
    body: bytes | bytearray = b""
    size, more = 0, True
    while more:
        for _ in range(ROUNDS_PER_CHUNK if size else 0):
            await asyncio.sleep(0)
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            # Most clients read the response only after they have sent the whole body.
            body = b""
            if size > MAX_DISCARDED_BYTES:
                break
        elif size == len(chunk):
            body = chunk
        else:
            body = bytearray(body) if isinstance(body, bytes) else body
            body += chunk
    if size > MAX_BODY_BYTES:
        raise _too_large()
    return body


def _too_large() -> RequestTooLarge:
    return RequestTooLarge(f"the body is larger than {MAX_BODY_BYTES} bytes")


def check_json(headers: Mapping[str, str]) -> None:
    """Checks that the headers declare the body as uncompressed JSON.

    Raises:
        UnsupportedMediaType: the body has another media type, or an encoding.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType("send the body as Content-Type: application/json")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("send the body without Content-Encoding")
