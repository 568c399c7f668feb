"""Clients that vanish without closing their connections: the server closes them, and frees memory.

A proxy stands between client and server. When it stops to forward, neither side hears of the other,
as after a power cut or behind a firewall that has dropped the connection.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import grpc

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1 import decide_pb2_grpc
from pdp.transport.http.server import DEAD_PEER_TIMEOUT_S, _listen
from tests.support.servers import TIMEOUT_S, Server, start
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Proxy:
    """Forwards bytes between one client and a server until `fall_silent`.

    Attributes:
        address: the address for the client.
        closed_by_server: set when the server has closed its connection.
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._server = socket.create_connection((host, int(port)), TIMEOUT_S)
        self._server.settimeout(None)
        self._client = self._server
        self._forwards = True
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.closed_by_server = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        self._client, _ = self._listener.accept()
        upstream = threading.Thread(
            target=self._forward, args=(self._client, self._server), daemon=True
        )
        upstream.start()
        self._forward(self._server, self._client)
        self.closed_by_server.set()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while part := source.recv(65536):
                if self._forwards:
                    target.sendall(part)
        except OSError:
            pass  # reset, or closed by the test

    def fall_silent(self) -> None:
        """Accepts what either side sends, and forwards nothing."""
        self._forwards = False

    def close(self) -> None:
        """Closes all connections."""
        for each in (self._listener, self._client, self._server):
            each.close()


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


def test_the_server_closes_connections_of_vanished_grpc_clients(tmp_path: Path) -> None:
    """It closes an idle connection, and one with a running call; the call and its text end."""
    messages: SimpleQueue[pb.DecideStreamRequest] = SimpleQueue()
    messages.put(pb.DecideStreamRequest(chunk=pb.StreamChunk(stream_id="t", text="hello ")))
    with (
        start(tmp_path, patch="short-timeouts") as server,
        proxied(server) as (idle_proxy, idle_channel),
        proxied(server) as (proxy, channel),
    ):
        decide = decide_pb2_grpc.DecideServiceStub(idle_channel).Decide
        assert decide(pb.DecideRequest(), timeout=TIMEOUT_S).allowed
        requests: Any = iter(messages.get, None)
        answers = decide_pb2_grpc.DecideServiceStub(channel).DecideStream(requests)
        assert next(answers).release.stream_id == "t"
        assert server.metric("pdp_texts_under_way") == 1
        for each in (proxy, idle_proxy):
            each.fall_silent()
        for each in (proxy, idle_proxy):
            assert each.closed_by_server.wait(TIMEOUT_S)
        wait_until(lambda: server.metric("pdp_texts_under_way") == 0, "no text is open")
        answers.cancel()
        messages.put(pb.DecideStreamRequest())


def test_the_kernel_probes_http_clients() -> None:
    """HTTP/1.1 has no ping, and an idle stream of records sends nothing."""
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
