"""Streamed responses: applies to all their messages what the guards apply to one message."""

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

CREDENTIAL_CHECK_S: Final = 1.0
"""How often the credential is checked while a stream has nothing to send."""

_log = structlog.get_logger("pdp.calls")


async def stream_messages(call: Call) -> AsyncIterator[Message]:
    """Yields the messages of a call's stream, after its endpoint has returned.

    Before each message it checks the credential again. If the credential is revoked or expires,
    the stream ends, even while it has nothing to send.

    Raises:
        Unauthenticated: the credential is no longer valid.
        PdpError: the stream has raised it. Other exceptions are logged and become an
            `InternalError`, as in `pdp.transport.guards`.
    """
    stream = call.stream
    if stream is None:
        return
    try:
        while (message := await _next_message(stream, call)) is not None:
            yield message
    except PdpError:
        raise
    except Exception as error:
        _log.exception("call failed", method=call.method.path, request_id=call.request_id)
        raise InternalError(f"internal error; request id {call.request_id}") from error


async def _next_message(stream: AsyncIterator[Message], call: Call) -> Message | None:
    """Returns the next message if the credential is still valid; None at the end."""
    check = call.still_counts or _no_check
    next_message = asyncio.ensure_future(anext(stream, None))
    try:
        while not next_message.done():
            await asyncio.wait([next_message], timeout=CREDENTIAL_CHECK_S)
            check(call)
    finally:
        if not next_message.done():
            next_message.cancel()
            with suppress(asyncio.CancelledError):
                await next_message
    return next_message.result()


def _no_check(_call: Call) -> None:
    """Accepts the call, which has no credential to check."""
