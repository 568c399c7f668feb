"""One HTTP/1.1 connection: uvicorn's protocol, with limits on how long a client may block it.

uvicorn limits how long a connection may be idle between two requests. This protocol also limits

- how long a new connection may send nothing,
- how long a request may take to arrive,
- how large the request line and headers may be, and
- how long a response may wait for its client to read it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from pdp.transport.http.client_certificates import ClientCertificateProtocol
from pdp.transport.http.request_parser import RequestParser
from pdp.transport.http.requests import ARRIVED
from pdp.transport.http.response_writer import ResponseWriter
from pdp.transport.http.uvicorn_hooks import check_hooks

if TYPE_CHECKING:
    import asyncio
    from asyncio.events import TimerHandle

    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

MAX_HEAD_BYTES: Final = 64 * 1024
"""The largest request line and headers together."""

FIRST_BYTE_TIMEOUT_S: Final = 30.0
"""How long a new connection may send nothing after its TLS handshake."""

REQUEST_TIMEOUT_S: Final = 60.0
"""How long a request may take to arrive, from its first byte to its last."""

WRITE_TIMEOUT_S: Final = 60.0
"""How long a response may wait for its client to read on."""

DRAIN_IDLE_S: Final = 0.5
"""How long an open connection may be idle once the server drains. A request in this time is
served."""

HOOKS: Final = {
    "_start_asgi_task": ("cycle", "app"),
    "_unset_keepalive_if_required": (),
    "connection_lost": ("exc",),
    "connection_made": ("transport",),
    "data_received": ("data",),
    "on_headers_complete": (),
    "on_message_begin": (),
    "on_message_complete": (),
    "pause_writing": (),
    "resume_writing": (),
    "send_400_response": ("msg",),
    "shutdown": (),
    "timeout_keep_alive_handler": (),
}
"""The methods of uvicorn's protocol that this module and `client_certificates` override or call,
each with its parameters."""

check_hooks(HttpToolsProtocol, HOOKS)

_MALFORMED: Final = json.dumps(
    {
        "error": {
            "code": "MALFORMED_REQUEST",
            "message": "malformed or ambiguous HTTP request (two Host headers or none are "
            f"ambiguous, too), or headers of more than {MAX_HEAD_BYTES} bytes",
            "details": [],
        }
    },
    separators=(",", ":"),
).encode()


class DrainConfig(uvicorn.Config):
    """uvicorn's settings, and whether the server drains."""

    draining = False


class BoundedProtocol(ClientCertificateProtocol):
    """A connection that is closed if its client is too slow."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser: RequestParser = RequestParser(self)  # type: ignore[assignment] # in its place
        self._read_timer: TimerHandle | None = None
        self._read_deadline: float | None = None
        self._write_timer: TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._started_cycle: RequestResponseCycle | None = None
        self._discards_input = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._expect_input(FIRST_BYTE_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None
        self.resume_writing()
        cycle = self._active_cycle()
        if cycle is not None:
            # uvicorn notifies only the last request, which may still wait behind this one.
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._discards_input:
            return
        self._head_bytes += len(data)
        super().data_received(data)
        # Within a head, all bytes since the last request belong to that head.
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """See `httptools`."""
        super().on_message_begin()
        if not self.parser.restarted:
            self._expect_input(REQUEST_TIMEOUT_S)

    def on_headers_complete(self) -> None:
        """See `httptools`."""
        self._in_head = False
        size, hosts = len(self.url), 0
        for name, value in self.headers:
            size += len(name) + len(value)
            hosts += name == b"host"
        # httptools turns each of these errors into a 400.
        if size > MAX_HEAD_BYTES:
            raise ValueError("the request line and headers are too large")
        if b"#" in self.url:
            raise ValueError("a request has no fragment")  # some servers would cut it off
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() != "1.0"):
            raise ValueError("a request has one Host")  # RFC 9112, 3.2
        super().on_headers_complete()
        if self.config.draining:  # type: ignore[attr-defined] # see DrainConfig
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """See `httptools`."""
        self._read_deadline = None
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()
        self.cycle.scope.setdefault("extensions", {})[ARRIVED] = {}

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(WRITE_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        if self.flow is not None:
            super().resume_writing()

    def shutdown(self) -> None:
        """Closes the connection after its current response, or after it was idle for a moment.

        An idle connection is not closed at once: its client may have just sent a request, and
        could not know that the server did not read it.
        """
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                DRAIN_IDLE_S, self.timeout_keep_alive_handler
            )
        else:
            cycle.keep_alive = False

    def timeout_keep_alive_handler(self) -> None:
        """Closes an idle connection, and drops what its client has not read by now."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Refuses malformed HTTP with the usual error envelope, and closes the connection.

        If an earlier request on this connection still waits for its response, that response is
        the last one. A refusal before or within it would be read as part of it.
        """
        cycle = self._active_cycle()
        if cycle is not None and not cycle.more_body:
            cycle.keep_alive = False
            self.pipeline.clear()
            self._discards_input = True
            return
        head = (
            STATUS_LINE[400],
            b"content-type: application/json\r\n",
            b"cache-control: no-store\r\nx-content-type-options: nosniff\r\n",
            b"content-length: %d\r\nconnection: close\r\n\r\n" % len(_MALFORMED),
        )
        self.transport.write(b"".join((*head, _MALFORMED)))
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._started_cycle = cycle
        cycle.transport = ResponseWriter(cycle, self.loop)  # type: ignore[assignment] # all it uses
        super()._start_asgi_task(cycle, app)

    def _active_cycle(self) -> RequestResponseCycle | None:
        """Returns the request that is being answered; later ones wait in the pipeline."""
        cycle = self._started_cycle
        return None if cycle is None or cycle.response_complete else cycle

    def _expect_input(self, seconds: float) -> None:
        """Closes the connection after some seconds, unless `_read_deadline` is changed by then.

        The timer stays when the input has arrived, because a timer for each request would cost
        more. It is for the first byte, or for an earlier request, so it ends early enough.
        """
        self._read_deadline = self.loop.time() + seconds
        if self._read_timer is None:
            self._read_timer = self.loop.call_later(seconds, self._check_input)

    def _check_input(self) -> None:
        self._read_timer = None
        if self._read_deadline is None:
            return
        rest = self._read_deadline - self.loop.time()
        if rest <= 0:
            self.transport.abort()
        else:
            self._read_timer = self.loop.call_later(rest, self._check_input)
