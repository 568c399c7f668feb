"""A client that is gone without a word: its connection is given up, and what it held is free again.

A proxy stands between the two. Once it passes nothing on any more, neither side hears of the other,
as after a power cut or behind a firewall that has forgotten the connection.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1 import decide_pb2_grpc
from pdp.transport.http.server import DEAD_PEER_TIMEOUT_S, _listen
from tests.support.servers import TIMEOUT_S, Server, start

if TYPE_CHECKING:
    from collections.abc import Iterator


class Proxy:
    """Passes bytes on between one client and a server, until it is told to fall silent.

    Attributes:
        address: where it listens.
        given_up: set once the server has closed its end.
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._server = socket.create_connection((host, int(port)), TIMEOUT_S)
        self._server.settimeout(None)
        self._client = self._server
        self._passes = True
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.given_up = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        self._client, _ = self._listener.accept()
        threading.Thread(target=self._upwards, daemon=True).start()
        self._pass_on(self._server, self._client)
        self.given_up.set()

    def _upwards(self) -> None:
        self._pass_on(self._client, self._server)

    def _pass_on(self, giver: socket.socket, taker: socket.socket) -> None:
        try:
            while part := giver.recv(65536):
                if self._passes:
                    taker.sendall(part)
        except OSError:
            pass  # reset, or closed by the test: as gone as at its end

    def fall_silent(self) -> None:
        """Takes what either side sends, and passes nothing on."""
        self._passes = False

    def close(self) -> None:
        """Closes all ends."""
        for each in (self._listener, self._client, self._server):
            each.close()


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks its peers every other second whether they are there."""
    folder = tmp_path_factory.mktemp("vanished")
    with start(folder, fault="short-timeouts") as server:
        yield server


@contextmanager
def proxied(server: Server) -> Iterator[tuple[Proxy, grpc.Channel]]:
    """Opens a channel through a proxy."""
    proxy = Proxy(server.grpc_address)
    try:
        with grpc.insecure_channel(proxy.address) as channel:
            grpc.channel_ready_future(channel).result(TIMEOUT_S)
            yield proxy, channel
    finally:
        proxy.close()


def under_way(server: Server) -> float:
    """Returns how many texts in chunks are under way."""
    page = server.request("GET", "/metrics").text
    (line,) = (each for each in page.splitlines() if each.startswith("pdp_texts_under_way "))
    return float(line.split()[1])


def test_a_peer_that_vanishes_with_a_stream_open(impatient: Server) -> None:
    """Its call ends, and with it the text that was under way."""
    sent: SimpleQueue[pb.DecideStreamRequest] = SimpleQueue()
    sent.put(pb.DecideStreamRequest(chunk=pb.StreamChunk(stream_id="t", text="hello ")))
    with proxied(impatient) as (proxy, channel):
        asked: Any = iter(sent.get, None)
        answers = decide_pb2_grpc.DecideServiceStub(channel).DecideStream(asked)
        assert next(answers).release.stream_id == "t"
        assert under_way(impatient) == 1
        proxy.fall_silent()
        assert proxy.given_up.wait(TIMEOUT_S)
        deadline = time.monotonic() + TIMEOUT_S
        while under_way(impatient):
            assert time.monotonic() < deadline
        answers.cancel()
        sent.put(pb.DecideStreamRequest())


def test_a_peer_that_vanishes_while_it_asks_nothing(impatient: Server) -> None:
    """A connection without a call is held for nobody either."""
    with proxied(impatient) as (proxy, channel):
        decide = decide_pb2_grpc.DecideServiceStub(channel).Decide
        assert decide(pb.DecideRequest(), timeout=TIMEOUT_S).allowed
        proxy.fall_silent()
        assert proxy.given_up.wait(TIMEOUT_S)


def test_a_peer_that_vanishes_over_http() -> None:
    """The kernel asks for it, since HTTP/1.1 cannot: a tail that rests has nothing to send."""
    with _listen("127.0.0.1:0", shared=False) as listener:
        listener.setblocking(True)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            options = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
            idle_s, interval_s, count, user_timeout_ms = (
                accepted.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in options
            )
    assert idle_s + interval_s * count == DEAD_PEER_TIMEOUT_S
    assert user_timeout_ms == DEAD_PEER_TIMEOUT_S * 1000
