"""The client for programs with threads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import grpc

from pdp_client.calls import (
    DEFAULT_TIMEOUT_S,
    Core,
    OnFailure,
    Plan,
    R,
    Stubs,
    check_on_failure,
    default_addresses,
    denied,
    positive,
)
from pdp_client.failures import Unavailable
from pdp_client.local import Local, LocalDecisions
from pdp_client.streams import StreamState, TextStream, released

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from pdp_client._gen.pdp.v1.decide_pb2 import DecideRequest
    from pdp_client._gen.pdp.v1.simulate_pb2 import Overlay
    from pdp_client.credentials import Metadata
    from pdp_client.endpoints import Endpoint
    from pdp_client.local import LocalState
    from pdp_client.requests import RequestLike
    from pdp_client.resilience import Resilience
    from pdp_client.results import Decision, Simulation


class Client:
    """Asks a server for decisions. Create it once; it can be used by many threads.

    If there is no decision, the result is a denial with the reason code `PDP_UNAVAILABLE`. With
    `on_failure="raise"`, a call raises `Unavailable` instead. A request that the server refuses is
    always an error, `CallFailed`. Nothing of this allows a request.
    """

    def __init__(
        self,
        addresses: str | Sequence[str] | None = None,
        *,
        api_key: str | None = None,
        token: str | Callable[[], str] | None = None,
        tls: bool | None = None,
        ca_file: str | Path | None = None,
        client_cert_file: str | Path | None = None,
        client_key_file: str | Path | None = None,
        server_name: str | None = None,
        tenant: str = "",
        timeout: float = DEFAULT_TIMEOUT_S,
        resilience: Resilience | None = None,
        local: bool | Local = False,
    ) -> None:
        """Reads the files of TLS. The client connects at the first call.

        Args:
            addresses: HOST:PORT or unix:PATH, one or several, which take turns. By default those
                in `PDP_SERVER`, split by commas, else 127.0.0.1:50051.
            api_key: the API key. If neither `api_key` nor `token` is set, `PDP_API_KEY` and
                `PDP_TOKEN` are read from the environment.
            token: a signed token (JWT), or a function that returns it, which is called for each
                attempt.
            tls: whether to use TLS; by default for all addresses but Unix sockets and those of the
                loopback interface. False sends everything, and the credential, in plaintext.
            ca_file: PEM file with the CA certificates to trust; None for the public CAs.
            client_cert_file: PEM file with a client certificate, if the server requires one.
            client_key_file: PEM file with the key of the client certificate.
            server_name: the name in the server's certificate, if it differs from the address.
            tenant: the tenant of requests that name none.
            timeout: how many seconds a call may take, including the time to connect.
            resilience: retries, the circuit breaker and the bound on waiting calls.
            local: whether to decide in this process by the policies of the server, or how. It needs
                the package `pdp`, and a credential with the role `follower`.

        Raises:
            ImportError: `local` is set, but the package `pdp` is not installed.
            OSError: a file cannot be read, or has no certificate or key that can be used.
            ValueError: the arguments contradict each other.
        """
        self._core = Core(
            default_addresses(addresses),
            api_key=api_key,
            token=token,
            tls=tls,
            ca_file=ca_file,
            client_cert_file=client_cert_file,
            client_key_file=client_key_file,
            server_name=server_name,
            tenant=tenant,
            timeout=timeout,
            resilience=resilience,
        )
        self._stubs: list[Stubs[grpc.Channel]] = [
            Stubs(_channel(each)) for each in self._core.endpoints.all
        ]
        self._local: LocalDecisions | None = None
        if local:
            settings = local if isinstance(local, Local) else Local()
            channels = [each.channel for each in self._stubs]
            try:
                self._local = LocalDecisions(
                    settings, channels, self._credential, self._core.tenant
                )
            except BaseException:
                self.close()
                raise

    @property
    def local_state(self) -> LocalState | None:
        """How the client is doing that decides by itself; None if it asks the server only."""
        return None if self._local is None else self._local.state(self._core.tenant)

    def decide(
        self,
        request: RequestLike,
        *,
        timeout: float | None = None,
        on_failure: OnFailure = "deny",
        traceparent: str = "",
    ) -> Decision:
        """Returns the decision on a request.

        Args:
            request: a DecideRequest, or a mapping with its fields; see `request_of`.
            timeout: how many seconds it may take; by default, that of the client.
            on_failure: `raise` to get `Unavailable` in place of a denial.
            traceparent: the W3C trace context; by default, the current one.

        Raises:
            CallFailed: the server refused the request.
            ValueError: the mapping is not a request.
        """
        return self._decided(self._core.request(request), timeout, on_failure, traceparent)

    def decide_payload(
        self,
        format: str,  # noqa: A002 - the name in the contract
        body: str | bytes | Mapping[str, Any] | Sequence[Any],
        request: RequestLike | None = None,
        *,
        history: str = "",
        answers: str = "",
        timeout: float | None = None,
        on_failure: OnFailure = "deny",
        traceparent: str = "",
    ) -> Decision:
        """Returns the decision on a document of a provider or a protocol.

        Args:
            format: for instance `openai.chat_completions`; empty to have the body looked at.
            body: the document as it was received, or a value that becomes JSON.
            request: what else is known: the subject, the direction, the model.
            history: `latest` to let what stands before the last answer not stop the request.
            answers: the method that an answer of `mcp.jsonrpc` belongs to.
            timeout: see `decide`.
            on_failure: see `decide`.
            traceparent: see `decide`.

        Raises:
            CallFailed: the server refused the request.
            ValueError: the body has no form in JSON, or the mapping is not a request.
        """
        message = self._core.payload_request(format, body, request, history, answers)
        return self._decided(message, timeout, on_failure, traceparent)

    def decide_batch(
        self,
        requests: Sequence[RequestLike],
        *,
        timeout: float | None = None,
        on_failure: OnFailure = "deny",
        traceparent: str = "",
    ) -> tuple[Decision, ...]:
        """Returns the decisions on many requests of one tenant, in their order; see `decide`."""
        messages = [self._core.request(each) for each in requests]
        local = self._local
        decisions = [None if local is None else local.decide(each) for each in messages]
        asked = [each for each, known in zip(messages, decisions, strict=True) if known is None]
        if asked or not messages:
            plan = self._core.decide_batch(asked)
            answers = self._run(plan, timeout, on_failure, traceparent)
            rest = iter(answers)
            decisions = [next(rest) if known is None else known for known in decisions]
        return tuple(each for each in decisions if each is not None)

    def simulate(
        self,
        request: RequestLike,
        overlay: Overlay | Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_failure: OnFailure = "deny",
        traceparent: str = "",
    ) -> Simulation:
        """Returns what would be decided, with candidate policies; see `decide`.

        It has no effect, and needs the role `auditor`.
        """
        plan = self._core.simulate(request, overlay)
        return self._run(plan, timeout, on_failure, traceparent)

    def stream(
        self,
        request: RequestLike | None = None,
        *,
        timeout: float | None = None,
        on_failure: OnFailure = "deny",
    ) -> TextStream:
        """Starts a text that is judged as it arrives.

        Args:
            request: what is known of the text: the subject, the model. If it has a payload with a
                format, the parts are events as the provider sends them.
            timeout: how many seconds the answer to each part may take.
            on_failure: see `decide`.

        Raises:
            Denied: no server can be called at this time.
            Unavailable: the same, with `on_failure="raise"`.
        """
        check_on_failure(on_failure)
        message = self._core.request(request or {})
        state = StreamState(self._core, message, on_failure)
        try:
            credential = self._credential()
        except Unavailable as failure:
            state.abandon()
            raise state.failed(failure) from None
        timeout_s = self._core.timeout if timeout is None else positive(timeout)
        return TextStream(state, self._stubs[state.endpoint.index], credential, timeout_s)

    def release(
        self,
        chunks: Iterable[str],
        request: RequestLike | None = None,
        *,
        timeout: float | None = None,
        on_failure: OnFailure = "deny",
    ) -> Iterator[str]:
        """Yields what may go out of a text that arrives in chunks; see `stream`.

        Raises:
            Denied: the text is stopped, or there is no decision.
        """
        stream = self.stream(request, timeout=timeout, on_failure=on_failure)
        yield from released(stream, iter(chunks))

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Returns whether all servers are connected and serve, at the latest after the timeout.

        A client that decides by itself waits for the policies of its tenant instead.
        """
        timeout_s = self._core.timeout if timeout is None else timeout
        if self._local is not None:
            return self._local.wait(self._core.tenant, timeout_s)
        deadline = time.monotonic() + timeout_s
        for each in self._stubs:
            ready = grpc.channel_ready_future(each.channel)
            try:
                ready.result(timeout=max(0.0, deadline - time.monotonic()))
            except grpc.FutureTimeoutError:
                return False
            finally:
                ready.cancel()
        return True

    def _decided(
        self,
        message: DecideRequest,
        timeout: float | None,
        on_failure: OnFailure,
        traceparent: str,
    ) -> Decision:
        if self._local is not None:
            decision = self._local.decide(message)
            if decision is not None:
                return decision
        plan = self._core.decide(message)
        return self._run(plan, timeout, on_failure, traceparent)

    def _run(
        self, plan: Plan[R], timeout: float | None, on_failure: OnFailure, traceparent: str
    ) -> R:
        check_on_failure(on_failure)
        try:
            with self._core.start(plan, timeout, traceparent) as call:
                while True:
                    with call.attempt() as attempt:
                        metadata = (*call.metadata, *self._credential())
                        method = self._stubs[attempt.endpoint.index].methods[plan.method]
                        try:
                            response = method(
                                call.message, timeout=call.remaining_s(), metadata=metadata
                            )
                        except grpc.RpcError as error:
                            pause_s = attempt.fail(error)
                        else:
                            return attempt.succeed(response)
                    time.sleep(pause_s)
        except Unavailable as failure:
            return denied(plan, failure, on_failure)

    def _credential(self) -> Metadata:
        source = self._core.token_source
        if source is None:
            return self._core.credential()
        try:
            token = source()
        except Exception as error:
            raise Unavailable(f"there is no token: {error!r}") from error
        return self._core.credential(token)

    def close(self) -> None:
        """Closes the connections. Calls that run are cancelled."""
        if self._local is not None:
            self._local.close()
        for each in self._stubs:
            each.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _channel(endpoint: Endpoint) -> grpc.Channel:
    if endpoint.credentials is None:
        return grpc.insecure_channel(endpoint.address, options=endpoint.options)
    return grpc.secure_channel(endpoint.address, endpoint.credentials, options=endpoint.options)
