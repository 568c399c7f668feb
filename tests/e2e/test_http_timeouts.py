"""Who keeps the server waiting is closed; bounds of seconds are set to tenths for the tests."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_http_edges import connected, decide, exchange, statuses, to_the_end
from tests.support.servers import TIMEOUT_S, Server, start

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose bounds are a few tenths of a second."""
    folder = tmp_path_factory.mktemp("impatient")
    with start(folder, fault="short-timeouts") as server:
        yield server


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"POST /v1/de",
        b"POST /v1/decide HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST /v1/decide HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\n{",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\n{",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["nothing", "line", "header", "body", "body of a page", "rests"],
)
def test_who_keeps_the_server_waiting_is_closed(impatient: Server, begun: bytes) -> None:
    """Whatever it has begun, the server closes in the end; here the client never does."""
    with connected(impatient) as opened:
        opened.sendall(begun)
        received = to_the_end(opened)
    assert b"outcome" not in received
    assert statuses(exchange(impatient, decide(b"Content-Length: 30\r\n"))) == [200]


def test_an_answer_that_nobody_reads_is_given_up(impatient: Server) -> None:
    """A client that asks and asks and never reads does not fill the server's memory."""
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(impatient) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        opened.settimeout(TIMEOUT_S)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            _send_without_end(opened, asked * 100)


def _send_without_end(opened: socket.socket, asked: bytes) -> None:
    while True:
        opened.sendall(asked)
