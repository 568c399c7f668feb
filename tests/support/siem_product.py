"""A fake product for connectors and webhooks: an HTTP server in this process.

It stores the requests, and sends the planned responses, which may be invalid.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

TIMEOUT_S: Final = 60.0


@dataclass(frozen=True)
class ReceivedRequest:
    """A request that the product received."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """The lines of the body, each as JSON."""
        return [json.loads(each) for each in self.body.splitlines() if each]


@dataclass(frozen=True)
class PlannedResponse:
    """A response to send.

    Attributes:
        status, body, headers: the response.
        raw: bytes to send instead of a response; the connection is then closed.
        reset: reset the connection instead of a response.
        wait: send the response when this event is set.
    """

    status: int = 200
    body: bytes | str | Mapping[str, Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    reset: bool = False
    wait: threading.Event | None = None


class Product:
    """The server.

    Args:
        respond: returns the response to a request if `responses` is empty.
        tls: the certificate file and the key file; None to serve HTTP.

    Attributes:
        requests: the received requests.
        responses: the responses to the next requests.
    """

    def __init__(
        self,
        respond: Callable[[ReceivedRequest], PlannedResponse],
        tls: tuple[str, str] | None = None,
    ) -> None:
        self.requests: list[ReceivedRequest] = []
        self.responses: deque[PlannedResponse] = deque()
        self._respond = respond
        self._received = threading.Condition()
        self._scheme = "https" if tls else "http"
        product = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                product.serve(self)

            do_GET = do_POST = _serve  # noqa: N815 - names of the base class

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name of the base class
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # resets are intended
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Receives a request and sends the response."""
        length = int(handler.headers.get("content-length", 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = ReceivedRequest(
            handler.command, handler.path, headers, handler.rfile.read(length)
        )
        with self._received:
            response = self.responses.popleft() if self.responses else self._respond(request)
            self.requests.append(request)
            self._received.notify_all()
        if response.wait is not None:
            response.wait.wait(TIMEOUT_S)
        if response.reset:
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
            handler.close_connection = True
        elif response.raw is not None:
            handler.wfile.write(response.raw)
            handler.close_connection = True
        else:
            _write(handler, response)

    def until(self, condition: Callable[[], bool]) -> None:
        """Waits until `condition` is true. It is checked after each request."""
        with self._received:
            assert self._received.wait_for(condition, TIMEOUT_S), [
                each.path for each in self.requests
            ][-5:]

    def __enter__(self) -> Product:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _write(handler: BaseHTTPRequestHandler, response: PlannedResponse) -> None:
    body = response.body
    if isinstance(body, dict):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    assert isinstance(body, bytes)
    handler.send_response(response.status)
    for name, value in response.headers.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
