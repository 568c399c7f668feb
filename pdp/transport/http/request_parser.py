"""httptools' request parser, which ignores `Upgrade` (RFC 9110, 7.8).

At the end of a head with `Upgrade`, httptools stops: what follows would be in another protocol.
This server has no other protocol, and a client that offers one (Java's `HttpClient` offers `h2c`)
sends an ordinary request. So this parser reads the same head again without its `Upgrade`, and then
reads on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from httptools import HttpParserUpgrade, HttpRequestParser

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_CONNECT: Final = b"CONNECT"
_UPGRADE: Final = b"upgrade"


class RequestParser:
    """Calls a protocol's `on_` methods as `HttpRequestParser` does, once for each request.

    Only `on_message_begin`, `on_url` and `on_header` are called a second time if a head has
    `Upgrade`; `restarted` says so.

    Attributes:
        restarted: whether the head is read for the second time.
    """

    def __init__(self, protocol: HttpToolsProtocol) -> None:
        """Args:
        protocol: the connection.
        """
        self._protocol = protocol
        self._head: bytes | None = None
        self.restarted = False
        # httptools looks these up once, when it is created.
        self.on_message_begin = protocol.on_message_begin
        self.on_url = protocol.on_url
        self.on_header = protocol.on_header
        self.on_body = protocol.on_body
        self._parser = self._new_parser()

    def should_upgrade(self) -> bool:
        """Returns False: this server serves no other protocol."""
        return False

    def feed_data(self, data: bytes) -> None:
        """Reads what has arrived.

        Raises:
            HttpParserError: this is not HTTP, or the protocol has refused it.
            HttpParserUpgrade: the method is CONNECT.
        """
        rest = memoryview(data)
        while True:  # each round reads at least one head
            try:
                self._parser.feed_data(rest)
            except HttpParserUpgrade as stop:
                if self._head is None:
                    raise
                rest = rest[stop.args[0] :]
                self._read_again(self._head)
            else:
                return

    def on_headers_complete(self) -> None:
        """See `httptools`."""
        if self._parser.should_upgrade() and self.get_method() != _CONNECT:
            self._head = self._without_upgrade()
        else:
            self._protocol.on_headers_complete()

    def on_message_complete(self) -> None:
        """See `httptools`."""
        if self._head is None:
            self._protocol.on_message_complete()

    def _new_parser(self) -> HttpRequestParser:
        parser = HttpRequestParser(self)
        # As uvicorn does: a request behind the last one does not disturb that one's response.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.get_http_version = parser.get_http_version
        self.get_method = parser.get_method
        self.should_keep_alive = parser.should_keep_alive
        return parser

    def _read_again(self, head: bytes) -> None:
        # With `Connection: close`, the old parser would not read on.
        self._parser = self._new_parser()
        self._head, self.restarted = None, True
        try:
            self._parser.feed_data(head)
        finally:
            self.restarted = False

    def _without_upgrade(self) -> bytes:
        """Returns the head of the current request without its `Upgrade`."""
        version = self.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.get_method(), self._protocol.url, version)]
        lines += (b"%s: %s" % each for each in self._protocol.headers if each[0] != _UPGRADE)
        return b"\r\n".join((*lines, b"", b""))
