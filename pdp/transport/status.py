"""Maps error reasons to gRPC and HTTP statuses, and builds the error bodies of both."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from pdp.errors import InvalidArgument, PdpError, RateLimited

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

ERROR_DOMAIN: Final = "pdp.v1"

MAX_MESSAGE_BYTES: Final = 1024
MAX_DETAILS_BYTES: Final = 2048
"""The size limits of an error over gRPC, which sends it as metadata: the message percent-encoded,
the details in base64. Many clients accept at most 8 KiB of metadata, and report RESOURCE_EXHAUSTED
instead of a larger error."""


class Status(NamedTuple):
    """The status of an error on each transport."""

    grpc: grpc.StatusCode
    http: int


STATUSES: Final[Mapping[str, Status]] = {
    "INVALID_ARGUMENT": Status(grpc.StatusCode.INVALID_ARGUMENT, 400),
    "MALFORMED_REQUEST": Status(grpc.StatusCode.INVALID_ARGUMENT, 400),
    "INVALID_PATTERN": Status(grpc.StatusCode.INVALID_ARGUMENT, 400),
    "INVALID_ACTION": Status(grpc.StatusCode.INVALID_ARGUMENT, 400),
    "INVALID_CONDITION": Status(grpc.StatusCode.INVALID_ARGUMENT, 400),
    "BUNDLE_READONLY": Status(grpc.StatusCode.FAILED_PRECONDITION, 400),
    "NO_UPGRADE": Status(grpc.StatusCode.FAILED_PRECONDITION, 400),
    "UNAUTHENTICATED": Status(grpc.StatusCode.UNAUTHENTICATED, 401),
    "ACCESS_DENIED": Status(grpc.StatusCode.PERMISSION_DENIED, 403),
    "APPROVAL_REFUSED": Status(grpc.StatusCode.PERMISSION_DENIED, 403),
    "SYSTEM_POLICY_READONLY": Status(grpc.StatusCode.PERMISSION_DENIED, 403),
    "PLATFORM_READONLY": Status(grpc.StatusCode.PERMISSION_DENIED, 403),
    "TENANT_MISMATCH": Status(grpc.StatusCode.PERMISSION_DENIED, 403),
    "HOST_REFUSED": Status(grpc.StatusCode.PERMISSION_DENIED, 403),
    "POLICY_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "OVERRIDE_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "CUSTOMER_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "PACK_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "RULE_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "CHAIN_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "MODEL_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "PROVIDER_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "CONNECTOR_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "RECORD_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "LIMIT_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "BUNDLE_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "GROUP_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "EXCEPTION_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "APPROVAL_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "KEY_NOT_FOUND": Status(grpc.StatusCode.NOT_FOUND, 404),
    "ROUTE_NOT_FOUND": Status(grpc.StatusCode.UNIMPLEMENTED, 404),
    "METHOD_NOT_ALLOWED": Status(grpc.StatusCode.UNIMPLEMENTED, 405),
    "POLICY_NAME_EXISTS": Status(grpc.StatusCode.ALREADY_EXISTS, 409),
    "NAME_EXISTS": Status(grpc.StatusCode.ALREADY_EXISTS, 409),
    "APPROVAL_CLOSED": Status(grpc.StatusCode.FAILED_PRECONDITION, 409),
    "PACK_IN_USE": Status(grpc.StatusCode.FAILED_PRECONDITION, 409),
    "RULE_REQUIRED": Status(grpc.StatusCode.FAILED_PRECONDITION, 409),
    "MODEL_EXISTS": Status(grpc.StatusCode.ALREADY_EXISTS, 409),
    "MODEL_DISABLED": Status(grpc.StatusCode.FAILED_PRECONDITION, 409),
    "LIMIT_EXISTS": Status(grpc.StatusCode.ALREADY_EXISTS, 409),
    "PRECONDITION_FAILED": Status(grpc.StatusCode.ABORTED, 412),
    "REQUEST_TOO_LARGE": Status(grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
    "WORK_LIMIT_EXCEEDED": Status(grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
    "UNSUPPORTED_MEDIA_TYPE": Status(grpc.StatusCode.INVALID_ARGUMENT, 415),
    "RATE_LIMITED": Status(grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
    "INTERNAL": Status(grpc.StatusCode.INTERNAL, 500),
    "REVISION_UNAVAILABLE": Status(grpc.StatusCode.UNAVAILABLE, 503),
    "STORE_UNAVAILABLE": Status(grpc.StatusCode.UNAVAILABLE, 503),
    "DEADLINE_EXCEEDED": Status(grpc.StatusCode.DEADLINE_EXCEEDED, 504),
}


def http_status(error: PdpError, invalid_status: int = 400) -> int:
    """Returns the HTTP status of `error`.

    Args:
        error: the error.
        invalid_status: the route's status for invalid values.
    """
    if isinstance(error, InvalidArgument):
        return invalid_status
    return STATUSES[error.reason].http


def envelope(error: PdpError) -> dict[str, Any]:
    """Returns the JSON body of an error (docs/decide.md, Errors)."""
    details = [{"field": field, "reason": reason} for field, reason in error.violations]
    return {"error": {"code": error.reason, "message": error.message, "details": details}}


def truncate(text: str, max_bytes: int = MAX_MESSAGE_BYTES) -> str:
    """Returns a text, cut to at most `max_bytes` bytes of UTF-8."""
    raw = text.encode()
    return text if len(raw) <= max_bytes else f"{raw[: max_bytes - 3].decode(errors='ignore')}…"


def rich_status(error: PdpError) -> bytes:
    """Returns a `google.rpc.Status` with error details, for `grpc-status-details-bin`.

    If there are many violations, it has only as many as fit in `MAX_DETAILS_BYTES`.
    """
    details = [_pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN))]
    if error.violations:
        bad_request = error_details_pb2.BadRequest()
        for field, reason in error.violations:
            bad_request.field_violations.add(
                field=truncate(field, MAX_DETAILS_BYTES // 4),
                description=truncate(reason, MAX_DETAILS_BYTES // 2),
            )
            if bad_request.ByteSize() > MAX_DETAILS_BYTES:
                del bad_request.field_violations[-1]
                break
        details.append(_pack(bad_request))
    if isinstance(error, RateLimited):
        retry_info = error_details_pb2.RetryInfo()
        retry_info.retry_delay.FromMilliseconds(math.ceil(error.retry_after_s * 1000))
        details.append(_pack(retry_info))
    code = int(STATUSES[error.reason].grpc.value[0])
    status = status_pb2.Status(code=code, message=truncate(error.message), details=details)
    raw: bytes = status.SerializeToString()
    return raw


def _pack(message: Message) -> any_pb2.Any:
    container = any_pb2.Any()
    container.Pack(message)
    return container
