"""One request and its answer, in ASGI's terms."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from pdp.errors import DeadlineExceeded, PdpError, RequestTooLarge, UnsupportedMediaType
from pdp.transport.call import joined
from pdp.transport.status import envelope, http_status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import Receive, Scope, Send

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""A batch of requests (decide.md, Services)."""

MAX_DROPPED_BYTES: Final = 4 * MAX_BODY_BYTES
"""How much of a body that is too large is waited for, so that its sender hears why it failed."""

BODY_TIMEOUT_S: Final = 30.0
"""How long a body may take to arrive."""

NO_CONTENT: Final = 204
NOT_MODIFIED: Final = 304

_BODILESS: Final = frozenset({NO_CONTENT, NOT_MODIFIED})
_CONTENT_LENGTH_DIGITS: Final = 15

PEER: Final = "pdp.peer"
"""The extension of a scope that has the names in the client's certificate."""

Header = tuple[bytes, bytes]

NOSNIFF: Final[Header] = (b"x-content-type-options", b"nosniff")
JSON_HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    NOSNIFF,
)

to_json: Final[Callable[[Any], str]] = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode


class ClientGone(Exception):
    """The client has closed the connection: nobody is left to answer."""


class HttpResponse(NamedTuple):
    """What is sent back."""

    status: int
    headers: tuple[Header, ...] = ()
    body: bytes = b""

    async def send(self, send: Send, *, head: bool) -> None:
        """Sends it, without its body where only the head was asked for."""
        headers = [*self.headers]
        if self.status not in _BODILESS:
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head else self.body})


def json_answer(status: int, value: object, reply: Mapping[str, str] = {}) -> HttpResponse:
    """Returns `value` as JSON, with the headers in `reply`."""
    headers = JSON_HEADERS
    if reply:
        headers += tuple((name.encode(), header_value(text)) for name, text in reply.items())
    if status == NO_CONTENT:
        return HttpResponse(status, headers[1:])
    return HttpResponse(status, headers, to_json(value).encode())


def error_answer(
    error: PdpError, reply: Mapping[str, str], invalid_status: int = 400
) -> HttpResponse:
    """Returns the envelope of `error`, with the headers in `reply`."""
    return json_answer(http_status(error, invalid_status), envelope(error), reply)


def header_value(text: str) -> bytes:
    """Returns a text as the value of a header."""
    # Ids come from callers: a line break in one must not begin a header of its own.
    if not (text.isascii() and text.isprintable()):
        text = quote(text, safe=" !#$&'()*+,/:;=?@[]")
    return text.encode()


@dataclass(slots=True)
class Exchange:
    """A request.

    Attributes:
        method: the HTTP method.
        path: the raw path, percent-encoded as it came.
        query: the raw query.
        headers: by lower-case names; values of a name that came twice are joined by commas.
        receive: gives the body.
        peer: the names in the client's certificate, where the connection has one.
    """

    method: str
    path: bytes
    query: bytes
    headers: dict[str, str]
    receive: Receive
    peer: tuple[str, ...] = ()

    async def body(self) -> bytes:
        """Returns the whole body.

        Raises:
            RequestTooLarge: it is over its bound, whatever its Content-Length says.
            DeadlineExceeded: it does not arrive in time.
            ClientGone: the client went away.
        """
        if "expect" in self.headers and self._announced() > MAX_BODY_BYTES:
            raise _too_large()  # the client waits for leave to send it
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                return await _read(self.receive)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the body did not arrive within {BODY_TIMEOUT_S:.0f} seconds"
            ) from None

    def _announced(self) -> int:
        length = self.headers.get("content-length", "")
        return int(length[:_CONTENT_LENGTH_DIGITS]) if length.isdecimal() else 0


async def _read(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
            continue
        # Most clients read no answer before they have sent all: the rest is taken and dropped.
        chunks.clear()
        if size > MAX_DROPPED_BYTES:
            break
    if size > MAX_BODY_BYTES:
        raise _too_large()
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large() -> RequestTooLarge:
    return RequestTooLarge(f"the body is larger than {MAX_BODY_BYTES} bytes")


def check_json(headers: Mapping[str, str]) -> None:
    """Raises where the headers call a body anything but plain JSON.

    Raises:
        UnsupportedMediaType: they do.

    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType("send the body as Content-Type: application/json")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("send the body without Content-Encoding")


def exchange_of(scope: Scope, receive: Receive) -> Exchange:
    """Returns the request that an ASGI server passes on."""
    pairs: list[Header] = scope["headers"]
    texts = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs]
    headers = dict(texts)
    if len(headers) != len(texts):
        headers = joined(texts)
    path = scope.get("raw_path")
    if path is None:  # optional in ASGI
        path = quote(scope["path"], safe="/:@!$&'()*+,;=~").encode()
    peer: tuple[str, ...] = scope.get("extensions", {}).get(PEER, ())
    return Exchange(scope["method"], path, scope["query_string"], headers, receive, peer)
