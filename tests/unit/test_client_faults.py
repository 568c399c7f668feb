"""The Python client when servers fail: against a server whose every answer the test controls."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import threading
from concurrent import futures
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

import grpc
import pdp_client as pdp
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from pdp_client import resilience

from tests.support.certificates import new_authority
from tests.support.servers import TIMEOUT_S
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Decide = Callable[[pdp.DecideRequest, grpc.ServicerContext], pdp.DecideResponse]

SHORT_S: Final = 0.2
"""The timeout of calls that get no answer."""

QUICK: Final = pdp.Resilience(backoff_s=0.0, max_backoff_s=0.0)


def allow(request: pdp.DecideRequest, _context: object = None) -> pdp.DecideResponse:
    """Allows a request."""
    return pdp.DecideResponse(
        outcome=pdp.OUTCOME_ALLOW, allowed=True, request_id=request.request_id
    )


_Simulate: Any = pdp.SimulateServiceServicer  # the other methods of the service are not called


class FakePdp(pdp.DecideServiceServicer, _Simulate):  # type: ignore[misc] # see above
    """A server whose answers the test controls.

    Attributes:
        decide: answers a request.
        requests: the requests that have reached it.
        metadata: the metadata of the last request.
        address: its address.
        health: sets whether it serves.
    """

    def __init__(
        self, address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
    ) -> None:
        self.decide: Decide = allow
        self.requests: list[pdp.DecideRequest] = []
        self.metadata: dict[str, str] = {}
        self.health = health.HealthServicer()
        self.health.set("", health_pb2.HealthCheckResponse.SERVING)
        self._server = grpc.server(
            futures.ThreadPoolExecutor(16), options=(("grpc.so_reuseport", 0),)
        )
        pdp.add_DecideServiceServicer_to_server(self, self._server)
        pdp.add_SimulateServiceServicer_to_server(self, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        if credentials is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, credentials)
        self.address = f"{address.rpartition(':')[0]}:{port}"
        self._server.start()

    def Decide(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in the contract
        """Answers as `decide` says."""
        self.requests.append(request)
        self.metadata = dict(context.invocation_metadata())
        return self.decide(request, context)

    def DecideBatch(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in the contract
        """Answers each item as `decide` says, but drops one of more than two."""
        items = request.requests if len(request.requests) <= 2 else request.requests[:-1]
        return pdp.DecideBatchResponse(responses=[self.decide(each, context) for each in items])

    def DecideStream(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802 - the name in the contract
        """Releases each chunk, with the decision of `decide` on it."""
        first = pdp.DecideRequest()
        for message in request_iterator:
            first = message.request if message.HasField("request") else first
            judged = pdp.DecideRequest()
            judged.CopyFrom(first)
            judged.content.text = message.chunk.text
            response = self.decide(judged, context)
            release = pdp.StreamRelease(
                released_text=message.chunk.text, closed=message.chunk.last or not response.allowed
            )
            yield pdp.DecideStreamResponse(response=response, release=release)

    def Simulate(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in the contract
        """Answers as `decide` says."""
        return pdp.SimulateResponse(decision=self.decide(request.request, context))

    def stop(self) -> None:
        """Ends the server, and waits for its end."""
        self._server.stop(None).wait(TIMEOUT_S)

    def __enter__(self) -> FakePdp:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class AnyClient(Protocol):
    """A `Client`, or an `AsyncClient` that is called without waiting."""

    def decide(self, request: Any, **options: Any) -> pdp.Decision: ...
    def decide_batch(self, requests: Any, **options: Any) -> tuple[pdp.Decision, ...]: ...
    def decide_payload(self, format: str, body: Any, **options: Any) -> pdp.Decision: ...  # noqa: A002
    def simulate(self, request: Any, **options: Any) -> pdp.Simulation: ...
    def wait_until_ready(self, timeout: float) -> bool: ...
    def release(self, chunks: Any, **options: Any) -> Any: ...


class Blocking:
    """An `AsyncClient` with methods that wait."""

    def __init__(self, client: pdp.AsyncClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*args: Any, **options: Any) -> Any:
            async def wait() -> Any:
                return await method(*args, **options)

            return self._runner.run(wait(), context=contextvars.copy_context())

        return call

    def release(self, chunks: Any, **options: Any) -> list[str]:
        """Returns what is released."""

        async def texts() -> Any:
            for each in chunks:
                yield each

        async def collect() -> list[str]:
            return [each async for each in self._client.release(texts(), **options)]

        return self._runner.run(collect())


@pytest.fixture
def server() -> Iterator[FakePdp]:
    """A server that allows everything."""
    with FakePdp() as fake:
        yield fake


Connect = Any
"""Creates a client of one kind."""


@pytest.fixture(params=["threads", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """A function that creates a client, for threads or for asyncio."""
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner())

        def create(*addresses: str, **options: Any) -> Any:
            options = {"timeout": TIMEOUT_S, "resilience": QUICK, **options}
            if request.param == "threads":
                return stack.enter_context(pdp.Client(addresses, **options))
            client = pdp.AsyncClient(addresses, **options)
            blocking = Blocking(client, runner)
            stack.callback(blocking.close)
            return blocking

        yield create


@contextmanager
def closed_port() -> Iterator[str]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


def is_unavailable(decision: pdp.Decision) -> bool:
    """Returns whether a decision is the denial that stands for none."""
    with pytest.raises(pdp.Denied):
        decision.enforce(confirmed=True)
    found = (decision.outcome, decision.allowed, decision.reason_code)
    return found == ("BLOCK", False, pdp.UNAVAILABLE) and decision.failure is not None


def fails(code: grpc.StatusCode, times: int = 1_000_000) -> Decide:
    """Returns an answer that fails so many times, and then allows."""
    left = [times]

    def decide(request: pdp.DecideRequest, context: grpc.ServicerContext) -> pdp.DecideResponse:
        if left[0]:
            left[0] -= 1
            context.abort(code, "not now")
        return allow(request)

    return decide


class TestNoAnswer:
    def test_no_server(self, connect: Connect) -> None:
        with closed_port() as address:
            client = connect(address)
            assert is_unavailable(client.decide({"content": "hi"}))
            assert all(map(is_unavailable, client.decide_batch([{}, {}])))
            assert is_unavailable(client.simulate({}).decision)
            assert is_unavailable(client.decide_payload("json", {"a": 1}))
            with pytest.raises(pdp.Denied):
                list(client.release(["hi"]))

    def test_the_caller_can_have_the_error(self, connect: Connect) -> None:
        with closed_port() as address:
            client = connect(address)
            with pytest.raises(pdp.Unavailable):
                client.decide({}, on_failure="raise")
            with pytest.raises(pdp.Unavailable):
                list(client.release(["hi"], on_failure="raise"))

    def test_nothing_allows(self, connect: Connect, server: FakePdp) -> None:
        with pytest.raises(ValueError, match="neither 'deny' nor 'raise'"):
            connect(server.address).decide({}, on_failure="allow")

    def test_a_slow_server(self, connect: Connect, server: FakePdp) -> None:
        release = threading.Event()

        def slow(request: pdp.DecideRequest, _context: object) -> pdp.DecideResponse:
            release.wait(TIMEOUT_S)
            return allow(request)

        server.decide = slow
        client = connect(server.address)
        try:
            assert is_unavailable(client.decide({}, timeout=SHORT_S))
            with pytest.raises(pdp.Denied):
                list(client.release(["hi"], timeout=SHORT_S))
        finally:
            release.set()

    def test_a_peer_that_says_nothing(self, connect: Connect) -> None:
        """The deadline includes the time to connect."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"127.0.0.1:{silent.getsockname()[1]}"
            assert is_unavailable(connect(address).decide({}, timeout=SHORT_S))

    def test_a_server_that_restarts(self, connect: Connect) -> None:
        with FakePdp() as first:
            client = connect(first.address, resilience=pdp.Resilience(cooldown_s=0.0))
            assert client.decide({}).allowed
        assert is_unavailable(client.decide({}))
        with FakePdp(first.address):
            wait_until(lambda: client.decide({}).allowed, "it connects again")


