"""Streams of recorded decisions, while another program keeps the log from being written."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from pdp._gen.pdp.v1 import decide_pb2 as pb
from pdp.client.remote import open_channel
from tests.support import servers
from tests.support.rest.limits import PATH, make
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import httpx2

pytestmark = pytest.mark.usefixtures("same_day")

STREAM = "/pdp.v1.DecideService/DecideStream"
TENANT = "acme"
TIMEOUT_S = 60.0

Response = pb.DecideStreamResponse


class Stream:
    """A stream of requests, and the answers that have arrived so far."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._sent: SimpleQueue[bytes | None] = SimpleQueue()
        stream: Any = channel.stream_stream(STREAM, response_deserializer=Response.FromString)
        self.call = stream(iter(self._sent.get, None), timeout=TIMEOUT_S)
        self.answers: list[Response] = []
        self.failures: list[Any] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def send(self, *names: str, text: str = "") -> None:
        for name in names:
            subject = pb.Subject(user_id="u1")
            request = pb.DecideRequest(tenant_id=TENANT, request_id=name, subject=subject)
            request.content.text = text
            self.send_raw(pb.DecideStreamRequest(request=request).SerializeToString())

    def send_raw(self, message: bytes) -> None:
        self._sent.put(message)

    def ask(self, name: str) -> None:
        """Sends a request and waits for its answer."""
        before = len(self.answers)
        self.send(name)
        wait_until(lambda: len(self.answers) > before or self.failures, "an answer")

    def end(self) -> None:
        self._sent.put(None)
        self._reader.join(TIMEOUT_S)

    def names(self) -> list[str]:
        return [each.response.request_id for each in self.answers]

    def _read(self) -> None:
        try:
            for answer in self.call:
                self.answers.append(answer)
        except grpc.RpcError as error:
            self.failures.append(error)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[servers.Server]:
    with servers.start(tmp_path, patch="patient-log") as server:
        yield server


@pytest.fixture
def client(server: servers.Server) -> Iterator[httpx2.Client]:
    """A client of a tenant whose decisions are all recorded, and counted."""
    with server.client(TENANT) as client:
        client.put("/v1/org/policy", json={"logging_level": "full"}).raise_for_status()
        make(client, daily_request_limit=1000)
        yield client


@pytest.fixture
def stream(server: servers.Server, client: httpx2.Client) -> Iterator[Stream]:
    """A stream whose first answer has waited for its record."""
    assert used(client) == 0
    with open_channel(server.grpc_address) as channel:
        stream = Stream(channel)
        stream.ask("first")
        yield stream
        stream.end()


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Keeps the server from writing records."""
    with closing(sqlite3.connect(data_dir / "audit.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def used(client: httpx2.Client) -> int:
    """Returns how many requests were counted. They are counted just before they are evaluated."""
    (limit,) = client.get(f"{PATH}usage").json()
    count: int = limit["daily_request_limit"]["used"]
    return count


def recorded(client: httpx2.Client) -> Sequence[str]:
    """Returns the ids of the recorded requests, the oldest first."""
    records = client.get("/api/admin/audit/records").json()["records"]
    return [each["request_id"] for each in records][::-1]


def test_the_next_messages_are_decided_while_a_record_is_written(
    client: httpx2.Client, stream: Stream, tmp_path: Path
) -> None:
    names = [f"request {number}" for number in range(20)]
    with locked(tmp_path):
        stream.send(*names)
        wait_until(lambda: used(client) == 21, "all are decided")
        assert stream.names() == ["first"], "no answer comes before its record"
    stream.end()
    assert stream.names() == ["first", *names]
    assert all(each.response.allowed for each in stream.answers)
    assert recorded(client) == ["first", *names]


def test_decisions_that_need_no_record_are_answered_in_their_place(
    client: httpx2.Client, stream: Stream, tmp_path: Path
) -> None:
    client.put("/v1/org/policy", json={"logging_level": "standard"}).raise_for_status()
    stream.ask("no record")
    with locked(tmp_path):
        stream.send("attack", text="1 UNION SELECT password FROM users")
        wait_until(lambda: used(client) == 3, "the attack is decided")
        stream.send("no record either")
        wait_until(lambda: used(client) == 4, "all are decided")
        assert stream.names() == ["first", "no record"]
    stream.end()
    assert stream.names() == ["first", "no record", "attack", "no record either"]
    assert not stream.answers[2].response.allowed


class TestUnwritable:
    """The log gives up after five seconds."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[servers.Server]:
        with servers.start(tmp_path) as server:
            yield server

    def test_all_are_blocked_if_their_records_cannot_be_written(
        self, stream: Stream, tmp_path: Path
    ) -> None:
        names = ["one", "two", "three"]
        with locked(tmp_path):
            stream.send(*names)
            wait_until(lambda: len(stream.answers) == 4, "the writer has given up")
        assert stream.names() == ["first", *names]
        assert not any(each.response.allowed for each in stream.answers[1:])


def test_a_message_that_ends_the_call_does_not_lose_answers_before_it(
    client: httpx2.Client, stream: Stream, tmp_path: Path
) -> None:
    with locked(tmp_path):
        stream.send("before")
        wait_until(lambda: used(client) == 2, "it is decided")
        stream.send_raw(b"\xff")
    stream.end()
    assert stream.names() == ["first", "before"]
    (failure,) = stream.failures
    assert failure.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_client_that_leaves_frees_the_stream(
    server: servers.Server, client: httpx2.Client, stream: Stream, tmp_path: Path
) -> None:
    with locked(tmp_path):
        stream.send("one", "two")
        wait_until(lambda: used(client) == 3, "both are decided")
        stream.call.cancel()
        wait_until(lambda: stream.failures, "the call has ended")
    wait_until(lambda: recorded(client) == ["first", "one", "two"], "all decisions are recorded")
    with open_channel(server.grpc_address) as channel:
        another = Stream(channel)
        another.ask("another")
        another.end()
    assert another.names() == ["another"]
