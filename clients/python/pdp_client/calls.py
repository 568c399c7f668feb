"""What `Client` and `AsyncClient` share: everything about a call but waiting for it.

A `Plan` is a call that can be made: its message, and what its answer means. A `PlannedCall` decides
for each attempt which address it goes to, how long it may take, and whether another one follows.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Self, TypeVar

import grpc

from pdp_client._gen.pdp.v1 import decide_pb2 as pb
from pdp_client._gen.pdp.v1 import decide_pb2_grpc, simulate_pb2, simulate_pb2_grpc
from pdp_client.credentials import Metadata, credential_metadata
from pdp_client.endpoints import Endpoint, Endpoints, Tls
from pdp_client.failures import CallFailed, Unavailable, failure_of
from pdp_client.ids import new_id
from pdp_client.requests import RequestLike, body_of, message_of, request_of
from pdp_client.resilience import Resilience, RetryBudget, WaitingCalls
from pdp_client.results import Decision, Simulation, decision_of, denial
from pdp_client.telemetry import CallTrace, Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

R = TypeVar("R")

OnFailure = Literal["deny", "raise"]
"""What a call does if there is no decision: it returns a denial, or raises `Unavailable`."""

DEFAULT_TIMEOUT_S: Final = 1.0

DECIDE: Final = "pdp.v1.DecideService/Decide"
DECIDE_BATCH: Final = "pdp.v1.DecideService/DecideBatch"
DECIDE_STREAM: Final = "pdp.v1.DecideService/DecideStream"
SIMULATE: Final = "pdp.v1.SimulateService/Simulate"


@dataclass(frozen=True, slots=True)
class Plan(Generic[R]):
    """A call that can be made.

    Attributes:
        method: the full name of the method.
        message: the message to send.
        request_id: the id that is sent along.
        may_retry: whether the message may reach the server twice.
        finish: returns the result for an answer; raises `Unavailable` if the answer is malformed.
        deny: returns the result if there is no decision.
        outcome: returns the outcome of a result, for telemetry.
    """

    method: str
    message: Any
    request_id: str
    may_retry: bool
    finish: Callable[[Any], R]
    deny: Callable[[Unavailable], R]
    outcome: Callable[[R], str]


class Core:
    """The state that the calls of a client share."""

    def __init__(
        self,
        addresses: str | Sequence[str],
        *,
        api_key: str | None,
        token: object,
        tls: bool | None,
        ca_file: str | Path | None,
        client_cert_file: str | Path | None,
        client_key_file: str | Path | None,
        server_name: str | None,
        tenant: str,
        timeout: float,
        resilience: Resilience | None,
    ) -> None:
        """Reads the files of TLS; see `Client`."""
        self._resilience = resilience or Resilience()
        settings = Tls(tls, ca_file, client_cert_file, client_key_file, server_name)
        self.endpoints = Endpoints(addresses, settings, self._resilience)
        self.timeout = positive(timeout)
        self.tenant = tenant
        self._budget = RetryBudget(self._resilience)
        self._waiting = WaitingCalls(self._resilience)
        self.telemetry = Telemetry()
        if callable(token):
            if api_key:
                raise ValueError("set an API key or a token, not both")
            self.token_source: Callable[[], Any] | None = token
            self._credential: Metadata = ()
        else:
            self.token_source = None
            self._credential = credential_metadata(api_key, None if token is None else str(token))

    def credential(self, token: object = None) -> Metadata:
        """Returns the metadata with the credential.

        Args:
            token: what `token_source` has returned, if there is one.

        Raises:
            Unavailable: the token is empty, or not a text.
        """
        if self.token_source is None:
            return self._credential
        if not isinstance(token, str) or not token:
            raise Unavailable("the function for the token has returned no token")
        return (("authorization", f"Bearer {token}"),)

    def request(self, request: RequestLike) -> pb.DecideRequest:
        """Returns a request with its id, and with the tenant of the client if it names none.

        Raises:
            ValueError: the contract has no such field, or a value is not of its type.
        """
        message = request_of(request)
        if not message.request_id:
            message.request_id = new_id()
        if not message.tenant_id:
            message.tenant_id = self.tenant
        return message

    def payload_request(
        self,
        payload_format: str,
        body: object,
        request: RequestLike | None,
        history: str,
        answers: str,
    ) -> pb.DecideRequest:
        """Returns a request for a payload; see `request`.

        Raises:
            ValueError: the body has no form in JSON, or the mapping is not a request.
        """
        message = self.request(request or {})
        message.payload.CopyFrom(
            pb.Payload(format=payload_format, body=body_of(body), history=history, answers=answers)
        )
        return message

    def decide(self, message: pb.DecideRequest) -> Plan[Decision]:
        """Plans a call of `Decide`."""
        return Plan(
            DECIDE,
            message,
            message.request_id,
            not message.tokens,
            finish=lambda response: decision_of(response, message),
            deny=lambda failure: denial(message, failure),
            outcome=lambda decision: decision.outcome,
        )

    def decide_batch(self, messages: Sequence[pb.DecideRequest]) -> Plan[tuple[Decision, ...]]:
        """Plans a call of `DecideBatch`."""
        tenants = {each.tenant_id for each in messages}
        tenant = tenants.pop() if len(tenants) == 1 else self.tenant
        batch = pb.DecideBatchRequest(tenant_id=tenant, requests=messages)

        def finish(response: pb.DecideBatchResponse) -> tuple[Decision, ...]:
            if len(response.responses) != len(messages):
                count = len(response.responses)
                raise Unavailable(f"the answer has {count} decisions for {len(messages)} requests")
            pairs = zip(response.responses, messages, strict=True)
            return tuple(decision_of(each, message) for each, message in pairs)

        return Plan(
            DECIDE_BATCH,
            batch,
            messages[0].request_id if messages else "",
            not any(each.tokens for each in messages),
            finish=finish,
            deny=lambda failure: tuple(denial(each, failure) for each in messages),
            outcome=lambda _decisions: "BATCH",
        )

    def simulate(
        self, request: RequestLike, overlay: simulate_pb2.Overlay | Mapping[str, Any] | None
    ) -> Plan[Simulation]:
        """Plans a call of `Simulate`."""
        message = self.request(request)
        simulate = simulate_pb2.SimulateRequest(request=message)
        if isinstance(overlay, simulate_pb2.Overlay):
            simulate.overlay.CopyFrom(overlay)
        elif overlay is not None:
            message_of(overlay, simulate.overlay)
        return Plan(
            SIMULATE,
            simulate,
            message.request_id,
            may_retry=True,
            finish=lambda response: Simulation(decision_of(response.decision, message), response),
            deny=lambda failure: Simulation(denial(message, failure), None),
            outcome=lambda simulation: simulation.decision.outcome,
        )

    @contextmanager
    def start(
        self, plan: Plan[R], timeout: float | None, traceparent: str
    ) -> Iterator[PlannedCall[R]]:
        """Covers a call, which counts as waiting inside.

        Raises:
            Unavailable: too many calls wait for an answer already.
        """
        timeout_s = self.timeout if timeout is None else positive(timeout)
        if not self._waiting.enter():
            bound = self._resilience.max_waiting
            raise Unavailable(f"{bound} calls wait for an answer already")
        try:
            with self.telemetry.call(plan.method, traceparent) as trace:
                yield PlannedCall(
                    plan,
                    self.endpoints,
                    self._resilience,
                    self._budget,
                    trace=trace,
                    timeout_s=timeout_s,
                )
        finally:
            self._waiting.leave()


class PlannedCall(Generic[R]):
    """One call, which can take several attempts.

    Attributes:
        message: the message to send.
        metadata: the metadata of each attempt, without the credential.
    """

    def __init__(
        self,
        plan: Plan[R],
        endpoints: Endpoints,
        resilience: Resilience,
        budget: RetryBudget,
        *,
        trace: CallTrace,
        timeout_s: float,
    ) -> None:
        self._plan = plan
        self._endpoints = endpoints
        self._resilience = resilience
        self._budget = budget
        self._trace = trace
        self._deadline = time.monotonic() + timeout_s
        self._used: list[int] = []
        self.message = plan.message
        self.metadata = (*request_id_metadata(plan.request_id), *trace.metadata)

    def attempt(self) -> Attempt[R]:
        """Returns the next attempt.

        Raises:
            Unavailable: no address gets calls at this time.
        """
        endpoint = self._endpoints.pick(self._used)
        if endpoint is None:
            raise Unavailable("all servers have failed; they are tried again in a moment")
        self._used.append(endpoint.index)
        return Attempt(self, endpoint)

    def remaining_s(self) -> float:
        """Returns the time until the deadline.

        Raises:
            Unavailable: it has passed.
        """
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise Unavailable("there was no answer in time", grpc.StatusCode.DEADLINE_EXCEEDED)
        return remaining

    def finish(self, response: Any) -> R:
        """Returns the result for an answer.

        Raises:
            Unavailable: the answer is malformed.
        """
        if response is None:  # grpc.aio has logged why
            raise Unavailable("the answer cannot be read")
        self._budget.add()
        result = self._plan.finish(response)
        self._trace.outcome = self._plan.outcome(result)
        return result

    def pause_s(self, failure: CallFailed) -> float:
        """Returns how long to wait before the next attempt.

        Raises:
            CallFailed: there is no further attempt.
        """
        attempts = len(self._used)
        if (
            failure.code is not grpc.StatusCode.UNAVAILABLE
            or not self._plan.may_retry
            or attempts >= self._resilience.max_attempts
            or not self._budget.take()
        ):
            raise failure
        pause_s = self._resilience.pause_s(attempts - 1)
        if pause_s >= self._deadline - time.monotonic():
            raise failure
        return pause_s


class Attempt(Generic[R]):
    """One attempt of a call. Leave it with a result, or it counts as abandoned.

    Attributes:
        endpoint: the address that it goes to.
    """

    def __init__(self, call: PlannedCall[R], endpoint: Endpoint) -> None:
        self._call = call
        self._open = True
        self.endpoint = endpoint

    def succeed(self, response: Any) -> R:
        """Returns the result for an answer.

        Raises:
            Unavailable: the answer is malformed.
        """
        self._open = False
        self.endpoint.breaker.succeed()
        return self._call.finish(response)

    def fail(self, error: grpc.RpcError) -> float:
        """Returns how long to wait before the next attempt.

        Raises:
            CallFailed: there is no further attempt.
        """
        failure = failure_of(error)
        self._open = False
        report(self.endpoint, failure)
        return self._call.pause_s(failure)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._open:
            self.endpoint.breaker.release()


def report(endpoint: Endpoint, failure: CallFailed) -> None:
    """Reports a failure to the circuit breaker. A server that says what is wrong works."""
    if isinstance(failure, Unavailable) and not failure.from_server:
        endpoint.breaker.fail()
    else:
        endpoint.breaker.succeed()


def denied(plan: Plan[R], failure: Unavailable, on_failure: OnFailure) -> R:
    """Returns the denial of a call without a decision.

    Raises:
        Unavailable: the caller has asked for it.
    """
    if on_failure == "raise":
        raise failure
    return plan.deny(failure)


def check_on_failure(on_failure: OnFailure) -> None:
    """Checks the choice of a caller. There is none that allows.

    Raises:
        ValueError: it is neither `deny` nor `raise`.
    """
    if on_failure not in {"deny", "raise"}:
        raise ValueError(f"on_failure: {on_failure!r} is neither 'deny' nor 'raise'")


def positive(timeout: float) -> float:
    """Returns a timeout in seconds.

    Raises:
        ValueError: it is not above 0.
    """
    if not timeout > 0:
        raise ValueError(f"timeout: {timeout} is not above 0")
    return timeout


def request_id_metadata(request_id: str) -> Metadata:
    """Returns the metadata with the id of a request, if gRPC can send it."""
    if request_id and request_id.isascii() and request_id.isprintable():
        return (("x-request-id", request_id),)
    return ()


C = TypeVar("C", grpc.Channel, grpc.aio.Channel)


class Stubs(Generic[C]):
    """The methods of one server, by name."""

    def __init__(self, channel: C) -> None:
        decide = decide_pb2_grpc.DecideServiceStub(channel)
        simulate = simulate_pb2_grpc.SimulateServiceStub(channel)
        self.channel: C = channel
        self.methods: Mapping[str, Any] = {
            DECIDE: decide.Decide,
            DECIDE_BATCH: decide.DecideBatch,
            DECIDE_STREAM: decide.DecideStream,
            SIMULATE: simulate.Simulate,
        }


def default_addresses(addresses: str | Sequence[str] | None) -> str | Sequence[str]:
    """Returns the addresses of the server: as given, or as `PDP_SERVER` names them."""
    if addresses is not None:
        return addresses
    names = os.environ.get("PDP_SERVER", "127.0.0.1:50051")
    return [name for each in names.split(",") if (name := each.strip())]
