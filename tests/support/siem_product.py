"""A product as connectors meet it: an HTTP server in this process that keeps what it was sent and
answers as it is told to, wrongly as well.
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
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, as JSON."""
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """The body's lines, each as JSON."""
        return [json.loads(each) for each in self.body.splitlines() if each]


@dataclass(frozen=True)
class Say:
    """An answer.

    Attributes:
        status, body, headers: of it.
        raw: what is sent instead, as it is; the connection is closed then.
        reset: the connection is reset instead.
        wait: the answer is sent when this is set.
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
        answer: what is said to a request for which nothing is `said` beforehand.
        tls: certificate and key files, to serve HTTPS.
    """

    def __init__(self, answer: Callable[[Asked], Say], tls: tuple[str, str] | None = None) -> None:
        self.asked: list[Asked] = []
        self.said: deque[Say] = deque()
        self._answer = answer
        self._came = threading.Condition()
        self._scheme = "https" if tls else "http"
        product = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                product.serve(self)

            do_GET = do_POST = _serve  # noqa: N815 - names of the protocol

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its own name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # resets are meant
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Takes a request and answers it."""
        length = int(handler.headers.get("content-length", 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        asked = Asked(handler.command, handler.path, headers, handler.rfile.read(length))
        with self._came:
            say = self.said.popleft() if self.said else self._answer(asked)
            self.asked.append(asked)
            self._came.notify_all()
        if say.wait is not None:
            say.wait.wait(TIMEOUT_S)
        if say.reset:
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.connection.close()
            handler.close_connection = True
        elif say.raw is not None:
            handler.wfile.write(say.raw)
            handler.close_connection = True
        else:
            _write(handler, say)

    def until(self, met: Callable[[], bool]) -> None:
        """Waits until `met` holds; it is looked at after each request."""
        with self._came:
            assert self._came.wait_for(met, TIMEOUT_S), [each.path for each in self.asked][-5:]

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


def _write(handler: BaseHTTPRequestHandler, say: Say) -> None:
    body = say.body
    if isinstance(body, dict):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    assert isinstance(body, bytes)
    handler.send_response(say.status)
    for name, value in say.headers.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