class TestMalformedAnswers:
    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"outcome": 99, "allowed": True}, id="unknown outcome"),
            pytest.param({"allowed": True}, id="no outcome"),
            pytest.param({"outcome": pdp.OUTCOME_ALLOW}, id="allow that is not allowed"),
            pytest.param({"outcome": pdp.OUTCOME_BLOCK, "allowed": True}, id="block, allowed"),
            pytest.param(
                {"outcome": pdp.OUTCOME_ALLOW, "allowed": True, "request_id": "other"}, id="other"
            ),
        ],
    )
    def test_they_are_denials(
        self, connect: Connect, server: FakePdp, fields: dict[str, Any]
    ) -> None:
        server.decide = lambda request, _: pdp.DecideResponse(
            **{"request_id": request.request_id, **fields}
        )
        client = connect(server.address)
        assert is_unavailable(client.decide({}))
        assert is_unavailable(client.decide_batch([{}])[0])
        assert is_unavailable(client.simulate({}).decision)
        with pytest.raises(pdp.Unavailable):
            client.decide({}, on_failure="raise")
        with pytest.raises(pdp.Denied):
            list(client.release(["hi"]))

    def test_a_batch_with_too_few_decisions(self, connect: Connect, server: FakePdp) -> None:
        decisions = connect(server.address).decide_batch([{}, {}, {}])
        assert len(decisions) == 3
        assert all(map(is_unavailable, decisions))

    def test_bytes_that_are_no_message(self, connect: Connect) -> None:
        def handler(_method: object, details: grpc.HandlerCallDetails) -> Any:
            if "Decide" not in details.method:
                return None
            return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"\xff\xff")

        generic = type("Bytes", (grpc.GenericRpcHandler,), {"service": handler})()
        bare = grpc.server(futures.ThreadPoolExecutor(2), handlers=[generic])
        port = bare.add_insecure_port("127.0.0.1:0")
        bare.start()
        try:
            assert is_unavailable(connect(f"127.0.0.1:{port}").decide({}))
        finally:
            bare.stop(None).wait(TIMEOUT_S)


