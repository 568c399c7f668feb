"""Converts the messages of requests beside the event loop if they are large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.domain.access import NO_CALLER
from pdp.messages.conversion import to_request
from pdp.messages.payloads import to_payload

if TYPE_CHECKING:
    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.decisions.heavy_work import HeavyWork
    from pdp.domain.access import Caller
    from pdp.domain.request import Request
    from pdp.payloads.payload import Payload

LARGE: Final = 65_536
"""Bytes of a message from which a thread converts it. Each value in it takes about 1 µs."""


LARGE_PAYLOAD: Final = 8_192
"""Characters of a payload from which a thread reads it."""


async def convert(
    heavy: HeavyWork,
    message: pb.DecideRequest,
    tenant_id: str,
    request_id: str,
    prefix: str = "",
    *,
    caller: Caller = NO_CALLER,
    takes_payload: bool = False,
) -> Request:
    """Returns a message as a request; see `to_request`.

    Args:
        heavy: the threads for large messages.
        message: the message.
        tenant_id: the tenant whose policies apply.
        request_id: the id of the request.
        prefix: the prefix of paths in errors.
        caller: who asks.
        takes_payload: see `to_request`.

    Raises:
        InvalidArgument: a value is out of bounds.
        RateLimited: too many large requests of the tenant wait.
    """
    size = message.ByteSize()
    given = message, tenant_id, request_id, prefix, size
    if size > LARGE and size - len(message.payload.body) > LARGE:
        return await heavy.run(
            tenant_id, to_request, *given, caller=caller, takes_payload=takes_payload
        )
    return to_request(*given, caller=caller, takes_payload=takes_payload)


async def read_payload(
    heavy: HeavyWork, tenant_id: str, message: pb.DecideRequest, prefix: str = ""
) -> Payload:
    """Returns the payload of a message that has one. A thread reads a large one.

    Raises:
        InvalidArgument: the payload is not understood, or exceeds a bound.
        RateLimited: too many large requests of the tenant wait.
    """
    if len(message.payload.body) <= LARGE_PAYLOAD:
        return to_payload(message, prefix)
    return await heavy.run(tenant_id, to_payload, message, prefix)
