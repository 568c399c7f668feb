"""gRPC clients that break rules, with frames written by hand: the server stays small and serves.

They have a server of their own, because they measure the memory of its process.
"""

from __future__ import annotations

import gzip
import os
import random
import resource
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import grpc
import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp._gen.pdp.v1 import decide_pb2_grpc
from pdp.transport.grpc.limits import MAX_MESSAGE_BYTES, MAX_METADATA_BYTES
from tests.support import http2_frames as h2
from tests.support.http2_frames import Connection, frame, message, request_headers
from tests.support.servers import TIMEOUT_S, Server, start
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

DECIDE: Final = b"/pdp.v1.DecideService/Decide"
MIB: Final = 1024 * 1024
GROWTH_MIB: Final = 96
"""How much memory one client may cost: a message of 8 MiB, copied by the library and by Python."""

MANY: Final = 10_000 if os.environ.get("PDP_SOAK") else 500


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that only these tests call."""
    with start(tmp_path_factory.mktemp("hostile")) as server:
        assert answers(server)
        yield server


def answers(server: Server) -> bool:
    """Returns whether the server allows the request of a client that obeys the rules."""
    with grpc.insecure_channel(server.grpc_address) as channel:
        stub = decide_pb2_grpc.DecideServiceStub(channel)
        try:
            return bool(stub.Decide(pb.DecideRequest(), timeout=TIMEOUT_S).allowed)
        except grpc.RpcError:
            return False


def peak_mib(server: Server) -> int:
    """Returns the most memory that the server's process ever had."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))


