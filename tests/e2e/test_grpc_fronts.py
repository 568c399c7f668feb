"""Hostile and unlucky peers, on each gRPC front: the server refuses them and serves all others."""

from __future__ import annotations

import os
import resource
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1 import decide_pb2_grpc
from pdp.cli.exit_codes import Exit
from pdp.transport.grpc.limits import MAX_MESSAGE_BYTES, MAX_METADATA_BYTES
from tests.support.certificates import new_authority
from tests.support.grpc_fronts import FRONTS, needs_native
from tests.support.http2_frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Connection,
    frame,
    request_headers,
)
from tests.support.servers import SERVE, TIMEOUT_S, Server, launch, start

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.soak

SOAK: Final = bool(os.environ.get("PDP_SOAK"))
IDLE_CONNECTIONS: Final = 10_000 if SOAK else 200
CALLS: Final = 1_000_000 if SOAK else 3_000
DECIDE: Final = "/pdp.v1.DecideService/Decide"
CALL: Final = request_headers(DECIDE.encode())
INITIAL_WINDOW_OF_ZERO: Final = b"\0\x04" + bytes(4)


@pytest.fixture(scope="module", params=FRONTS)
def front_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server for each front."""
    with start(tmp_path_factory.mktemp(request.param), PDP_GRPC_SERVER=request.param) as server:
        yield server


@contextmanager
def stub_of(server: Server) -> Iterator[decide_pb2_grpc.DecideServiceStub]:
    """Opens a channel of its own, and yields the stub."""
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
    with grpc.insecure_channel(server.grpc_address, options=options) as channel:
        yield decide_pb2_grpc.DecideServiceStub(channel)


def assert_serves(server: Server) -> None:
    """Checks that the server decides for a new client, of a tenant that no peer here uses."""
    with stub_of(server) as stub:
        assert stub.Decide(pb.DecideRequest(tenant_id="other"), timeout=TIMEOUT_S).allowed


def code_of(call: Any, *arguments: Any, **options: Any) -> grpc.StatusCode:
    """Returns the status of a unary call."""
    try:
        call(*arguments, timeout=TIMEOUT_S, **options)
    except grpc.RpcError as error:
        failed: Any = error
        code: grpc.StatusCode = failed.code()
        return code
    return grpc.StatusCode.OK


def memory_mib(server: Server, name: str) -> float:
    """Returns a figure of the server's memory, VmRSS or VmSize."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def request_of(size: int) -> pb.DecideRequest:
    """Returns a request of `size` bytes that is refused for its content."""
    request = pb.DecideRequest(content=pb.Content(text="a" * (size - 16)))
    request.request_id = "r" * (size - request.ByteSize() - 2)
    assert request.ByteSize() == size
    return request


