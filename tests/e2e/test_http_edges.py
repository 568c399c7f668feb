"""HTTP on raw sockets: ambiguous requests, size limits and slow clients."""

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

from tests.support.servers import TIMEOUT_S, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.servers import Server

MANY = 10_000 if os.environ.get("PDP_SOAK") else 400
BODY = b'{"content": {"text": "hello"}}'
HEAD = b"Host: localhost\r\nContent-Type: application/json\r\n"
FAULTS = ("Traceback", "sqlite", "SELECT ", "/pdp/", ".py", "Exception")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that requires credentials."""
    with start(tmp_path_factory.mktemp("locked"), PDP_AUTH="required") as server:
        yield server


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    """Opens a connection."""
    place = urlsplit(server.http_url)
    with socket.create_connection((place.hostname, place.port or 0), TIMEOUT_S) as opened:
        yield opened


def exchange(server: Server, raw: bytes, *, half_closed: bool = True) -> bytes:
    """Sends bytes, and returns all that the server sends until it closes the connection."""
    with connected(server) as opened:
        opened.sendall(raw)
        if half_closed:
            opened.shutdown(socket.SHUT_WR)
        return receive_all(opened)


def receive_all(opened: socket.socket) -> bytes:
    """Returns all that the server sends until it closes the connection."""
    received = b""
    try:
        while part := opened.recv(65536):
            received += part
    except ConnectionResetError:
        pass  # the server closed the connection before it had read all
    return received


def statuses(raw: bytes) -> list[int]:
    """Returns the status of each response."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", raw)]


def decide(*heads: bytes, body: bytes = BODY) -> bytes:
    """Returns a request for a decision, with these header lines."""
    return b"POST /v1/decide HTTP/1.1\r\n" + HEAD + b"".join(heads) + b"\r\n" + body


LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

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
def test_an_ambiguous_request_is_refused(server: Server, fault: str) -> None:
    """The server sends one error and closes the connection; it does not read further requests."""
    answer = exchange(server, AMBIGUOUS[fault])
    assert statuses(answer) in ([400], [501]), answer
    assert b"SERVING" not in answer
    assert not any(word.encode() in answer for word in FAULTS)


def test_a_refusal_has_the_format_of_all_errors(server: Server) -> None:
    """Even an unreadable request gets an error in JSON."""
    head, _, body = exchange(server, AMBIGUOUS["two lengths"]).partition(b"\r\n\r\n")
    assert json.loads(body)["error"]["code"] == "MALFORMED_REQUEST"
    assert b"connection: close" in head
    assert b"x-content-type-options: nosniff" in head


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    """Two well-formed requests get two responses."""
    answer = exchange(server, decide(LENGTH) + LAST, half_closed=False)
    assert statuses(answer) == [200, 200]
    assert answer.index(b'"outcome"') < answer.index(b"SERVING")


@pytest.mark.parametrize("between", [b"", decide(LENGTH)], ids=["at once", "behind another"])
def test_a_malformed_request_does_not_affect_the_one_before_it(
    server: Server, between: bytes
) -> None:
    """The write before it gets its own response; the server reads nothing after the error."""
    tenant = f"X-Tenant-ID: pipelined-{len(between)}\r\n".encode()
    body = b'{"name": "P", "category": "custom", "pattern": "p", "action": "log"}'
    created = b"POST /api/v1/static-policies HTTP/1.1\r\nContent-Length: %d\r\n" % len(body)
    raw = created + tenant + HEAD + b"\r\n" + body + between + b"no request\0" + SMUGGLED
    answer = exchange(server, raw, half_closed=False)
    assert statuses(answer) == [201], answer
    assert b"connection: close" in answer


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + UPGRADE + b"\r\n",
        decide(UPGRADE, LENGTH),
        decide(UPGRADE, CHUNKED, body=b"1e\r\n" + BODY + b"\r\n0\r\n\r\n"),
        decide(UPGRADE.replace(b"h2c", b"websocket"), LENGTH),
        decide(UPGRADE, LENGTH, b"Expect: 100-continue\r\n"),
    ],
    ids=["no body", "a length", "chunks", "a websocket", "expected"],
)
def test_upgrades_are_ignored(server: Server, raw: bytes) -> None:
    """The connection stays HTTP/1.1, the body counts, and so does the request behind it."""
    answer = exchange(server, raw + LAST, half_closed=False)
    assert [status for status in statuses(answer) if status != 100] == [200, 200], answer
    assert answer.endswith(b'{"status":"SERVING"}'), answer


def test_a_body_may_come_after_its_upgrade(server: Server) -> None:
    """Java's client sends the head and the body apart."""
    with connected(server) as opened:
        for byte in decide(UPGRADE, LENGTH, b"Connection: close\r\n"):
            opened.sendall(bytes((byte,)))
        answer = receive_all(opened)
    assert statuses(answer) == [200]
    assert b'"outcome"' in answer


@pytest.mark.parametrize("fault", ["length and chunks", "two lengths", "chunks, twice"])
def test_an_ambiguous_request_with_an_upgrade_is_refused(server: Server, fault: str) -> None:
    raw = AMBIGUOUS[fault].replace(b"Host:", UPGRADE + b"Host:", 1)
    answer = exchange(server, raw)
    assert statuses(answer) in ([400], [501]), answer