class TestRetries:
    def test_unavailable_is_tried_again(self, connect: Connect, server: FakePdp) -> None:
        server.decide = fails(grpc.StatusCode.UNAVAILABLE, 1)
        assert connect(server.address).decide({}).allowed
        assert len(server.requests) == 2

    @pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.DEADLINE_EXCEEDED])
    def test_other_failures_are_not(
        self, connect: Connect, server: FakePdp, code: grpc.StatusCode
    ) -> None:
        server.decide = fails(code, 1)
        assert is_unavailable(connect(server.address).decide({}))
        assert len(server.requests) == 1

    def test_a_request_with_a_token_is_sent_once(self, connect: Connect, server: FakePdp) -> None:
        server.decide = fails(grpc.StatusCode.UNAVAILABLE, 1)
        client = connect(server.address)
        assert is_unavailable(client.decide({"tokens": ["t"]}))
        assert len(server.requests) == 1

    def test_the_budget_ends(self, connect: Connect, server: FakePdp) -> None:
        server.decide = fails(grpc.StatusCode.UNAVAILABLE)
        options = pdp.Resilience(
            backoff_s=0.0, retry_burst=3, max_attempts=2, failure_threshold=1000
        )
        client = connect(server.address, resilience=options)
        for _ in range(10):
            client.decide({})
        assert len(server.requests) == 10 + 3

    def test_a_retry_does_not_exceed_the_deadline(self, connect: Connect, server: FakePdp) -> None:
        server.decide = fails(grpc.StatusCode.UNAVAILABLE)
        options = pdp.Resilience(backoff_s=1e6, max_backoff_s=1e6)
        assert is_unavailable(connect(server.address, resilience=options).decide({}))
        assert len(server.requests) == 1