@pytest.mark.parametrize(
    "compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip], ids=["plain", "gzip"]
)
def test_messages_are_bounded(front_server: Server, compression: grpc.Compression) -> None:
    with stub_of(front_server) as stub:
        for size, code in (
            (MAX_MESSAGE_BYTES, grpc.StatusCode.INVALID_ARGUMENT),  # read, and its text is refused
            (MAX_MESSAGE_BYTES + 1, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ):
            assert code_of(stub.Decide, request_of(size), compression=compression) is code
    assert_serves(front_server)


def test_a_declared_length_reserves_no_memory(front_server: Server) -> None:
    """Five bytes that announce a message of 4 GiB are refused, without the memory for it."""
    before = memory_mib(front_server, "VmSize")
    with Connection(front_server) as peer:
        for stream in range(1, 101, 2):
            peer.send(frame(HEADERS, CALL, stream, END_HEADERS))
            peer.send(frame(DATA, b"\0\xff\xff\xff\xff", stream))
        assert_serves(front_server)
        assert memory_mib(front_server, "VmSize") < before + 2048


def test_metadata_is_bounded(front_server: Server) -> None:
    """The grpcio front refuses metadata of up to 1.25 times the limit at random, and all above."""
    with stub_of(front_server) as stub:
        below = (("x-note", "y" * (MAX_METADATA_BYTES - 1024)),)
        above = (("x-note", "y" * (MAX_METADATA_BYTES * 5 // 4)),)
        assert code_of(stub.Decide, pb.DecideRequest(), metadata=below) is grpc.StatusCode.OK
        refused = code_of(stub.Decide, pb.DecideRequest(), metadata=above)
        assert refused in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNKNOWN)
    assert_serves(front_server)


INVALID = {
    "noise": bytes(range(256)) * 64,
    "a frame over the maximum size": frame(DATA, bytes(20_000), 1),
    "DATA on an idle stream": frame(DATA, b"x", 5),
    "CONTINUATION first": frame(CONTINUATION, b"x", 1),
    "headers that cannot be decoded": frame(HEADERS, b"\xff" * 100, 1, END_HEADERS | END_STREAM),
    "SETTINGS of a wrong size": frame(SETTINGS, b"xyz"),
    "a window of zero": frame(WINDOW_UPDATE, bytes(4)),
    "PING of a wrong size": frame(PING, b"x"),
}


@pytest.mark.parametrize("raw", INVALID.values(), ids=INVALID)
def test_invalid_frames_close_their_connection_only(front_server: Server, raw: bytes) -> None:
    with stub_of(front_server) as stub, Connection(front_server) as peer:
        assert stub.Decide(pb.DecideRequest(), timeout=TIMEOUT_S).allowed
        peer.send(raw)
        begin = time.monotonic()
        for _ in peer.frames():
            pass
        assert time.monotonic() - begin < TIMEOUT_S  # it was closed, and did not time out
        assert stub.Decide(pb.DecideRequest(), timeout=TIMEOUT_S).allowed


def test_calls_that_are_reset_at_once_do_no_harm(front_server: Server) -> None:
    """A flood of calls, each reset at once: the server refuses the peer, or survives it."""
    with Connection(front_server) as peer:
        for stream in range(1, 20_001, 2):
            call = frame(HEADERS, CALL, stream, END_HEADERS)
            if not peer.send(call + frame(RST_STREAM, bytes(3) + b"\x08", stream)):
                break  # closed by the server
        assert_serves(front_server)


def test_readers_that_do_not_read_hold_up_nobody(front_server: Server) -> None:
    """Clients that open no window for the responses; others are served, and no memory piles up."""
    message = pb.DecideRequest().SerializeToString()
    raw = b"\0" + len(message).to_bytes(4, "big") + message
    with ExitStack() as stack:
        for _ in range(20):
            peer = stack.enter_context(Connection(front_server))
            peer.send(frame(SETTINGS, INITIAL_WINDOW_OF_ZERO))
            for stream in range(1, 101, 2):
                peer.send(frame(HEADERS, CALL, stream, END_HEADERS))
                peer.send(frame(DATA, raw, stream, END_STREAM))
        for _ in range(20):
            assert_serves(front_server)


def test_cancelled_calls_leave_nothing_behind(front_server: Server) -> None:
    with stub_of(front_server) as stub:
        for _ in range(300):
            stub.Decide.future(pb.DecideRequest(), timeout=TIMEOUT_S).cancel()
        assert code_of(stub.Decide, pb.DecideRequest()) is grpc.StatusCode.OK


def test_memory_is_flat_over_many_calls(front_server: Server) -> None:
    with stub_of(front_server) as stub:

        def call(count: int) -> None:
            for first in range(0, count, 100):
                futures = [
                    stub.Decide.future(pb.DecideRequest(), timeout=TIMEOUT_S)
                    for _ in range(first, min(first + 100, count))
                ]
                assert all(each.result().allowed for each in futures)

        call(CALLS // 3)
        before = memory_mib(front_server, "VmRSS")
        call(CALLS)
        assert memory_mib(front_server, "VmRSS") < before + 24


@pytest.mark.parametrize("front", FRONTS)
def test_idle_connections_do_not_affect_others(tmp_path: Path, front: str) -> None:
    """200 idle connections (10,000 in the long form), each with its preface sent."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, max(soft, 2 * IDLE_CONNECTIONS))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        with start(tmp_path, command=SERVE, PDP_GRPC_SERVER=front) as server, ExitStack() as stack:
            before = memory_mib(server, "VmRSS")
            for _ in range(IDLE_CONNECTIONS):
                stack.enter_context(Connection(server))
            assert_serves(server)
            each_kib = (memory_mib(server, "VmRSS") - before) * 1024 / IDLE_CONNECTIONS
            assert each_kib < 150
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@needs_native
def test_native_serves_on_a_unix_socket(tmp_path: Path) -> None:
    listen = f"unix:{tmp_path}/pdp.sock"
    with start(tmp_path / "var", PDP_GRPC_SERVER="native", PDP_GRPC_LISTEN=listen) as server:
        assert_serves(server)


def test_native_with_tls_does_not_start(tmp_path: Path) -> None:
    """With a certificate that is valid, so that nothing else keeps the server from starting."""
    certificate, key = new_authority().issue("server").write(tmp_path, "server")
    files = {"PDP_TLS_CERT_FILE": str(certificate), "PDP_TLS_KEY_FILE": str(key)}
    with launch(tmp_path / "var", PDP_GRPC_SERVER="native", **files) as server:
        assert server.wait() == Exit.CONFIG
        refusal = "".join(server.lines)
    assert "PDP_GRPC_SERVER: native cannot be used" in refusal
    assert "PDP_TLS_CERT_FILE" in refusal
