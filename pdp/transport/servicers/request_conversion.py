"""Converts the messages of requests beside the event loop if they are large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pdp.messages.conversion import to_request

if TYPE_CHECKING:
    from pdp._gen.pdp.v1 import decide_pb2 as pb
    from pdp.decisions.heavy_work import HeavyWork
    from pdp.domain.request import Request

LARGE: Final = 65_536
"""Bytes of a message from which a thread converts it. Each value in it takes about 1 µs."""


async def convert(
    heavy: HeavyWork,
    message: pb.DecideRequest,
    tenant_id: str,
    request_id: str,
    prefix: str = "",
    *,
    groups_trusted: bool = True,
) -> Request:
    """Returns a message as a request; see `to_request`.

    Args:
        heavy: the threads for large messages.
        message: the message.
        tenant_id: the tenant whose policies apply.
        request_id: the id of the request.
        prefix: the prefix of paths in errors.
        groups_trusted: see `Request`.

    Raises:
        InvalidArgument: a value is out of bounds.
        RateLimited: too many large requests of the tenant wait.
    """
    size = message.ByteSize()
    if size > LARGE:
        return await heavy.run(
            tenant_id,
            to_request,
            message,
            tenant_id,
            request_id,
            prefix,
            size,
            groups_trusted=groups_trusted,
        )
    return to_request(message, tenant_id, request_id, prefix, size, groups_trusted=groups_trusted)
