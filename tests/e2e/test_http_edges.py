"""HTTP on raw sockets: what can be read in two ways, what is too much, and who keeps us waiting."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.support.servers import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import Server

MANY = 10_000 if os.environ.get("PDP_SOAK") else 400
BODY = b'{"content": {"text": "hello"}}'
HEAD = b"Host: localhost\r\nContent-Type: application/json\r\n"
FAULTS = ("Traceback", "sqlite", "SELECT ", "/pdp/", ".py", "Exception")


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    """Opens a connection."""
    place = urlsplit(server.http_url)
    with socket.create_connection((place.hostname, place.port or 0), TIMEOUT_S) as opened:
        yield opened


def exchange(server: Server, raw: bytes, *, half_closed: bool = True) -> bytes:
    """Sends bytes, and returns all that comes back until the server closes."""
    with connected(server) as opened:
        opened.sendall(raw)
        if half_closed:
            opened.shutdown(socket.SHUT_WR)
        return to_the_end(opened)


def to_the_end(opened: socket.socket) -> bytes:
    """Returns all that arrives until the server has closed the connection."""
    received = b""
    try:
        while part := opened.recv(65536):
            received += part
    except ConnectionResetError:
        pass  # closed with something of ours unread: as ended as by a close
    return received


def statuses(raw: bytes) -> list[int]:
    """Returns the status of each answer."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", raw)]


def decide(*heads: bytes, body: bytes = BODY) -> bytes:
    """Returns a request for a decision, with these header lines."""
    return b"POST /v1/decide HTTP/1.1\r\n" + HEAD + b"".join(heads) + b"\r\n" + body


LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

