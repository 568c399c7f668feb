"""Answers of a stream that wait for their records, while its next messages are handled.

One commit writes all records that wait. A stream that waited for each of its answers would need a
commit for each. Messages are decided one after the other all the same, and answered in their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.errors import PdpError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google.protobuf.message import Message

    from pdp.transport.call import Call, Endpoint

MAX_WAITING: Final = 64
"""Answers of one stream that may wait. The stream is read on when all of them are written."""

MAX_WAITING_BYTES: Final = 1 << 20
"""Bytes of their messages, from which it is read on only then, too."""


class _Waiting(NamedTuple):
    """An answer that is not written yet.

    Attributes:
        size: the bytes of its message.
    """

    call: Call
    answer: asyncio.Future[Message]
    size: int


class OrderedAnswers:
    """The answers of one stream that are not written yet. All of it runs on one event loop."""

    def __init__(
        self,
        write: Callable[[bytes], Awaitable[None]],
        abort: Callable[[Call, PdpError], Awaitable[None]],
    ) -> None:
        """Takes what writes an answer, and what ends the stream with an error and then raises."""
        self._write = write
        self._abort = abort
        self._waiting: deque[_Waiting] = deque()
        self._size = 0
        self._writer: asyncio.Task[None] | None = None

    def __bool__(self) -> bool:
        """Whether there are answers that are not written yet."""
        return bool(self._waiting)

    async def handle(self, endpoint: Endpoint, call: Call, message: Message, size: int) -> None:
        """Handles a message; returns when the next one can be handled.

        Raises what `abort` raises if the message cannot be handled.

        Args:
            endpoint: handles it.
            call: the call that it makes.
            message: the message.
            size: its bytes.
        """
        loop = asyncio.get_running_loop()
        ready = loop.create_future()

        def begin_next() -> None:
            if not ready.done():
                ready.set_result(None)

        call.begin_next = begin_next
        answer = asyncio.ensure_future(endpoint(call, message))
        answer.add_done_callback(_note_failure)
        answer.add_done_callback(lambda _: begin_next())
        self._waiting.append(_Waiting(call, answer, size))
        self._size += size
        if self._writer is None or self._writer.done():
            self._writer = loop.create_task(self._write_all())
            self._writer.add_done_callback(_note_failure)
        await ready
        has_failed = answer.done() and answer.exception() is not None
        if has_failed or len(self._waiting) >= MAX_WAITING or self._size >= MAX_WAITING_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Returns when all answers are written. Raises what `abort` has raised."""
        if self._writer is not None:
            await self._writer

    def end(self) -> None:
        """Gives up the answers that are not written, because the call has ended."""
        if self._writer is not None:
            self._writer.cancel()
        for each in self._waiting:
            each.answer.cancel()

    async def _write_all(self) -> None:
        while self._waiting:
            call, answer, size = self._waiting[0]
            try:
                response = await answer
            except PdpError as error:
                await self._abort(call, error)
                raise
            await self._write(response.SerializeToString())
            self._waiting.popleft()
            self._size -= size


def _note_failure(task: asyncio.Future[Any]) -> None:
    """Reads the exception of a task, so that asyncio does not report it as lost."""
    if not task.cancelled():
        task.exception()