class TestCircuitBreaker:
    def test_a_server_that_fails_gets_no_calls(self, connect: Connect, server: FakePdp) -> None:
        server.decide = fails(grpc.StatusCode.INTERNAL)
        options = pdp.Resilience(failure_threshold=3, cooldown_s=1e6)
        client = connect(server.address, resilience=options)
        assert all(is_unavailable(client.decide({})) for _ in range(6))
        assert len(server.requests) == 3

    def test_one_call_tries_it_again(self) -> None:
        now = [0.0]
        breaker = resilience.CircuitBreaker(
            pdp.Resilience(failure_threshold=1, cooldown_s=5), lambda: now[0]
        )
        assert breaker.admit()
        breaker.fail()
        assert not breaker.admit()
        now[0] = 5
        assert [breaker.admit(), breaker.admit()] == [True, False]
        breaker.fail()
        assert not breaker.admit()
        now[0] = 10
        assert breaker.admit()
        breaker.release()  # the caller has left: the next one tries
        assert breaker.admit()
        breaker.succeed()
        assert [breaker.admit(), breaker.admit()] == [True, True]

    def test_refused_requests_do_not_open_it(self, connect: Connect, server: FakePdp) -> None:
        server.decide = fails(grpc.StatusCode.INVALID_ARGUMENT, 3)
        client = connect(server.address, resilience=pdp.Resilience(failure_threshold=1))
        for _ in range(3):
            with pytest.raises(pdp.CallFailed):
                client.decide({})
        assert client.decide({}).allowed

    def test_calls_that_wait_are_bounded(self, server: FakePdp) -> None:
        arrived, release = threading.Event(), threading.Event()

        def slow(request: pdp.DecideRequest, _context: object) -> pdp.DecideResponse:
            arrived.set()
            release.wait(TIMEOUT_S)
            return allow(request)

        server.decide = slow
        options = pdp.Resilience(max_waiting=1)
        with (
            pdp.Client(server.address, timeout=TIMEOUT_S, resilience=options) as client,
            futures.ThreadPoolExecutor(1) as pool,
        ):
            first = pool.submit(client.decide, {})
            assert arrived.wait(TIMEOUT_S)
            assert is_unavailable(client.decide({}))
            release.set()
            assert first.result(TIMEOUT_S).allowed
            assert client.decide({}).allowed


class TestSeveralAddresses:
    def test_they_take_turns(self, connect: Connect, server: FakePdp) -> None:
        with FakePdp() as other:
            client = connect(server.address, other.address)
            assert all(client.decide({}).allowed for _ in range(4))
            assert (len(server.requests), len(other.requests)) == (2, 2)

    def test_one_that_is_down_is_left_out(self, connect: Connect, server: FakePdp) -> None:
        with closed_port() as address:
            client = connect(address, server.address)
            assert all(client.decide({}).allowed for _ in range(30))

    def test_one_that_does_not_serve_is_left_out(self, connect: Connect, server: FakePdp) -> None:
        with FakePdp() as other:
            other.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
            client = connect(server.address, other.address)
            assert all(client.decide({}).allowed for _ in range(6))
            assert other.requests == []
            other.health.set("", health_pb2.HealthCheckResponse.SERVING)
            assert client.wait_until_ready(TIMEOUT_S)

    def test_they_are_not_ready_if_one_does_not_serve(
        self, connect: Connect, server: FakePdp
    ) -> None:
        server.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        assert not connect(server.address).wait_until_ready(SHORT_S)


class TestErrors:
    def test_they_carry_reason_and_fields(self, connect: Connect, server: FakePdp) -> None:
        def refuse(_request: object, context: grpc.ServicerContext) -> pdp.DecideResponse:
            info, fields = any_pb2.Any(), any_pb2.Any()
            info.Pack(error_details_pb2.ErrorInfo(reason="INVALID_ARGUMENT", domain="pdp"))
            violation = error_details_pb2.BadRequest.FieldViolation(field="a", description="bad")
            fields.Pack(error_details_pb2.BadRequest(field_violations=[violation]))
            status = status_pb2.Status(code=3, message="a: bad", details=[info, fields])
            context.set_trailing_metadata(
                (("grpc-status-details-bin", status.SerializeToString()),)
            )
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a: bad")

        server.decide = refuse
        with pytest.raises(pdp.CallFailed) as failed:
            connect(server.address).decide({})
        error = failed.value
        assert not isinstance(error, pdp.Unavailable)
        assert (error.reason, error.message) == ("INVALID_ARGUMENT", "a: bad")
        assert error.violations == (pdp.FieldViolation("a", "bad"),)
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT


