"""What the fronts share: from metadata and bytes to a call, and from an error to a status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError, Message

from pdp.errors import MalformedRequest, PdpError, Violation
from pdp.transport.call import Call, joined
from pdp.transport.status import STATUSES, rich_status, truncate

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc


def metadata_of(pairs: Any) -> dict[str, str]:
    """Returns the metadata of a call by name; values of one name are joined.

    Args:
        pairs: the names and values.
    """
    metadata = dict(pairs)
    if len(metadata) == len(pairs):
        return metadata
    # Binary metadata (-bin) is ignored.
    return joined(pair for pair in pairs if isinstance(pair[1], str))


def parse(from_string: Callable[[bytes], Message], raw: bytes) -> Message:
    """Returns the message.

    Raises:
        MalformedRequest: the bytes are not a message of this type.
    """
    try:
        return from_string(raw)
    except DecodeError:
        reason = "not a message of this type, or text that is not UTF-8"
        raise MalformedRequest(f"body: {reason}", Violation("body", reason)) from None


def failure(
    call: Call, error: PdpError
) -> tuple[grpc.StatusCode, str, tuple[tuple[str, str | bytes], ...]]:
    """Returns the status of an error, its message and its trailing metadata."""
    details = ("grpc-status-details-bin", rich_status(error))
    return STATUSES[error.reason].grpc, truncate(error.message), (*call.reply.items(), details)