NO_HOST = decide(LENGTH).replace(b"Host: localhost\r\n", b"")


@pytest.mark.parametrize("auth", ["dev", "required"])
def test_a_request_has_one_host(auth: str, server: Server, locked: Server) -> None:
    """In every mode: a gateway in front could read another Host than the server does."""
    for raw in (
        decide(b"Host: localhost\r\n", LENGTH),
        decide(b"host: evil.example\r\n", LENGTH),
        decide(UPGRADE, b"Host: evil.example\r\n", LENGTH),
        NO_HOST,
    ):
        answer = exchange({"dev": server, "required": locked}[auth], raw + SMUGGLED)
        assert statuses(answer) == [400], answer
        assert b"MALFORMED_REQUEST" in answer


def test_http_1_0_needs_no_host(server: Server, locked: Server) -> None:
    """Load balancers check health without a Host; development mode needs one to know its name."""
    check = b"GET /healthz HTTP/1.0\r\n%b\r\n"
    assert statuses(exchange(locked, check % b"")) == [200]
    assert statuses(exchange(server, check % b"")) == [403]
    assert statuses(exchange(server, check % b"Host: localhost\r\n")) == [200]
    assert statuses(exchange(locked, check % b"Host: a\r\nHost: a\r\n")) == [400]


def test_an_origin_is_the_servers_own(server: Server, locked: Server) -> None:
    """The server's own pages may call it in development mode; other local pages may not."""
    own = server.http_url
    for origin, status in ((own, 200), (own + "0", 403), ("http://localhost:5173", 403)):
        assert server.request("GET", "/healthz", headers={"origin": origin}).status_code == status
        assert locked.request("GET", "/healthz", headers={"origin": origin}).status_code == 200


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
def test_a_path_is_not_normalized(server: Server, path: str, status: int) -> None:
    """Except one last slash, a path is used as it is: it cannot bypass the rules of a gateway."""
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
def test_the_size_of_headers_is_limited(server: Server, head: bytes) -> None:
    """Headers have at most 64 KiB."""
    assert statuses(exchange(server, decide(LENGTH, head))) == [400]


def test_a_header_without_an_end_is_refused(server: Server) -> None:
    """A header without an end is refused while it still arrives."""
    with connected(server) as opened:
        opened.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        received = b""
        try:
            for _ in range(1000):
                opened.sendall(b"x" * 10_000)
        except (BrokenPipeError, ConnectionResetError):
            received = b"refused"
        assert received == b"refused"


def test_the_size_of_a_body_is_limited(server: Server) -> None:
    """A body over 8 MiB gets an error; the connection is not cut off."""
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
def test_a_document_over_the_limits_is_refused(server: Server, body: bytes) -> None:
    """Depth, numbers and texts are limited; the error shows no internals."""
    answer = server.request(
        "POST", "/v1/decide", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code in {400, 422}
    assert not any(word in answer.text for word in FAULTS)


def test_cross_origin_requests_get_no_permission(server: Server) -> None:
    """No CORS header allows a page of another origin to read responses."""
    foreign = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    preflight = server.request("OPTIONS", "/v1/decide", headers=foreign)
    local = {"origin": "http://localhost:5173", "access-control-request-method": "POST"}
    own = server.request("OPTIONS", "/v1/decide", headers=local)
    for answer in (preflight, own):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/openapi.json", "/metrics", "/nothing"])
def test_responses_have_security_headers(server: Server, path: str) -> None:
    """Responses forbid content sniffing and caching, and do not name the software."""
    answer = server.request("GET", path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] in {"no-store", "no-cache"}
    assert "server" not in answer.headers


@pytest.mark.soak
def test_idle_connections_do_not_delay_others(server: Server) -> None:
    """Other clients are served; `make soak` opens 10,000 connections if the machine allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(MANY, hard // 2)
    with ExitStack() as stack:
        for number in range(count):
            opened = stack.enter_context(connected(server))
            if number % 2:
                opened.sendall(b"POST /v1/decide HTTP/1.1\r\nHost: local")  # incomplete
        assert statuses(exchange(server, decide(LENGTH, b"Connection: close\r\n"))) == [200]


def test_a_disconnected_client_does_not_affect_others(server: Server) -> None:
    """After half a request or half a response, the next client is served."""
    for cut in (10, 60, len(decide(LENGTH)) - 1):
        with connected(server) as opened:
            opened.sendall(decide(LENGTH)[:cut])
    with connected(server) as opened:
        opened.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        opened.recv(100)
    assert statuses(exchange(server, decide(LENGTH, b"Connection: close\r\n"))) == [200]


@pytest.mark.parametrize("action", ["Database:table:drop", "database:table:DROP", "database:table"])
def test_an_action_must_be_in_lower_case(server: Server, action: str) -> None:
    """An action in upper case, which could bypass a pattern, is invalid."""
    answer = server.request("POST", "/v1/decide", json={"action": action})
    assert answer.status_code in {400, 422}
    assert "allowed" not in answer.json()
