"""The server behind the HTTP transport."""

from __future__ import annotations

from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import httpx2

from pdp.adapters.mcp.messages import MAX_MESSAGE_BYTES
from pdp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from pdp.adapters.mcp.headers import Headers

CONNECT_TIMEOUT_S: Final = 10.0
WRITE_TIMEOUT_S: Final = 60.0
MAX_CONNECTIONS: Final = 512

_PASSED_ON: Final = ("mcp-session-id", "www-authenticate", "retry-after", "allow")
"""Headers of the server that the client gets."""

MAX_HEADER: Final = 4096


class UpstreamFault(Exception):
    """The server cannot be reached, or its answer is not understood; the message says which."""


class UpstreamResponse:
    """An answer of the server.

    Attributes:
        status: the HTTP status.
        is_ok: whether it is 200.
        is_success: whether it is below 300.
        is_error: whether it is from 400 on.
        is_stream: whether the body is a stream of events, after a success.
        is_json: whether the body is JSON, after a success or an error.
        headers: those that the client gets.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self.status = response.status_code
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self.is_ok = self.status == HTTPStatus.OK
        self.is_success = self.status < HTTPStatus.MULTIPLE_CHOICES
        self.is_error = self.status >= HTTPStatus.BAD_REQUEST
        self.is_stream = self.is_ok and media_type == "text/event-stream"
        self.is_json = (self.is_ok or self.is_error) and media_type == "application/json"
        self.headers: Headers = [
            (name, value)
            for name, value in response.headers.multi_items()
            if name in _PASSED_ON and len(value) <= MAX_HEADER and value.isprintable()
        ]

    async def read(self) -> bytes:
        """Returns the body.

        Raises:
            UpstreamFault: it is too large, or does not arrive.
        """
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > MAX_MESSAGE_BYTES:
                raise UpstreamFault(f"The answer is larger than {MAX_MESSAGE_BYTES} bytes.")
        return bytes(body)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yields the body as it arrives.

        Raises:
            UpstreamFault: it is compressed, or does not arrive.
        """
        if self._response.headers.get("content-encoding", "identity") != "identity":
            raise UpstreamFault("The answer is compressed.")
        try:
            async for chunk in self._response.aiter_raw():
                yield chunk
        except httpx2.TimeoutException:
            raise UpstreamFault("The server has sent nothing for too long.") from None
        except httpx2.HTTPError:
            raise UpstreamFault("The connection to the server has ended too early.") from None


class Upstream:
    """Sends messages to one server. It follows no redirect and uses no proxy."""

    def __init__(self, url: str, *, idle_s: float, authorization: str = "") -> None:
        """Args:
        url: of the MCP endpoint.
        idle_s: how many seconds the server may send nothing.
        authorization: the header `Authorization` for the server, in place of that of the clients.

        Raises:
            ConfigError: the URL cannot be used.
        """
        self._url = _checked(url)
        self._authorization = authorization
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(
                idle_s, connect=CONNECT_TIMEOUT_S, write=WRITE_TIMEOUT_S, pool=CONNECT_TIMEOUT_S
            ),
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS),
            trust_env=False,
            follow_redirects=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def open(
        self, method: str, headers: Headers, body: bytes | None = None
    ) -> AsyncIterator[UpstreamResponse]:
        """Sends an HTTP request, and yields the response before its body is read.

        Args:
            method: the verb.
            headers: of the request.
            body: a JSON text; None for no body.

        Raises:
            UpstreamFault: the server does not answer.
        """
        sent = [(name, value) for name, value in headers if not self._replaces(name)]
        if self._authorization:
            sent.append(("authorization", self._authorization))
        if body is not None:
            sent.append(("content-type", "application/json"))
        sent.append(("accept-encoding", "identity"))
        request = self._client.build_request(method, self._url, headers=sent, content=body)
        try:
            response = await self._client.send(request, stream=True)
        except httpx2.TimeoutException:
            raise UpstreamFault("The server does not answer in time.") from None
        except httpx2.HTTPError:
            raise UpstreamFault("The server cannot be reached.") from None
        try:
            yield UpstreamResponse(response)
        finally:
            await response.aclose()

    def _replaces(self, name: str) -> bool:
        return name == "authorization" and bool(self._authorization)


def _checked(url: str) -> str:
    problem = ""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError("--upstream: this is not a URL. Use https://HOST/PATH") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        problem = "this is not a URL of HTTP"
    elif parts.username is not None or parts.password is not None:
        problem = "a URL must not hold credentials; set PDP_MCP_UPSTREAM_AUTHORIZATION"
    elif parts.fragment:
        problem = "the URL must not have a fragment"
    if problem:
        raise ConfigError(f"--upstream: {problem}. Use https://HOST/PATH")
    return url
