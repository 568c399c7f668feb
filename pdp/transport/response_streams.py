"""Answers that are streams: what the chain of guards does for one message, for all that follow."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from pdp.errors import InternalError, PdpError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.message import Message

    from pdp.transport.call import Call

CHECK_S: Final = 1.0
"""How often a credential is asked for again while a stream has nothing to send."""

_log = structlog.get_logger("pdp.calls")


async def sent(call: Call) -> AsyncIterator[Message]:
    """Yields the messages of a call's stream, once its endpoint has passed the guards.

    A message is sent only while the credential counts: one that is revoked, or expires, ends the
    stream, also where there is nothing to send.

    Raises:
        Unauthenticated: the credential counts no more.
        PdpError: what the stream raised; whatever else it raises is logged and becomes an
            `InternalError`, as in `pdp.transport.guards`.
    """
    stream = call.stream
    if stream is None:
        return
    try:
        while (message := await _next(stream, call)) is not None:
            yield message
    except PdpError:
        raise
    except Exception as error:
        _log.exception("call failed", method=call.method.path, request_id=call.request_id)
        raise InternalError(f"internal error; request id {call.request_id}") from error


async def _next(stream: AsyncIterator[Message], call: Call) -> Message | None:
    """Returns the next message, while the credential counts; None at the end."""
    check = call.still_counts or _nothing
    coming = asyncio.ensure_future(anext(stream, None))
    try:
        while not coming.done():
            await asyncio.wait([coming], timeout=CHECK_S)
            check(call)
    finally:
        if not coming.done():
            coming.cancel()
            with suppress(asyncio.CancelledError):
                await coming
    return coming.result()


def _nothing(_call: Call) -> None:
    """There is no credential to ask for."""
