"""Calls a server over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import grpc
from google.rpc import error_details_pb2, status_pb2

from pdp.client.base import CallFailed, ConnectionProblem, Reply, rpc
from pdp.errors import Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from google.protobuf.message import Message

    from pdp.client.tls import ClientTls

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    # Otherwise gRPC uses the proxy of the environment, even for calls to this machine.
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
"""Codes that mean that the server, and not the request, is at fault."""


class Cause(NamedTuple):
    """Why a call got no answer.

    Attributes:
        text: for people.
        kind: for the advice what to do.
    """

    text: str
    kind: ConnectionProblem = "other"


_CAUSES: Final = (
    ("Connection refused", Cause("the connection was refused", "absent")),
    ("No such file or directory", Cause("the socket does not exist", "absent")),
    ("Permission denied", Cause("permission denied")),
    ("CERTIFICATE_VERIFY_FAILED", Cause("the certificate is not trusted", "tls")),
    ("Hostname Verification Check failed", Cause("the certificate is for another name", "tls")),
    ("WRONG_VERSION_NUMBER", Cause("the server does not use TLS", "tls")),
    ("DNS resolution failed", Cause("the host name cannot be resolved")),
    ("Domain name not found", Cause("the host name cannot be resolved")),
    ("reset by peer", Cause("the server closed the connection", "tls")),
    (
        "Socket closed",
        Cause("the server closed the connection; maybe it requires TLS or a certificate", "tls"),
    ),
    ("HTTP/2", Cause("the service at this address does not speak gRPC")),
)
"""What a part of gRPC's description of a failure means."""

_MEANINGS: Final = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "there was no response within the timeout",
    grpc.StatusCode.UNIMPLEMENTED: "it does not know the call",
    grpc.StatusCode.UNAVAILABLE: "there is no connection",
}

Credential = tuple[tuple[str, str], ...]
"""The metadata with a key or a token; empty for none."""

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
        """Prepares the connection, which is opened at the first call.

        Args:
            address: host:port, or unix:PATH.
            timeout_s: how long a call may take, including the time to connect.
            tls: how to connect by TLS; None for no TLS.
            credential: the metadata with the key or token of the caller.

        Raises:
            ConfigError: a file that `tls` names cannot be read.
        """
        self._credential = credential
        self._address = address
        self._tls = tls is not None
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
        try:
            response, call = send.with_call(
                message, timeout=self._timeout_s, metadata=self._metadata(tenant_id)
            )
        except grpc.RpcError as error:
            raise failure(error, self._address, tls=self._tls) from None
        return Reply(response, _texts(call.trailing_metadata() or ()))

    def stream(self, name: str, message: Message, tenant_id: str = "") -> Iterator[Message]:
        """See `Client.stream`. There is no timeout: the stream may last."""
        method = rpc(name)
        send = self._channel.unary_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        try:
            yield from send(message, metadata=self._metadata(tenant_id))
        except grpc.RpcError as error:
            raise failure(error, self._address, tls=self._tls) from None

    def _metadata(self, tenant_id: str) -> tuple[tuple[str, str], ...]:
        if not tenant_id:
            return self._credential
        return (*self._credential, ("x-tenant-id", tenant_id))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._channel.close()


def failure(error: Any, address: str, *, tls: bool = False) -> CallFailed:
    """Returns the failure that a `grpc.RpcError` describes.

    It has the server's own error reason and message if the server sent them.
    """
    details = dict(error.trailing_metadata() or ()).get(_STATUS_KEY)
    if details is not None:
        return _from_status(details, address, unavailable=error.code() in _UNAVAILABLE)
    cause = cause_of(error)
    return CallFailed(
        error.code().name,
        f"the server at {address} did not answer: {cause.text}",
        unavailable=error.code() in _UNAVAILABLE,
        connection=cause.kind,
        tls=tls,
    )


def cause_of(error: Any) -> Cause:
    """Returns why a call got no answer, from a `grpc.RpcError`."""
    details = error.details() or ""
    for part, cause in _CAUSES:
        if part in details:
            return cause
    return Cause(_MEANINGS.get(error.code(), f"the gRPC status is {error.code().name}"))


def _from_status(raw: bytes, address: str, *, unavailable: bool) -> CallFailed:
    status = status_pb2.Status.FromString(raw)
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        if not detail.Unpack(info):
            detail.Unpack(bad_request)
    violations = [Violation(each.field, each.description) for each in bad_request.field_violations]
    return CallFailed(
        info.reason, status.message, violations, unavailable=unavailable, server=address
    )


def _texts(metadata: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    return {key: value for key, value in metadata if isinstance(value, str)}