AMBIGUOUS = {
    "length and chunks": decide(LENGTH, CHUNKED, body=b"0\r\n\r\n" + SMUGGLED),
    "chunks and length": decide(CHUNKED, LENGTH, body=b"0\r\n\r\n" + SMUGGLED),
    "two lengths": decide(LENGTH, b"Content-Length: 5\r\n", body=BODY + SMUGGLED),
    "a list of lengths": decide(b"Content-Length: 30, 30\r\n", body=BODY + SMUGGLED),
    "a signed length": decide(b"Content-Length: +30\r\n"),
    "a negative length": decide(b"Content-Length: -1\r\n"),
    "a length in hexadecimal": decide(b"Content-Length: 0x1e\r\n"),
    "chunks, twice": decide(CHUNKED, b"Transfer-Encoding: identity\r\n", body=SMUGGLED),
    "a coding that is almost chunked": decide(b"Transfer-Encoding: xchunked\r\n", body=SMUGGLED),
    "a space before the colon": decide(b"Content-Length : 30\r\n"),
    "a header folded": decide(b"X-A: b\r\n Content-Length: 30\r\n"),
    "a null in a header": decide(LENGTH, b"X-A: \0\r\n"),
    "a chunk size that is none": decide(CHUNKED, body=b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size too large": decide(CHUNKED, body=b"f" * 20 + b"\r\n" + BODY),
    "no method": b" /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another protocol": b"GET /healthz SIP/2.0\r\nHost: localhost\r\n\r\n",
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("fault", AMBIGUOUS)
def test_what_could_be_read_in_two_ways_is_refused(server: Server, fault: str) -> None:
    """One refusal, the connection is closed, and nothing behind it is taken for a request."""
    answer = exchange(server, AMBIGUOUS[fault])
    assert statuses(answer) in ([400], [501]), answer
    assert b"SERVING" not in answer
    assert not any(word.encode() in answer for word in FAULTS)


def test_a_refusal_has_the_form_of_all_errors(server: Server) -> None:
    """An error has the usual form even if the request could not be read."""
    head, _, body = exchange(server, AMBIGUOUS["two lengths"]).partition(b"\r\n\r\n")
    assert json.loads(body)["error"]["code"] == "MALFORMED_REQUEST"
    assert b"connection: close" in head
    assert b"x-content-type-options: nosniff" in head


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    """Two that are well-formed are two."""
    last = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = exchange(server, decide(LENGTH) + last, half_closed=False)
    assert statuses(answer) == [200, 200]
    assert answer.index(b'"outcome"') < answer.index(b"SERVING")


@pytest.mark.parametrize("between", [b"", decide(LENGTH)], ids=["at once", "behind another"])
def test_what_is_no_request_does_not_answer_the_one_before_it(
    server: Server, between: bytes
) -> None:
    """A write that is carried out is answered as that; nothing behind the fault is taken."""
    tenant = f"X-Tenant-ID: pipelined-{len(between)}\r\n".encode()
    body = b'{"name": "P", "category": "custom", "pattern": "p", "action": "log"}'
    created = b"POST /api/v1/static-policies HTTP/1.1\r\nContent-Length: %d\r\n" % len(body)
    raw = created + tenant + HEAD + b"\r\n" + body + between + b"no request\0" + SMUGGLED
    answer = exchange(server, raw, half_closed=False)
    assert statuses(answer) == [201], answer
    assert b"connection: close" in answer


def test_an_upgrade_is_not_made(server: Server) -> None:
    """Whatever is asked for, it stays HTTP/1.1."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    answer = exchange(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + upgrade + b"\r\n")
    assert 101 not in statuses(answer)


PATHS = {
    "//v1/decide": 404,
    "/v1//decide": 404,
    "/v1/./decide": 404,
    "/v1/x/../decide": 404,
    "/v1/%2e/decide": 404,
    "/v1/x/%2e%2e/decide": 404,
    "/v1/x/.%2E/decide": 404,
    "/%76%31/decide": 404,
    "/v1%2fdecide": 404,
    "/v1/decide%00": 404,
    "/v1/decide%0d%0a": 404,
    "/V1/DECIDE": 404,
    "/v1/decide;x=1": 404,
    "/v1/decide/": 200,
    "/v1/decide": 200,
    "/v1/decide?": 200,
    "/v1/decide#x": 400,
    "http://evil.example/v1/decide": 200,
    "*": 404,
    "v1/decide": 400,
}


@pytest.mark.parametrize(("path", "status"), PATHS.items())
def test_a_path_is_matched_as_it_stands(server: Server, path: str, status: int) -> None:
    """No other reading of a path passes by a gateway's rules; one slash at the end is the same."""
    raw = decide(LENGTH).replace(b"/v1/decide", path.encode(), 1)
    assert statuses(exchange(server, raw)) == [status]


@pytest.mark.parametrize(
    "head",
    [
        b"X-Long: " + b"x" * 70_000 + b"\r\n",
        b"".join(b"X-%d: %s\r\n" % (number, b"y" * 100) for number in range(700)),
    ],
    ids=["one", "many"],
)
def test_a_head_has_a_bound(server: Server, head: bytes) -> None:
    """64 KiB of headers are enough; nothing above is kept in memory."""
    assert statuses(exchange(server, decide(LENGTH, head))) == [400]


def test_a_head_without_an_end_has_the_same_bound(server: Server) -> None:
    """A header that never ends is refused while it still comes."""
    with connected(server) as opened:
        opened.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        received = b""
        try:
            for _ in range(1000):
                opened.sendall(b"x" * 10_000)
        except (BrokenPipeError, ConnectionResetError):
            received = b"refused"
        assert received == b"refused"


def test_a_body_has_a_bound(server: Server) -> None:
    """8 MiB; it is said, not cut off."""
    body = json.dumps({"content": {"text": "x" * (9 << 20)}}).encode()
    answer = server.request(
        "POST", "/v1/decide", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"arguments": ' + b'{"a":' * 40 + b"1" + b"}" * 41,
        b'{"content": {"text": "\xff\xfe"}}',
        b'{"content": {"text": "\\ud800"}}',
        b'{"usage": {"tokens": 1e400}}',
        b'{"usage": {"tokens": NaN}}',
        b"{" + b",".join(b'"k%d": 1' % number for number in range(10_000)) + b"}",
    ],
)
def test_a_document_that_is_too_much_is_refused(server: Server, body: bytes) -> None:
    """Depth, numbers and texts have bounds; the answer shows nothing of how it was found."""
    answer = server.request(
        "POST", "/v1/decide", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code in {400, 422}
    assert not any(word in answer.text for word in FAULTS)


def test_no_page_of_another_origin_is_let_in(server: Server) -> None:
    """There is no CORS: no header lets a foreign page read answers."""
    foreign = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    preflight = server.request("OPTIONS", "/v1/decide", headers=foreign)
    local = {"origin": "http://localhost:5173", "access-control-request-method": "POST"}
    own = server.request("OPTIONS", "/v1/decide", headers=local)
    for answer in (preflight, own):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/openapi.json", "/metrics", "/nothing"])
def test_security_headers(server: Server, path: str) -> None:
    """No answer is sniffed for a type, none names the software, and none is kept by a cache."""
    answer = server.request("GET", path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] in {"no-store", "no-cache"}
    assert "server" not in answer.headers


@pytest.mark.soak
def test_idle_connections_keep_nobody_waiting(server: Server) -> None:
    """Others are answered beside them; `make soak` opens 10,000 where the machine lets it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(MANY, hard // 2)
    with ExitStack() as stack:
        for number in range(count):
            opened = stack.enter_context(connected(server))
            if number % 2:
                opened.sendall(b"POST /v1/decide HTTP/1.1\r\nHost: local")  # and no more
        assert statuses(exchange(server, decide(LENGTH, b"Connection: close\r\n"))) == [200]


def test_a_client_that_leaves_in_the_middle_costs_nothing(server: Server) -> None:
    """Half a request, half an answer: the next client is served."""
    for cut in (10, 60, len(decide(LENGTH)) - 1):
        with connected(server) as opened:
            opened.sendall(decide(LENGTH)[:cut])
    with connected(server) as opened:
        opened.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        opened.recv(100)
    assert statuses(exchange(server, decide(LENGTH, b"Connection: close\r\n"))) == [200]


@pytest.mark.parametrize("action", ["Database:table:drop", "database:table:DROP", "database:table"])
def test_an_action_is_written_in_one_way(server: Server, action: str) -> None:
    """What another case would slip past a pattern is no action at all."""
    answer = server.request("POST", "/v1/decide", json={"action": action})
    assert answer.status_code in {400, 422}
    assert "allowed" not in answer.json()
