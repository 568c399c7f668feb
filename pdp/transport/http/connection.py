"""One HTTP/1.1 connection: uvicorn's, with bounds on what a client may keep the server waiting for.

uvicorn bounds how long a connection may rest between two requests. Here that holds for a
connection that has sent nothing yet, too, and so does a bound on how long a request may take to
arrive, on how large its head may be, and on how long an answer may wait to be read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from pdp.transport.http.client_certificates import CertifiedProtocol

if TYPE_CHECKING:
    import asyncio
    from asyncio.events import TimerHandle

    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers together."""

FIRST_BYTE_S: Final = 30.0
"""How long a new connection may send nothing, its TLS handshake done."""

REQUEST_S: Final = 60.0
"""How long a request may take to arrive, from its first byte to its last."""

STALLED_S: Final = 60.0
"""How long an answer may wait for its client to read on."""

LEAVING_S: Final = 0.5
"""How long an open connection may rest once the server is to end; what comes by then is served."""

_MALFORMED: Final = json.dumps(
    {
        "error": {
            "code": "MALFORMED_REQUEST",
            "message": "this is no request that can be read in one way only",
            "details": [],
        }
    },
    separators=(",", ":"),
).encode()


class LeavingConfig(uvicorn.Config):
    """uvicorn's settings, and whether its connections are to be left by their clients."""

    leaving = False


class BoundedProtocol(CertifiedProtocol):
    """A connection that is closed where its client keeps it waiting."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: TimerHandle | None = None
        self._stalled: TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._begun: RequestResponseCycle | None = None
        self._spoilt = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._arm(FIRST_BYTE_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._disarm()
        self.resume_writing()
        answering = self._answering()
        if answering is not None:
            # uvicorn tells the request that came last, which may still wait for this one.
            answering.disconnected = True
            answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._spoilt:
            return
        self._head_bytes += len(data)
        super().data_received(data)
        # Where a head has not ended yet, all that was received since the last request is of it.
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """See `httptools`."""
        super().on_message_begin()
        self._arm(REQUEST_S)

    def on_headers_complete(self) -> None:
        """See `httptools`."""
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            raise ValueError("the head is too large")  # to httptools, and from it a 400
        if b"#" in self.url:
            raise ValueError("a fragment is for clients alone")  # some servers would cut it off
        super().on_headers_complete()
        if self.config.leaving:  # type: ignore[attr-defined] # see LeavingConfig
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """See `httptools`."""
        self._disarm()
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        if self.flow is not None:
            super().resume_writing()

    def shutdown(self) -> None:
        """Closes the connection after its next answer, or when nothing comes for a moment.

        A client that has just sent a request on a connection that rested cannot know that nobody
        has read it, so such a connection is not closed at once.
        """
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                LEAVING_S, self.timeout_keep_alive_handler
            )
        else:
            cycle.keep_alive = False

    def timeout_keep_alive_handler(self) -> None:
        """Closes a connection that rests; what its client has not read by now it never will."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP in the form of all errors, and closes the connection.

        Where it came behind a request that is still to be answered, that one's answer is the last:
        a refusal in front of it, or in the middle of it, would be taken for it.
        """
        answering = self._answering()
        if answering is not None and not answering.more_body:
            answering.keep_alive = False
            self.pipeline.clear()
            self._spoilt = True
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
        self._begun = cycle
        super()._start_asgi_task(cycle, app)

    def _answering(self) -> RequestResponseCycle | None:
        """Returns the request that is being answered; those behind it wait in the pipeline."""
        begun = self._begun
        return None if begun is None or begun.response_complete else begun

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self._expired)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        self._timer = None
        self.transport.abort()
