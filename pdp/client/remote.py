"""Calls a server over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import grpc
from google.rpc import error_details_pb2, status_pb2

from pdp.client.base import CallFailed, Reply, rpc
from pdp.errors import Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from google.protobuf.message import Message

    from pdp.client.tls import ClientTls

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    # gRPC would send even a call to this machine through the proxy that the environment names.
    ("grpc.enable_http_proxy", 0),
)

_UNAVAILABLE: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,
    }
)
"""What says that the server, not the request, is at fault."""

Credential = tuple[tuple[str, str], ...]
"""Metadata: a key or a token under its name, or nothing."""

_STATUS_KEY: Final = "grpc-status-details-bin"


def open_channel(address: str, tls: ClientTls | None = None) -> grpc.Channel:
    """Returns a channel to `address`: host:port, or unix:PATH.

    Raises:
        ConfigError: a file that `tls` names cannot be read.
    """
    if tls is None:
        return grpc.insecure_channel(address, options=_OPTIONS)
    options = (*_OPTIONS, *tls.options())
    return grpc.secure_channel(address, tls.credentials(), options=options)


class RemoteClient:
    """A `Client` of the server at an address."""

    def __init__(
        self,
        address: str,
        *,
        timeout_s: float = 10.0,
        tls: ClientTls | None = None,
        credential: Credential = (),
    ) -> None:
        """Connects at the first call.

        Args:
            address: host:port, or unix:PATH.
            timeout_s: how long a call may take, the connection included.
            tls: how the connection is secured; None for not at all.
            credential: the metadata that says who calls.

        Raises:
            ConfigError: a file that `tls` names cannot be read.
        """
        self._credential = credential
        self._address = address
        self._timeout_s = timeout_s
        self._channel = open_channel(address, tls)

    def call(self, name: str, message: Message, tenant_id: str = "") -> Reply:
        """See `Client.call`."""
        method = rpc(name)
        send = self._channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        metadata = self._credential
        if tenant_id:
            metadata += (("x-tenant-id", tenant_id),)
        try:
            answer, call = send.with_call(message, timeout=self._timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            raise failure(error, self._address) from None
        return Reply(answer, _texts(call.trailing_metadata() or ()))

    def stream(self, name: str, message: Message, tenant_id: str = "") -> Iterator[Message]:
        """See `Client.stream`. The connection must be there in time; the stream may last."""
        method = rpc(name)
        send = self._channel.unary_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        metadata = self._credential
        if tenant_id:
            metadata += (("x-tenant-id", tenant_id),)
        try:
            yield from send(message, metadata=metadata)
        except grpc.RpcError as error:
            raise failure(error, self._address) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._channel.close()


def failure(error: Any, address: str) -> CallFailed:
    """Returns what a failed call to `address` says: the server's own words where it has any."""
    details = dict(error.trailing_metadata() or ()).get(_STATUS_KEY)
    if details is not None:
        return _from_status(details, unavailable=error.code() in _UNAVAILABLE)
    return CallFailed(
        error.code().name,
        f"the server at {address} did not answer: {error.details()}",
        unavailable=error.code() in _UNAVAILABLE,
    )


def _from_status(raw: bytes, *, unavailable: bool) -> CallFailed:
    status = status_pb2.Status.FromString(raw)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        if not detail.Unpack(info):
            detail.Unpack(bad)
    violations = [Violation(each.field, each.description) for each in bad.field_violations]
    return CallFailed(info.reason, status.message, violations, unavailable=unavailable)


def _texts(metadata: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    return {key: value for key, value in metadata if isinstance(value, str)}
