"""A text, or a stream of events, that is judged as it arrives: what may go out, piece by piece."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, Self

import grpc

from pdp_client._gen.pdp.v1 import decide_pb2 as pb
from pdp_client.calls import DECIDE_STREAM, Core, OnFailure, Stubs, report, request_id_metadata
from pdp_client.enforcement import Denied
from pdp_client.failures import Unavailable, failure_of
from pdp_client.results import Decision, decision_of, denial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from pdp_client.credentials import Metadata
    from pdp_client.endpoints import Endpoint


class StreamState:
    """What both kinds of streams share: the messages, and what their answers release.

    Attributes:
        request: what is known of the text besides itself.
        endpoint: the address that the stream goes to.
        metadata: the metadata of the call, without the credential.
        decision: the last decision; None before the first one.
        closed: whether nothing more is released.
    """

    def __init__(self, core: Core, request: pb.DecideRequest, on_failure: OnFailure) -> None:
        endpoint = core.endpoints.pick()
        self._on_failure = on_failure
        self._sent = False
        self.request = request
        self.decision: Decision | None = None
        self.closed = False
        if endpoint is None:
            raise self.failed(Unavailable("all servers have failed"))
        self.endpoint: Endpoint = endpoint
        with core.telemetry.call(DECIDE_STREAM) as trace:
            self.metadata = (*request_id_metadata(request.request_id), *trace.metadata)
            trace.outcome = "STREAM"

    def message(self, text: str, *, last: bool) -> pb.DecideStreamRequest:
        """Returns the message with the next part of the text."""
        message = pb.DecideStreamRequest(chunk=pb.StreamChunk(text=text, last=last))
        if not self._sent:
            message.request.CopyFrom(self.request)
            self._sent = True
        return message

    def accept(self, answer: pb.DecideStreamResponse | None) -> str:
        """Returns what may go out by an answer.

        Raises:
            Denied: the decision stops the text.
            Unavailable: the answer is malformed, and the caller wants the error.
        """
        self.endpoint.breaker.succeed()
        if answer is None:  # grpc.aio has logged why
            raise self.failed(Unavailable("the answer cannot be read"))
        response = answer.response
        try:
            self.decision = decision_of(response, self.request)
        except Unavailable as failure:
            raise self.failed(failure) from None
        obligations = self.decision.obligations
        self.closed = answer.release.closed
        if not self.decision.allowed or self.decision.held:
            self.closed = True
            raise Denied(response, response.message or "The text is not allowed.")
        if not obligations.is_known:
            self.closed = True
            raise Denied(response, "the decision has an obligation that is not known")
        return answer.release.released_text

    def failed(self, failure: Unavailable) -> Exception:
        """Returns the exception for a stream without a decision."""
        self.closed = True
        if self._on_failure == "raise":
            return failure
        self.decision = denial(self.request, failure)
        return Denied(self.decision.raw, self.decision.message)

    def error(self, error: grpc.RpcError) -> Exception:
        """Returns the exception for an error of the call."""
        failure = failure_of(error)
        report(self.endpoint, failure)
        self.closed = True
        return self.failed(failure) if isinstance(failure, Unavailable) else failure

    def late(self) -> Exception:
        """Returns the exception for an answer that did not come in time."""
        self.endpoint.breaker.fail()
        code = grpc.StatusCode.DEADLINE_EXCEEDED
        return self.failed(Unavailable("there was no answer in time", code))

    def abandon(self) -> None:
        """Ends a stream that the caller leaves early."""
        self.closed = True
        self.endpoint.breaker.release()


_Answer = pb.DecideStreamResponse | grpc.RpcError | None


class TextStream:
    """A text that is judged as it arrives. Create it by `Client.stream`, and use it by `with`.

    Attributes:
        decision: the last decision; None before the first one.
    """

    def __init__(
        self, state: StreamState, stubs: Stubs[grpc.Channel], credential: Metadata, timeout_s: float
    ) -> None:
        self._state = state
        self._timeout_s = timeout_s
        self._messages: queue.SimpleQueue[pb.DecideStreamRequest | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()
        method: Callable[..., Any] = stubs.methods[DECIDE_STREAM]
        self._call = method(iter(self._messages.get, None), metadata=(*state.metadata, *credential))
        self._reader = threading.Thread(target=self._read, name="pdp-stream", daemon=True)
        self._reader.start()

    @property
    def decision(self) -> Decision | None:
        """The last decision; None before the first one."""
        return self._state.decision

    def feed(self, text: str) -> str:
        """Takes the next part of the text, and returns what may go out; often less, or nothing.

        Raises:
            Denied: the text is stopped here, or there is no decision.
            Unavailable: there is no decision, and the stream has `on_failure="raise"`.
            CallFailed: the server refused the request.
            ValueError: the stream has ended.
        """
        return self._send(text, last=False) if text else ""

    def end(self) -> str:
        """Ends the text, and returns the rest that may go out; raises like `feed`."""
        return self._send("", last=True)

    def _send(self, text: str, *, last: bool) -> str:
        if self._state.closed:
            raise ValueError("the stream has ended")
        self._messages.put(self._state.message(text, last=last))
        try:
            answer = self._answers.get(timeout=self._timeout_s)
        except queue.Empty:
            self._call.cancel()
            raise self._state.late() from None
        if answer is None:
            raise self._state.failed(Unavailable("the server has ended the stream"))
        if isinstance(answer, grpc.RpcError):
            raise self._state.error(answer)
        return self._state.accept(answer)

    def _read(self) -> None:
        try:
            for answer in self._call:
                self._answers.put(answer)
            self._answers.put(None)
        except grpc.RpcError as error:
            self._answers.put(error)

    def close(self) -> None:
        """Ends the call."""
        if not self._state.closed:
            self._state.abandon()
        self._messages.put(None)
        self._call.cancel()
        self._reader.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def released(stream: TextStream, chunks: Iterator[str]) -> Iterator[str]:
    """Yields what may go out of a text, and closes the stream at the end."""
    with stream:
        for chunk in chunks:
            if text := stream.feed(chunk):
                yield text
        if text := stream.end():
            yield text
