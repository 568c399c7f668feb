"""Converts the payload of a DecideRequest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.errors import InvalidArgument, Violation
from pdp.payloads.formats import read_payload
from pdp.payloads.payload import PayloadError

if TYPE_CHECKING:
    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.payloads.payload import Payload


HISTORIES: Final = ("", "all", "latest")


def to_payload(message: pb.DecideRequest, prefix: str = "") -> Payload:
    """Returns the payload of a message that has one.

    Its bounds are those of the contract, which validates a message only if its other fields ask for
    that.

    Args:
        message: the message. Its direction, if it has one, must be that of the payload.
        prefix: the prefix of paths in errors, for a message within another.

    Raises:
        InvalidArgument: the payload is not understood, or exceeds a bound.
    """
    payload = message.payload
    if payload.history not in HISTORIES:
        reason = f"must be one of {', '.join(HISTORIES[1:])}"
        raise InvalidArgument.of(Violation(f"{prefix}payload.history", reason))
    if not payload.body:
        reason = "is required; send the document as it was received"
        raise InvalidArgument.of(Violation(f"{prefix}payload.body", reason))
    try:
        return read_payload(
            payload.format, payload.body, message.direction, answers=payload.answers
        )
    except PayloadError as error:
        raise InvalidArgument.of(Violation(f"{prefix}payload.body", str(error))) from None