class Growth:
    """Checks that the server grows by less than `GROWTH_MIB`, and still serves."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._before = peak_mib(server)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            # The library refuses some calls of all clients while thousands wait.
            wait_until(lambda: answers(self._server), "the server serves")
            assert peak_mib(self._server) - self._before < GROWTH_MIB


def open_call(server: Server, *extra: tuple[bytes, bytes]) -> Connection:
    """Opens a connection with a call on stream 1, whose message is still to be sent."""
    connection = Connection(server)
    connection.acknowledge()
    headers = request_headers(DECIDE, *extra)
    assert connection.send(frame(h2.HEADERS, headers, 1, h2.END_HEADERS))
    return connection


def test_a_message_that_announces_more_than_the_bound_is_refused(target: Server) -> None:
    """The server neither waits for 4 GiB nor keeps what arrives of them."""
    with Growth(target), open_call(target) as connection:
        taken = connection.pump(message(bytes(200 * MIB), 2**32 - 1))
        assert connection.ended is not None
        assert taken < 2 * MAX_MESSAGE_BYTES


def test_announced_sizes_take_no_memory(target: Server) -> None:
    """Calls that announce 4 GiB each do not exhaust the addresses of the process."""
    with Growth(target), ExitStack() as stack:
        for _ in range(36):
            connection = stack.enter_context(Connection(target))
            for number in range(1_000):
                stream = 2 * number + 1
                connection.send(
                    frame(h2.HEADERS, request_headers(DECIDE), stream, h2.END_HEADERS)
                    + frame(h2.DATA, message(b"", 2**32 - 1), stream)
                )


def test_a_compressed_message_is_bounded_by_what_it_unpacks_to(target: Server) -> None:
    """1 MiB that unpacks to 256 MiB is refused."""
    bomb = gzip.compress(bytes(256 * MIB), 1)
    with Growth(target), open_call(target, (b"grpc-encoding", b"gzip")) as connection:
        connection.pump(message(bomb, compressed=True))
        assert connection.wait_for_end() is not None


@pytest.mark.parametrize("acknowledged", [True, False])
@pytest.mark.parametrize(
    "pairs",
    [
        [(b"name", b"v" * (MAX_METADATA_BYTES * 2))],
        [(b"k%d" % number, b"v" * 1000) for number in range(30)],
        [(b"a", b"")] * 100_000,
    ],
    ids=["one", "several", "very-many-of-one-name"],
)
def test_metadata_is_bounded(
    target: Server, pairs: list[tuple[bytes, bytes]], *, acknowledged: bool
) -> None:
    """It is, too, if the client has not acknowledged the settings that say so."""
    with Growth(target), Connection(target) as connection:
        if acknowledged:
            connection.acknowledge()
        block = request_headers(DECIDE, *pairs)
        parts = [block[at : at + h2.MAX_FRAME] for at in range(0, len(block), h2.MAX_FRAME)]
        for number, part in enumerate(parts):
            kind = h2.CONTINUATION if number else h2.HEADERS
            connection.send(frame(kind, part, 1, h2.END_HEADERS * (number == len(parts) - 1)))
        connection.send(frame(h2.DATA, message(b""), 1, h2.END_STREAM))
        ended = connection.wait_for_end()
        assert ended is not None
        assert b"grpc-status\x010" not in ended[1]


def test_metadata_below_the_bound_is_accepted(target: Server) -> None:
    """15 KiB are, whether or not the settings are acknowledged."""
    with Connection(target) as connection:
        headers = request_headers(DECIDE, (b"name", b"v" * 15_000))
        connection.send(frame(h2.HEADERS, headers, 1, h2.END_HEADERS))
        connection.send(frame(h2.DATA, message(b""), 1, h2.END_STREAM))
        ended = connection.wait_for_end()
        assert ended is not None
        assert b"grpc-status\x010" in ended[1]


FLOODS: Final = {
    "ping": frame(h2.PING, bytes(8)),
    "settings": frame(h2.SETTINGS),
    "window-update": frame(h2.WINDOW_UPDATE, b"\0\0\0\1"),
    "priority": frame(h2.PRIORITY, b"\0\0\0\0\1", 1),
    "empty-data": frame(h2.DATA, b"", 1),
    "empty-continuation": frame(h2.CONTINUATION, b"", 1),
}


def empty_call(stream: int) -> bytes:
    """Returns the frames of a call with an empty message."""
    headers = frame(h2.HEADERS, request_headers(DECIDE), stream, h2.END_HEADERS)
    return headers + frame(h2.DATA, message(b""), stream, h2.END_STREAM)


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_frames_takes_no_memory(target: Server, flood: str) -> None:
    """A client that sends 200,000 frames and reads nothing is served or disconnected."""
    with Growth(target), Connection(target) as connection:
        ends = 0 if flood == "empty-continuation" else h2.END_HEADERS
        connection.send(frame(h2.HEADERS, request_headers(DECIDE), 1, ends))
        for _ in range(200):
            if not connection.send(FLOODS[flood] * 1_000):
                break


def test_a_flood_of_resets_takes_no_memory(target: Server) -> None:
    """A client opens and cancels 20,000 calls as fast as it can."""
    with Growth(target), Connection(target) as connection:
        for number in range(20_000):
            stream = 2 * number + 1
            reset = frame(h2.RST_STREAM, b"\0\0\0\x08", stream)
            if not connection.send(empty_call(stream) + reset):
                break


def test_a_client_that_reads_nothing_does_not_delay_others(target: Server) -> None:
    """It sends 5,000 calls, and takes no answer."""
    with Growth(target), Connection(target) as connection:
        for number in range(5_000):
            if not connection.send(empty_call(2 * number + 1)):
                break
        assert answers(target)


def test_malformed_frames_end_only_their_connection(target: Server) -> None:
    """Random frames, and random bytes, do not disturb other clients."""
    source = random.Random(1)  # noqa: S311 - not for a secret
    with Growth(target):
        for number in range(200):
            with Connection(target) as connection:
                for _ in range(10):
                    kind, flags = source.randrange(12), source.randrange(256)
                    payload = source.randbytes(source.randrange(300))
                    if number % 2:
                        payload = frame(kind, payload, source.randrange(4), flags)
                    connection.send(payload)


@pytest.mark.soak
def test_idle_and_half_open_connections_do_not_delay_others(target: Server) -> None:
    """Half of them stop within a header; `make soak` opens 10,000 if the machine allows it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        for number in range(min(MANY, hard // 2)):
            connection = stack.enter_context(Connection(target))
            if number % 2:
                connection.send(frame(h2.HEADERS, request_headers(DECIDE), 1))
        assert answers(target)
