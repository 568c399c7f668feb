"""Passes calls on to the server that this one follows."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio
import structlog
from google.rpc import error_details_pb2, status_pb2

from pdp.errors import (
    ConfigError,
    InvalidArgument,
    PdpError,
    RateLimited,
    StoreUnavailable,
    Violation,
)
from pdp.transport.admission import TENANT_HEADER, UNTRUSTED_GROUPS_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from pdp.follower.central import Metadata
    from pdp.transport.call import Call, Session

TIMEOUT_S: Final = 5.0
"""How long the server may take if the caller sets no deadline."""

_log: Final = structlog.get_logger("pdp.follower")

_STREAM: Final = "forwarded stream"
_DETAILS: Final = "grpc-status-details-bin"


class Forwarder:
    """Passes calls on, with the credential of this server.

    Attributes:
        calls: how many calls were passed on.
    """

    def __init__(self, channel: grpc.aio.Channel, credential: Callable[[], Metadata]) -> None:
        """Takes the connection, and what returns the metadata with the credential."""
        self._channel = channel
        self._credential = credential
        self.calls = 0

    async def call(self, call: Call, message: Message) -> Message:
        """Returns the answer of the server.

        Raises:
            PdpError: the server has refused the call, or has not answered.
        """
        self.calls += 1
        method = call.method
        send = self._channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        try:
            answer: Message = await send(
                _complete(call, message),
                timeout=call.remaining(TIMEOUT_S),
                metadata=self._metadata(call),
            )
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from None
        return answer

    async def exchange(self, call: Call, session: Session, message: Message) -> Message:
        """Returns the answer to one message of a stream, of which each message has one answer.

        Raises:
            PdpError: the server has refused the stream, or has not answered.
        """
        stream, lock = session.state.get(_STREAM) or self._open(call, session)
        try:
            async with lock, asyncio.timeout(call.remaining(TIMEOUT_S)):
                await stream.write(message)
                answer: Any = await stream.read()
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from None
        except (TimeoutError, asyncio.InvalidStateError):
            stream.cancel()
            raise StoreUnavailable("the server that is followed does not answer") from None
        if answer is grpc.aio.EOF:
            raise StoreUnavailable("the server that is followed has ended the stream")
        return answer  # type: ignore[no-any-return] # what the deserializer returns

    def _open(self, call: Call, session: Session) -> tuple[Any, asyncio.Lock]:
        self.calls += 1
        method = call.method
        send = self._channel.stream_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        stream = send(metadata=self._metadata(call))
        opened = session.state[_STREAM] = (stream, asyncio.Lock())
        session.at_end(partial(_cancel, stream))
        return opened

    def _metadata(self, call: Call) -> Metadata:
        try:
            metadata = self._credential()
        except ConfigError as error:
            _log.error("no call can be passed on", reason=error.message)
            raise StoreUnavailable("there is no credential for the followed server") from None
        if call.tenant_id:
            metadata = (*metadata, (TENANT_HEADER, call.tenant_id))
        if not call.principal.groups_trusted:
            metadata = (*metadata, (UNTRUSTED_GROUPS_HEADER, "true"))
        return metadata


def _cancel(stream: Any) -> None:
    stream.cancel()


def _complete(call: Call, message: Message) -> Message:
    """Returns a message with the tenant and the id that the guards have settled for it."""
    fields = message.DESCRIPTOR.fields_by_name
    values = {"tenant_id": call.tenant_id, "request_id": call.request_id}
    complete = type(message)()
    complete.CopyFrom(message)
    for name, value in values.items():
        if name in fields and value:
            setattr(complete, name, value)
    return complete


def _failure(error: grpc.aio.AioRpcError) -> PdpError:
    """Returns the error of this server for one of the server that it follows."""
    message = error.details() or "the call failed"
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
        return InvalidArgument(message, *_violations(error))
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return RateLimited(message, 1.0)
    return StoreUnavailable(f"the server that is followed gives no answer: {error.code().name}")


def _violations(error: grpc.aio.AioRpcError) -> list[Violation]:
    raw = dict(error.trailing_metadata() or ()).get(_DETAILS)
    if not isinstance(raw, bytes):
        return []
    bad_request = error_details_pb2.BadRequest()
    return [
        Violation(each.field, each.description)
        for detail in status_pb2.Status.FromString(raw).details
        if detail.Unpack(bad_request)
        for each in bad_request.field_violations
    ]
