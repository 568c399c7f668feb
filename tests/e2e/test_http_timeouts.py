"""The server closes connections of slow clients. The tests set the limits to about a second."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_http_edges import connected, decide, exchange, receive_all, statuses
from tests.support.servers import TIMEOUT_S, Server, start

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGINNINGS = {
    "nothing": b"",
    "part of the request line": b"POST /v1/de",
    "part of a header": b"POST /v1/decide HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    "part of the body": decide(b"Content-Length: 30\r\n", body=b"{"),
    "part of a body that is not read": (
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\n{"
    ),
    "a request": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose limits for slow clients are about a second."""
    with start(tmp_path_factory.mktemp("timeouts"), patch="short-timeouts") as server:
        yield server


@pytest.fixture(scope="module")
def received(server: Server) -> dict[str, bytes]:
    """What the server sends after each of the `BEGINNINGS`, until it closes the connection."""
    with ExitStack() as stack:
        connections = {name: stack.enter_context(connected(server)) for name in BEGINNINGS}
        for name, connection in connections.items():
            connection.sendall(BEGINNINGS[name])
        return {name: receive_all(connection) for name, connection in connections.items()}


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_the_server_closes_a_connection_that_waits_for_the_client(
    server: Server, received: dict[str, bytes], beginning: str
) -> None:
    """It does so whatever the client has sent, and goes on to serve others."""
    assert b"outcome" not in received[beginning]
    # A busy machine may delay even a complete request by more than a second.
    attempts = (exchange(server, decide(b"Content-Length: 30\r\n")) for _ in range(30))
    assert any(statuses(response) == [200] for response in attempts)


def test_the_server_gives_up_a_response_that_the_client_does_not_read(server: Server) -> None:
    """A client that sends requests and never reads does not fill the memory of the server."""
    request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(TIMEOUT_S)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            _send_without_end(connection, request * 100)


def _send_without_end(connection: socket.socket, request: bytes) -> None:
    while True:
        connection.sendall(request)