class TestTls:
    @pytest.fixture
    def files(self, tmp_path: Path) -> Path:
        authority = new_authority()
        authority.write(tmp_path, "ca")
        authority.issue("server").write(tmp_path, "server")
        new_authority("another authority").write(tmp_path, "other")
        return tmp_path

    @pytest.fixture
    def secure(self, files: Path) -> Iterator[FakePdp]:
        pair = ((files / "server.key").read_bytes(), (files / "server.crt").read_bytes())
        with FakePdp(credentials=grpc.ssl_server_credentials([pair])) as fake:
            yield fake

    def test_a_trusted_server(self, connect: Connect, secure: FakePdp, files: Path) -> None:
        assert connect(secure.address, ca_file=files / "ca.crt").decide({}).allowed

    def test_a_certificate_of_another_authority(
        self, connect: Connect, secure: FakePdp, files: Path
    ) -> None:
        assert is_unavailable(connect(secure.address, ca_file=files / "other.crt").decide({}))
        assert secure.requests == []

    def test_a_server_without_tls(self, connect: Connect, server: FakePdp, files: Path) -> None:
        assert is_unavailable(connect(server.address, ca_file=files / "ca.crt").decide({}))
        assert server.requests == []

    @pytest.mark.parametrize("kind", [pdp.Client, pdp.AsyncClient])
    def test_files_that_cannot_be_used(self, kind: Any, files: Path) -> None:
        (files / "bad.crt").write_text("no certificate")
        for name in ("missing.crt", "bad.crt"):
            with pytest.raises(OSError, match=r".*"):
                kind("127.0.0.1:1", ca_file=files / name)
        with pytest.raises(OSError, match=r".*"):  # the key of another certificate
            kind(
                "127.0.0.1:1",
                client_cert_file=files / "server.crt",
                client_key_file=files / "ca.key",
            )
        pair = new_authority().issue("client")
        pair.write(files, "client")
        (files / "client.key").write_bytes(pair.key_pem(b"secret"))
        with pytest.raises(ValueError, match=r"client\.key is encrypted"):
            kind(
                "127.0.0.1:1",
                client_cert_file=files / "client.crt",
                client_key_file=files / "client.key",
            )
        with pytest.raises(ValueError, match="set both or neither"):
            kind("127.0.0.1:1", client_cert_file=files / "server.crt")
        with pytest.raises(ValueError, match="tls is False"):
            kind("127.0.0.1:1", tls=False, ca_file=files / "ca.crt")


class TestLeaks:
    async def test_a_cancelled_call_waits_no_longer(self, server: FakePdp) -> None:
        arrived, release = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def slow(request: pdp.DecideRequest, _context: object) -> pdp.DecideResponse:
            loop.call_soon_threadsafe(arrived.set)
            release.wait(TIMEOUT_S)
            return allow(request)

        server.decide = slow
        options = pdp.Resilience(max_waiting=1, failure_threshold=1, cooldown_s=0.0)
        async with pdp.AsyncClient(server.address, timeout=TIMEOUT_S, resilience=options) as client:
            call = asyncio.create_task(client.decide({}))
            await arrived.wait()
            assert is_unavailable(await client.decide({}))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            release.set()
            assert (await client.decide({})).allowed

    def test_streams_leave_no_threads(self, server: FakePdp) -> None:
        def stop_bad(request: pdp.DecideRequest, _context: object) -> pdp.DecideResponse:
            if request.content.text != "bad":
                return allow(request)
            return pdp.DecideResponse(
                outcome=pdp.OUTCOME_BLOCK, allowed=False, request_id=request.request_id
            )

        server.decide = stop_bad
        with pdp.Client(server.address, timeout=TIMEOUT_S) as client:
            assert list(client.release(["a", "", "b"])) == ["a", "b"]
            with pytest.raises(pdp.Denied):
                list(client.release(["a", "bad", "b"]))
            early: Any = client.release(["a", "b"])
            assert next(early) == "a"
            early.close()
            with client.stream() as stream:
                assert stream.decision is None
                assert [stream.feed("a"), stream.end()] == ["a", ""]
                with pytest.raises(ValueError, match="has ended"):
                    stream.feed("b")
        assert [each for each in threading.enumerate() if each.name == "pdp-stream"] == []
