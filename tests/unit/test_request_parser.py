"""The parser of HTTP requests: a head with `Upgrade` is read as if it had none."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.transport.http.request_parser import RequestParser

if TYPE_CHECKING:
    from collections.abc import Iterable

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
KINDS = {
    "no body": b"GET /a HTTP/1.1\r\nHost: a\r\n%b\r\n",
    "a length": b"POST /b?c=d HTTP/1.1\r\nHost: a\r\n%bContent-Length: 5\r\n\r\nhello",
    "no bytes": b"POST /c HTTP/1.1\r\nHost: a\r\n%bContent-Length: 0\r\n\r\n",
    "chunks": b"PUT /d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n%b\r\n"
    b"3\r\nGET\r\n2\r\n /\r\n0\r\n\r\n",
    "an empty header": b"GET /e HTTP/1.1\r\nHost:\r\nX-Empty:\r\n%b\r\n",
}


class Requests:
    """A protocol that collects requests."""

    def __init__(self) -> None:
        self.parser: Any = RequestParser(self)  # type: ignore[arg-type] # what the parser calls
        self.complete: list[tuple[bytes, bytes, str, bool, list[tuple[bytes, bytes]], bytes]] = []
        self.begun = 0

    def on_message_begin(self) -> None:
        """See `httptools`."""
        self.begun += not self.parser.restarted
        self.url, self.body, self.heads = b"", b"", 0
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        """See `httptools`."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """See `httptools`."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """See `httptools`."""
        self.heads += 1
        self.keep_alive = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """See `httptools`."""
        self.body += body

    def on_message_complete(self) -> None:
        """See `httptools`."""
        assert self.heads == 1
        version = self.parser.get_http_version()
        method = self.parser.get_method()
        self.complete.append((method, self.url, version, self.keep_alive, self.headers, self.body))


def requests(raw: bytes, cuts: Iterable[int] = ()) -> list[Any]:
    """Returns the requests in `raw`, which arrives in pieces."""
    protocol = Requests()
    places = sorted({0, *(cut % (len(raw) + 1) for cut in cuts), len(raw)})
    for start, end in pairwise(places):
        protocol.parser.feed_data(raw[start:end])
    assert protocol.begun == len(protocol.complete)
    return protocol.complete


@given(
    st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.booleans()), min_size=1, max_size=6),
    st.lists(st.integers(0, 2000), max_size=8),
)
def test_requests_are_the_same_with_and_without_an_upgrade(
    kinds: list[tuple[str, bool]], cuts: list[int]
) -> None:
    """However the bytes are split, and whatever is pipelined behind."""
    offered = b"".join(KINDS[kind] % (OFFER if offers else b"") for kind, offers in kinds)
    plain = b"".join(KINDS[kind] % b"" for kind, _ in kinds)
    own = {b"connection", b"http2-settings"}
    for request, expected in zip(requests(offered, cuts), requests(plain), strict=True):
        headers = [each for each in request[4] if each[0] not in own]
        assert (*request[:4], headers, request[5]) == expected


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"Connection: Upgrade\r\nUpgrade: websocket\r\n", True),
        (b"Connection: upgrade, close\r\nUpgrade: h2c, foo/2\r\n", False),
        (b"Connection: close\r\nConnection: Upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n", False),
        (b"Connection: Upgrade\r\n", True),
        (b"Upgrade: h2c\r\n", True),
    ],
)
def test_any_upgrade_is_ignored(head: bytes, keep_alive: bool) -> None:
    (request,) = requests(KINDS["a length"] % head)
    assert (request[3], request[5]) == (keep_alive, b"hello")


def test_http_1_0_stays_http_1_0() -> None:
    (request,) = requests(KINDS["a length"].replace(b"1.1", b"1.0") % OFFER)
    assert (request[2], request[3], request[5]) == ("1.0", False, b"hello")


@pytest.mark.parametrize(
    "fault",
    [
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"X-A : b\r\n",
        b"X-A: b\r\n c\r\n",
        b"X-A: \0\r\n",
    ],
)
def test_an_ambiguous_head_with_an_upgrade_is_refused(fault: bytes) -> None:
    with pytest.raises(httptools.HttpParserError):
        requests(KINDS["a length"] % (OFFER + fault))


def test_a_connect_is_not_read_again() -> None:
    """It asks for a tunnel, with an `Upgrade` or without."""
    raw = b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n%b\r\n"
    for head in (b"", OFFER):
        with pytest.raises(httptools.HttpParserUpgrade):
            requests(raw % head)
