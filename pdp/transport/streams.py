"""Answers that are streams: what the chain of guards does for one message, for all that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from pdp.errors import InternalError, PdpError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.message import Message

    from pdp.transport.call import Call

_log = structlog.get_logger("pdp.calls")


async def sent(call: Call) -> AsyncIterator[Message]:
    """Yields the messages of a call's stream, once its endpoint has passed the guards.

    A message is sent only while the credential counts: one that is revoked, or expires, ends the
    stream.

    Raises:
        Unauthenticated: the credential counts no more.
        PdpError: what the stream raised; whatever else it raises is logged and becomes an
            `InternalError`, as in `pdp.transport.chain`.
    """
    stream = call.stream
    if stream is None:
        return
    try:
        async for message in stream:
            if call.still_counts is not None:
                call.still_counts(call)
            yield message
    except PdpError:
        raise
    except Exception as error:
        _log.exception("call failed", method=call.method.path, request_id=call.request_id)
        raise InternalError(f"internal error; request id {call.request_id}") from error
