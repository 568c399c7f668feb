"""The errors of calls: what the server refused, and that there is no decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

UNAVAILABLE: Final = "PDP_UNAVAILABLE"
"""The reason code of a denial for which there was no decision."""

_DETAILS: Final = "grpc-status-details-bin"

_NO_DECISION: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
    }
)
"""Codes that mean that the server, and not the request, is at fault."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of a request that the server refused.

    Attributes:
        field: the path of the field.
        reason: what is wrong with it.
    """

    field: str
    reason: str


class CallFailed(Exception):
    """The request was not evaluated, so it must not go out.

    Attributes:
        reason: the server's error code, for instance `INVALID_ARGUMENT`.
        message: what is wrong, for people.
        violations: the fields that the server refused.
        code: the status of gRPC; None if the call was not sent.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        violations: Iterable[FieldViolation] = (),
        code: grpc.StatusCode | None = None,
    ) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.code = code


class Unavailable(CallFailed):
    """There is no decision: no answer in time, no server, or an answer that cannot be used.

    Attributes:
        from_server: whether the server itself said so, and not the connection.
    """

    def __init__(
        self,
        message: str,
        code: grpc.StatusCode | None = None,
        *,
        reason: str = UNAVAILABLE,
        violations: Iterable[FieldViolation] = (),
        from_server: bool = False,
    ) -> None:
        super().__init__(reason, message, violations, code)
        self.from_server = from_server


def failure_of(error: grpc.RpcError) -> CallFailed:
    """Returns the failure that an error of gRPC stands for."""
    code = error.code() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
    details = error.details() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
    message = details or "the call failed"
    reason, violations = _details_of(error)
    if code is None or code in _NO_DECISION:
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            message = "there was no answer in time"
        return Unavailable(
            message,
            code,
            reason=reason or UNAVAILABLE,
            violations=violations,
            from_server=bool(reason),
        )
    return CallFailed(reason or code.name, message, violations, code)


def _details_of(error: grpc.RpcError) -> tuple[str, tuple[FieldViolation, ...]]:
    """Returns the error code of the server, empty if there is none, and the refused fields."""
    if not isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        return "", ()
    status = status_pb2.Status()
    for name, value in error.trailing_metadata() or ():
        if name == _DETAILS and isinstance(value, bytes):
            try:
                status.ParseFromString(value)
            except DecodeError:
                return "", ()
    reason, violations = "", []
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad_request):
            violations += [
                FieldViolation(each.field, each.description)
                for each in bad_request.field_violations
            ]
    return reason, tuple(violations)
